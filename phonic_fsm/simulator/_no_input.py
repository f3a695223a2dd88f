"""What the caller's silence leads to: a poke, and in the end the end.

Only waits for the silence. What is said then is ``conversation``'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from ._floor import Floor, Who
from ._settings import Settings


async def watch_silence(
    floor: Floor,
    settings: Settings,
    poke: Callable[[], Awaitable[None]],
    end: Callable[[], Awaitable[None]],
) -> None:
    """Poke and end after as much silence as the settings say, once in each.

    A poke does not begin a new silence; anything else that is said does.
    """
    async with anyio.create_task_group() as tasks:
        for seconds, act in ((settings.poke_after_s, poke), (settings.end_after_s, end)):
            if seconds:
                tasks.start_soon(_once_in_each, floor, seconds, act)


async def _once_in_each(floor: Floor, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await floor.free_for(seconds, besides=Who.POKE)
        await act()
        await floor.taken(besides=Who.POKE)
