"""A session's journal as the session uses it: nothing here raises, and no event loop waits for it.

The writer's thread adds lines, and the event loop shows that it works and asks whether the journal
is still this process's. What is wrong with the store is written to the log once, until it works
again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Literal, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from .._runtime.lease import Verdict
from ._heart import in_a_thread
from ._store import (
    Ended,
    Holder,
    Journal,
    Journals,
    LinesLost,
    NoJournal,
    OwnershipLost,
    StoreFailed,
    Taken,
    Wish,
)

logger = logging.getLogger("phonic_fsm")

T = TypeVar("T")

THREADS = 2
"""How many questions of one session may wait for the store. The others wait for these, so a store
that hangs does not take the threads that an agent's own work needs."""


class Ownership:
    """A journal that this process has, or is about to begin."""

    def __init__(
        self,
        store: Journals,
        name: str,
        holder: Holder,
        journal: Journal | None = None,
        *,
        former: Journal | str | None = None,
    ) -> None:
        """``journal`` is there already where it was taken over; else the first line begins it.
        ``former`` is the one in whose place it is, or the name of that one if this process does not
        have it: it is ended first."""
        self.name = name
        self._store = store
        self.holder = holder
        self._journal = journal
        self._former = former
        self.wish: Wish | None = None
        """What this process was last asked for."""
        self._beaten = time.monotonic()
        """When the last heartbeat that has arrived was sent (s)."""
        self._is_beating = False
        self.on_append: Callable[[float, bool], None] | None = None
        """Is called in the writer's thread when the store has taken lines, or has failed to: with
        the seconds that it took, and whether it failed."""
        self.parting = b""
        """What is left for the next owner, if the journal is handed over."""
        self.has_hole = False
        """Whether the store has lost lines, so that those behind them mean something else."""
        self._is_lost = False
        self._fails = False
        """Whether the store did not work when it was last used, which has been told."""
        self._telling = threading.Lock()
        self._limiter: CapacityLimiter | None = None

    # -- in the writer's thread ------------------------------------------------------------------

    def append(self, lines: bytes) -> bool:
        """Add whole lines; returns whether they are there.

        If not, call it again with the same lines first. Once the journal is another's, nothing is
        added, and nothing is wanted: it returns True.
        """
        began = time.monotonic()
        verdict = self._try(partial(self._append, lines))
        if self.on_append is not None and verdict != "lost":
            self.on_append(time.monotonic() - began, verdict == "unknown")
        return verdict != "unknown"

    def finish(self, how: Literal["end", "release"]) -> bool:
        """End the journal with its call, or hand it over to whoever wants it.

        Returns whether that is done. If not, it can be called again.
        """
        if self._journal is None:
            # It was not begun, but the one in whose place it was to be is of the same call.
            return how == "release" or self._try(self._end_former) != "unknown"
        if how == "end":
            return self._try(self._journal.end) != "unknown"
        return self._try(partial(self._journal.release, self.parting)) != "unknown"

    # -- in the event loop -----------------------------------------------------------------------

    def beat(self, on_doubt: Callable[[Verdict], object]) -> None:
        loop = asyncio.get_running_loop()
        if self._is_lost:
            loop.call_soon(on_doubt, "lost")
        elif self._journal is not None and not self._is_beating:
            self._is_beating = True
            now = time.monotonic()
            try:
                in_a_thread(partial(self._beat, self._journal, now, loop, on_doubt))
            except (
                RuntimeError
            ) as error:  # no thread can be started now: the next beat may have one
                self._is_beating = False
                self._tell(str(error))

    async def check(self) -> Verdict:
        if self._is_lost:
            return "lost"
        if self._journal is None:
            return "ours"  # nobody else knows of the call
        if self._limiter is None:
            self._limiter = CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(
            self._try,
            self._journal.check,
            abandon_on_cancel=True,
            limiter=self._limiter,
        )

    @property
    def is_safe(self) -> bool:
        return time.monotonic() - self._beaten < self._store.outlives_a_beat

    # -- in any thread ---------------------------------------------------------------------------

    def _beat(
        self,
        journal: Journal,
        sent: float,
        loop: asyncio.AbstractEventLoop,
        on_doubt: Callable[[Verdict], object],
    ) -> None:
        try:
            verdict = self._try(partial(self._beat_at, sent, journal))
        except Exception as error:  # noqa: BLE001 - a fault here must not end the call
            self._tell(repr(error))
            verdict = "unknown"
        self._is_beating = False
        if verdict != "ours":
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(on_doubt, verdict)

    def _beat_at(self, sent: float, journal: Journal) -> None:
        self.wish = journal.beat()
        self._beaten = sent

    def _append(self, lines: bytes) -> None:
        if self._journal is None:
            now = time.monotonic()
            self._end_former()
            self._journal = self._store.begin(self.name, self.holder)
            self._beaten = now
        try:
            self._journal.append(lines)
        except LinesLost:
            self.has_hole = True
            raise

    def _end_former(self) -> None:
        """End the journal in whose place this one is, or a guard would send another agent.

        Raises:
            Taken, OwnershipLost: another process has gone on with it, and has the call.
        """
        if self._former is None:
            return
        with suppress(Ended, NoJournal):
            if isinstance(self._former, str):
                self._former = self._store.take_over(self._former, self.holder)
            self._former.end()
        self._former = None

    def _try(self, action: Callable[[], None]) -> Verdict:
        """Do it, and say what it shows."""
        if self._is_lost:
            return "lost"
        try:
            action()
        except (OwnershipLost, Taken, Ended):
            self._is_lost = True
            return "lost"
        except StoreFailed as error:
            self._tell(str(error))
            return "unknown"
        if self._fails:
            self._tell(None)
        return "ours"

    def _tell(self, problem: str | None) -> None:
        with self._telling:
            told, self._fails = self._fails, problem is not None
        if problem is not None and not told:
            logger.warning("the journal %s is not written: %s", self.name, problem)
        elif problem is None and told:
            logger.info("the journal %s is written again", self.name)
