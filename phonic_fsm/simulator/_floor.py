"""Who speaks at the moment, and what happens after nobody has spoken for a while.

Nothing here speaks or sends: what is said into a silence is decided in ``_conversation``.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from enum import Enum

import anyio

from ._settings import Settings


class Who(Enum):
    CALLER = "caller"
    """The caller speaks."""
    ASSISTANT = "assistant"
    """The assistant speaks, or works on an answer."""
    POKE = "poke"
    """The assistant asks whether the caller is still there."""


class Floor:
    """Who speaks in one conversation, or has the floor. Times are of anyio's clock, in seconds."""

    def __init__(self) -> None:
        self._until: dict[Who, float] = {}
        self._begun = -math.inf
        self._changed = anyio.Event()

    def restart_silence(self) -> None:
        """Count silence from now on, however long it has lasted already."""
        self._begun = anyio.current_time()
        self._wake()

    def take(self, who: Who) -> None:
        self._until[who] = math.inf
        self._wake()

    def leave(self, who: Who, until: float = -math.inf) -> None:
        """``who`` has finished, but can be heard ``until`` then. Does nothing if ``who`` did not
        speak."""
        if self.is_taken_by(who):
            self._until[who] = max(until, anyio.current_time())
            self._wake()

    def is_taken_by(self, *whose: Who) -> bool:
        now = anyio.current_time()
        return any(self._until.get(who, -math.inf) > now for who in whose)

    async def free_for(self, seconds: float, *, besides: Who | None = None) -> None:
        """Return once nobody has spoken for that long; ``besides`` does not count."""
        while (due := self._free_from(besides) + seconds) > anyio.current_time():
            with anyio.CancelScope(deadline=due):
                await self._changed.wait()

    async def taken(self, *, besides: Who | None = None) -> None:
        """Return once somebody has begun to speak; ``besides`` does not count."""
        free_from = self._free_from(besides)
        while self._free_from(besides) == free_from:
            await self._changed.wait()

    def _free_from(self, besides: Who | None) -> float:
        counted = [until for who, until in self._until.items() if who is not besides]
        return max([self._begun, *counted])

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


async def watch_silence(
    floor: Floor,
    settings: Settings,
    poke: Callable[[], Awaitable[None]],
    end: Callable[[], Awaitable[None]],
) -> None:
    """Call ``poke`` and ``end`` after as much silence as the settings say, once in each silence.

    A poke does not end a silence; anything else that is said does.
    """
    async with anyio.create_task_group() as tasks:
        for seconds, act in ((settings.poke_after_s, poke), (settings.end_after_s, end)):
            if seconds:
                tasks.start_soon(_once_in_each_silence, floor, seconds, act)


async def _once_in_each_silence(
    floor: Floor, seconds: float, act: Callable[[], Awaitable[None]]
) -> None:
    while True:
        await floor.free_for(seconds, besides=Who.POKE)
        await act()
        await floor.taken(besides=Who.POKE)
