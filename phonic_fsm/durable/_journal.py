"""Writes a session's journal: its complete trace, in a store from which another process can read.

The event loop queues steps, and the writer's thread adds them to the store. What is not there yet
when the process dies is lost: at most a tenth of a second. If the store does not work, the lines
wait, within a bound; the call goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from concurrent.futures import Future
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

from .._core import events
from .._core.context import Settings
from .._core.history import History
from .._core.machine import Step
from .._core.states import State
from .._runtime.recorder import RecordingWatcher
from .._runtime.secrets import Secrets
from ..trace._lines import CAN_WAIT, StepLines, size_of
from ..trace._runs import Passed, Taken, taken
from ..trace._writer import Writer
from ._account import Account
from ._fold import Folded
from ._ownership import Ownership

logger = logging.getLogger("phonic_fsm")

INTERVAL = 0.09
"""Seconds between two looks of the writer's thread. Audio, and what is measured, waits for it."""

CHECKPOINT_EVERY = 2_000
"""Steps after which the journal gets the machine's whole memory: a recovery begins there."""

LARGEST_WAIT = 32 * 2**20
"""The most bytes of steps and lines that wait for a store that is slow, or does not work. With
more, the journal ends."""

LONGEST_QUEUE = 10_000
"""The most steps that wait for the writer's thread. With more, the journal ends."""

PAUSE = 0.5
"""Seconds until lines that the store has not taken are offered again."""

LINGER = 1.0
"""For so many seconds after the session is closed, its journal takes what is observed of its end.
It is ended before a guard takes the heart that beats no more for one that has stopped."""

LONGEST_WAIT = 1.0
"""The most seconds that the end of a session waits for its journal."""

ENDED_WITHIN = 10.0
"""How long (s) a store that does not work is told again that the call is over, while the process
lasts: a guard would send another agent."""

_WRITER = Writer(INTERVAL)


class JournalRecorder:
    """Records one session into a journal."""

    def __init__(
        self,
        ownership: Ownership,
        settings: Settings,
        secrets: Secrets,
        folded: Folded | None = None,
    ) -> None:
        """``folded`` is what the journal holds already, in a process that has taken it over."""
        self._ownership = ownership
        self._lines = StepLines(settings, secrets, steps=folded.steps if folded else 0)
        self._account = folded.account if folded else Account(settings.config)
        now = datetime.now(timezone.utc)
        self._started = folded.started if folded else now
        past = max((now - self._started).total_seconds(), folded.last if folded else 0.0)
        self._zero = time.monotonic() - past
        """When the journal's clock was at 0."""
        self._queue: deque[Taken] = deque()
        self._queued_bytes = self._written_bytes = 0
        """About as many as all steps so far take; each is counted by one thread only."""
        self._unwritten: list[bytes] = [] if folded else [self._lines.header(now)]
        """Lines that the store has not taken yet."""
        self._taken_bytes = 0
        """Of all steps that were taken from the queue."""
        self._offered = 0.0
        """When they were last offered in vain (s)."""
        self._since_checkpoint = 0
        self._oldest: float | None = None
        """When the first of these was recorded (s, by the journal's clock)."""
        self._is_closed = self._is_full = False
        self._last: Literal["end", "release"] | None = None
        """What is done with the journal when all is written; ``None`` leaves it to its lease."""
        self._lingers_until: float | None = None
        self._ends_until: float | None = None
        """Until when the store is told so, if it does not work."""
        self._has_end = False
        """Whether its last line says that it ends before the call."""
        self._watcher: RecordingWatcher | None = None
        self._written: Future[None] = Future()
        _WRITER.add(self)

    @property
    def path(self) -> Path | None:
        return None

    def wall_clock(self, t: float) -> datetime:
        """The time of day that the journal's clock shows as ``t``."""
        return self._started + timedelta(seconds=t)

    # -- in the event loop -----------------------------------------------------------------------

    def watch(self, watcher: RecordingWatcher) -> None:
        self._watcher = watcher
        self._ownership.on_append = watcher.appended

    def record(self, step: Step) -> None:
        """Take one step. Never waits, never raises."""
        t = time.monotonic() - self._zero
        if isinstance(step.event, events.LeaseLost) and step.event.reason is not None:
            # What this process does to end belongs to it alone: the call goes on from before.
            self._last = "release"
            self.close()
            return
        self._account.follow(t, step)
        self._since_checkpoint += 1
        if step.target is State.closed and step.source is not step.target:
            # A session that broke has not ended its call. Its process is about to go.
            broke = isinstance(step.event, (events.Break, events.LeaseLost))
            self._last = None if broke else "end"
        if self._is_closed or self._is_full:
            return
        size = size_of(step)
        waiting = self._queued_bytes - self._written_bytes
        if len(self._queue) < LONGEST_QUEUE and waiting < LARGEST_WAIT:
            self._queued_bytes += size
            self._queue.append(taken(t, step))
            if type(step.event) not in CAN_WAIT:
                # A tool that runs must be known before anything else happens.
                _WRITER.look(self)
        else:
            self._is_full = True

    def checkpoint(self, history: History) -> events.Checkpoint | None:
        """A checkpoint, if one is due."""
        if self._since_checkpoint < CHECKPOINT_EVERY and not self._ownership.has_hole:
            return None
        self._since_checkpoint = 0
        self._ownership.has_hole = False
        return self._account.checkpoint(history)

    def record_audio(self, audio: bytes) -> None:
        """A journal holds no audio."""

    def linger(self) -> None:
        """Have what is queued written now, and take a few more steps, for ``LINGER``."""
        self._lingers_until = time.monotonic() + LINGER
        _WRITER.look(self)

    def close(self) -> None:
        """End the recording. What is queued is still written."""
        self._is_closed = True
        _WRITER.look(self)

    async def written(self) -> None:
        """Wait until the journal is complete, or for ``LONGEST_WAIT`` if the store is slow."""
        await asyncio.wait([asyncio.wrap_future(self._written)], timeout=LONGEST_WAIT)

    # -- in the writer's thread ------------------------------------------------------------------

    def drain(self) -> bool:
        """Write what is queued; returns whether more may come."""
        # These are read first: what was queued before is in the queue by now.
        lingers_until, full = self._lingers_until, self._is_full
        closed = self._is_closed or (
            lingers_until is not None and time.monotonic() >= lingers_until
        )
        try:
            self._take_from_queue(full)
            is_written = self._offer(is_last=closed)
        except Exception as error:  # noqa: BLE001 - a fault here must not end the call
            logger.warning("the journal %s ends here: %r", self._ownership.name, error)
            is_written, closed = True, True
        is_over = closed and self._finish(is_written)
        if (closed or (is_written and lingers_until is not None)) and not self._written.done():
            self._written.set_result(None)
        return not is_over

    def let_go(self) -> None:
        """Write nothing any more: in a forked child, the journal is the parent's."""
        self._is_closed, self._last = True, None
        self._queue.clear()
        self._unwritten.clear()
        self._written = Future()
        self._written.set_result(None)

    def _finish(self, is_written: bool) -> bool:
        """End the journal, or hand it over; returns whether nothing is left to do.

        A call is over also if its last lines cannot be written, as in a store that is full.
        """
        if self._last is None or (self._last == "release" and not is_written):
            return True
        now = time.monotonic()
        if self._ends_until is None:
            self._ends_until = now + ENDED_WITHIN
        return self._ownership.finish(self._last) or now >= self._ends_until

    def _take_from_queue(self, full: bool) -> None:
        # What is queued meanwhile counts as waiting, until the next look.
        self._taken_bytes = self._queued_bytes
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        if batch:
            self._unwritten.append(self._lines.of(batch))
            if self._oldest is None:
                first = batch[0]
                self._oldest = first.t if isinstance(first, Passed) else first[0]
        if full and not self._has_end:
            self._has_end = True
            logger.warning(
                "the journal %s ends here: it is not written fast enough", self._ownership.name
            )
            self._unwritten.append(self._lines.end("overrun"))
            if self._watcher is not None:
                self._watcher.bounded("journal")

    def _offer(self, *, is_last: bool) -> bool:
        """Give the store the lines that wait; returns whether none waits any more."""
        if not self._unwritten:
            return True
        now = time.monotonic()
        if self._offered and now - self._offered < PAUSE and not is_last:
            return False
        if self._ownership.append(b"".join(self._unwritten)):
            self._unwritten.clear()
            self._written_bytes = self._taken_bytes
            self._offered = 0.0
            self._tell_delay()
            return True
        self._offered = time.monotonic()
        if not self._is_full and sum(map(len, self._unwritten)) > LARGEST_WAIT:
            self._is_full = True
        return False

    def _tell_delay(self) -> None:
        oldest, self._oldest = self._oldest, None
        if oldest is not None and self._watcher is not None:
            self._watcher.stored(time.monotonic() - self._zero - oldest)
