"""Moves a call to another process: asks for the successor, and leaves once it is there.

The call stays here until a successor is in the room and asks for it. So if none comes, nothing has
happened, and another one is asked for later. Only if this process has to end is it left at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Literal

import aiohttp
import anyio
from livekit import api
from livekit.agents import JobContext, get_job_context

from .._runtime.fence import Task
from ..durable._dispatch import LONGEST_ANSWER, dispatch
from ..durable._ownership import Ownership
from ..durable._store import READY_SECONDS

logger = logging.getLogger("phonic_fsm")

ARRIVAL = 20.0
"""How long (s) a successor may take to be in the room, and ready. Then the call stays."""

AGAIN = 10.0
"""Seconds until another successor is asked for."""

LONGEST_WAIT = 10.0
"""How long (s) a successor waits for a moment at which nobody speaks and no tool runs. Then the
call moves in any case."""

LATEST_WISH = 2.0
"""After so many seconds, a successor has heard that it is turned away, and the last heartbeat has
told what was asked."""

REST = 0.4
"""For so many seconds nobody has spoken when the call moves."""


MoveOutcome = Literal["moved", "forced", "stayed"]
"""The call has moved while nobody spoke, or after ``LONGEST_WAIT`` nevertheless; or no successor
was ready in time, and the call stays for now."""


class Mover:
    """Moves one session's call. The session looks several times a second whether it is time."""

    def __init__(
        self,
        ownership: Ownership,
        *,
        rests: Callable[[], bool],
        start: Callable[[Task], None],
        leave: Callable[[], None],
        tell: Callable[[MoveOutcome], None],
    ) -> None:
        """``rests`` says whether nobody speaks at present, ``start`` runs a task of the session's,
        ``leave`` hands the call over, and ``tell`` is told what has become of a move."""
        self._ownership = ownership
        self._rests, self._start, self._leave, self._tell = rests, start, leave, tell
        self._job: JobContext | None = get_job_context(required=False)
        self._is_wanted = False
        self._asks_at = 0.0
        """When a successor is asked for, if none is there (s, by the monotonic clock)."""
        self._gives_up_at: float | None = None
        """Until when the one that was asked for may come."""
        self._rests_since: float | None = None
        self._ready_since: float | None = None
        """Since when a successor waits."""
        self._turns_away_until = 0.0

    def want(self) -> None:
        """Move the call as soon as that is possible."""
        self._is_wanted = True

    def turn_successor_away(self) -> None:
        """Do not hand the call over to one that waits: what its agent was told is true no more."""
        self._turns_away_until = time.monotonic() + READY_SECONDS + LATEST_WISH
        if self._ready_since is not None:
            self._ready_since = None
            self._gives_up_at, self._asks_at = None, self._turns_away_until

    def look(self) -> None:
        """Do what there is to do now."""
        wish, now = self._ownership.wish, time.monotonic()
        if self._job is None:
            return
        if wish == "leave":
            logger.warning(
                "the call in room %s is left to whoever comes: its worker ends (journal %s)",
                self._ownership.holder.room,
                self._ownership.name,
            )
            self._leave()
            self._job.shutdown("the worker ends, and no successor was ready")
            return
        if now < self._turns_away_until or not (self._is_wanted or wish):
            return
        if wish != "handover":
            self._ready_since = None
            self._ask(now)
            return
        if self._ready_since is None:
            self._ready_since = now
        if not self._rests():
            self._rests_since = None
        elif self._rests_since is None:
            self._rests_since = now
        rested = self._rests_since is not None and now - self._rests_since >= REST
        if rested or now - self._ready_since >= LONGEST_WAIT:
            self._tell("moved" if rested else "forced")
            self._leave()
            self._job.shutdown("the call has moved to another process")

    def _ask(self, now: float) -> None:
        """Ask for a successor, unless one may still come."""
        if self._gives_up_at is not None and now >= self._gives_up_at:
            self._gives_up_at, self._asks_at = None, now + AGAIN
            self._tell("stayed")
            logger.warning(
                "the call in room %s stays here: no successor was ready within %g s (journal %s)",
                self._ownership.holder.room,
                ARRIVAL,
                self._ownership.name,
            )
        if self._gives_up_at is None and now >= self._asks_at:
            self._gives_up_at = now + ARRIVAL
            self._start(self._dispatch)

    async def _dispatch(self) -> None:
        assert self._job is not None
        owned = self._ownership
        try:
            with anyio.fail_after(LONGEST_ANSWER):
                await dispatch(self._job.api, owned.name, owned.holder, moves=True)
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
            logger.warning(
                "the call in room %s cannot move: %s", owned.holder.room, error or "no answer"
            )
