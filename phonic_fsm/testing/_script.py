"""Speaking the part of a scenario's caller, on a phone call or in a room."""

from __future__ import annotations

from typing import Protocol

import anyio

from ..simulator import Scenario, Turn


class Talk(Protocol):
    """What a call must offer for that."""

    async def say(self, words: str) -> None: ...

    async def until_answer(self) -> None: ...

    async def until_quiet(self) -> None: ...


async def play(call: Talk, scenario: Scenario) -> None:
    """Wait until a welcome, if there is one, has ended; then say turn by turn, and wait for the
    agent after each.

    After a turn with ``interrupt_after_ms`` the next begins while the agent still speaks.
    """
    await call.until_quiet()
    for turn in scenario.turns:
        await _take(call, turn)


async def _take(call: Talk, turn: Turn) -> None:
    await call.say(turn.caller)
    if turn.interrupt_after_ms is not None:
        await call.until_answer()
        await anyio.sleep(turn.interrupt_after_ms / 1000)
        return
    if turn.assistant or turn.calls:
        await call.until_answer()
    await call.until_quiet()
