"""Who speaks, and since when nobody does.

Only keeps account of it: what silence leads to is ``no_input``'s, and what may not be said into
somebody's speech waits here until it may.
"""

from __future__ import annotations

import math
from enum import Enum

import anyio


class Who(Enum):
    CALLER = "caller"
    ASSISTANT = "assistant"
    """It speaks, or works on an answer."""
    POKE = "poke"
    """The assistant too, but only to ask whether the caller is still there."""


class Floor:
    """The floor of one conversation. Times are those of anyio's clock, in seconds."""

    def __init__(self) -> None:
        self._until: dict[Who, float] = {}
        self._begun = -math.inf
        self._changed = anyio.Event()

    def begin(self) -> None:
        """Let silence count from now on, however long there was one before."""
        self._begun = anyio.current_time()
        self._wake()

    def take(self, who: Who) -> None:
        self._until[who] = math.inf
        self._wake()

    def leave(self, who: Who, until: float = -math.inf) -> None:
        """``who`` is done, but can be heard ``until`` then; nothing for one who was not on."""
        if self.is_taken_by(who):
            self._until[who] = max(until, anyio.current_time())
            self._wake()

    def is_taken_by(self, *whose: Who) -> bool:
        now = anyio.current_time()
        return any(self._until.get(who, -math.inf) > now for who in whose)

    async def free_for(self, seconds: float, *, besides: Who | None = None) -> None:
        """Return once nobody, ``besides`` one who does not count, has spoken for that long."""
        while (due := self._free_from(besides) + seconds) > anyio.current_time():
            with anyio.CancelScope(deadline=due):
                await self._changed.wait()

    async def taken(self, *, besides: Who | None = None) -> None:
        """Return once somebody, ``besides`` one who does not count, has begun to speak."""
        free_from = self._free_from(besides)
        while self._free_from(besides) == free_from:
            await self._changed.wait()

    def _free_from(self, besides: Who | None) -> float:
        counted = [until for who, until in self._until.items() if who is not besides]
        return max([self._begun, *counted])

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
