"""Calling tools: which calls are placed, what is waited for, and what is said about it.

When there is something to call is ``assistant``'s; the account of the calls is in ``calls``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Literal

import anyio

from phonic_fsm._wire import client, server

from ._calls import PlacedCall, ToolCalls
from ._channel import Channel
from ._floor import Floor
from ._refusal import refuse
from ._scenario import Call
from ._settings import ToolRules
from ._stage import Stage

_CANNOT = "I am sorry, I cannot look that up."
_BEFORE_A_CALL = "One moment."


class ToolUse:
    """Calls tools over ``channel`` and speaks about them on ``stage``."""

    def __init__(self, channel: Channel, stage: Stage, floor: Floor) -> None:
        self._channel = channel
        self._stage = stage
        self._floor = floor
        self._calls = ToolCalls()

    @property
    def uninterruptible(self) -> bool:
        """Whether the caller has to wait for a call."""
        return any(placed.rules.uninterruptible for placed in self._calls.awaited)

    # -- within the assistant's turn ------------------------------------------------------------

    async def call(self, calls: Iterable[Call], *, after_speech: bool) -> None:
        """Place ``calls``, all at once; then wait for what is to be waited for, those placed
        during the caller's speech among it, and go on from there."""
        wanted = [(call, self._rules(call)) for call in calls]
        if not after_speech and any(rules and rules.speech_required_before for _, rules in wanted):
            await self._stage.speak(_BEFORE_A_CALL)
            after_speech = True
        lines = []
        for call, rules in wanted:
            if rules is None:
                await self._warn("unknown_tool", f"the config has no tool {call.tool!r}")
                lines.append(_CANNOT)
            elif after_speech and rules.forbidden_after_speech:
                await self._warn("call_after_speech", f"{call.tool!r} forbids a call after speech")
                lines.append(_CANNOT)
            else:
                await self._place(call, rules, "assistant")
                if not (rules.awaited or rules.speech_forbidden_after):
                    lines.append(call.meanwhile)
        if line := " ".join(filter(None, dict.fromkeys(lines))):  # one apology is enough
            await self._stage.speak(line)
        await self.conclude()

    async def conclude(self) -> None:
        """Wait until every call that is waited for is settled or too late, and go on."""
        for placed in sorted(self._calls.awaited, key=lambda placed: placed.deadline):
            await self._outcome(placed)
        await self._go_on(self._calls.forget(*self._calls.awaited))

    # -- whenever -------------------------------------------------------------------------------

    async def call_during_speech(self, calls: Iterable[Call]) -> list[Call]:
        """Place those of ``calls`` that are made while the caller speaks, and return them."""
        placed = []
        for call in calls:
            rules = self._rules(call)
            if call.during_speech and rules and rules.during_user_speech:
                await self._place(call, rules, "user")
                placed.append(call)
        return placed

    async def take_output(self, message: client.ToolCallOutput) -> None:
        """Take the output of a call that waits for it; refuse any other."""
        now = anyio.current_time()
        placed = self._calls.settle(message.tool_call_id, message.output, now)
        if placed is not None:
            await self._channel.send(placed.processed(now))
            return
        problem = f"no call {message.tool_call_id!r} is waiting for an output"
        await self._channel.send(refuse("unknown_call", problem, {"tool_call_id": problem}))

    def resume(self) -> None:
        """Wait on, over a new connection, for the outputs that are still due."""
        if self._calls.awaited:
            self._stage.begin(self.conclude)
        for placed in self._calls.unawaited:
            self._stage.tasks.start_soon(self._follow, placed)

    def interrupt(self) -> list[server.ToolCallInterrupted]:
        """Give up what the assistant waits for: what to tell the client of each call."""
        return [
            server.ToolCallInterrupted(placed.id, placed.call.tool)
            for placed in self._calls.forget(*self._calls.awaited)
            if not placed.settled.is_set()
        ]

    def forget_all(self) -> None:
        self._calls.clear()

    # -- the parts ------------------------------------------------------------------------------

    def _rules(self, call: Call) -> ToolRules | None:
        tool = self._stage.settings.tools.get(call.tool)
        return None if tool is None else ToolRules.of(tool)

    async def _place(
        self, call: Call, rules: ToolRules, during: Literal["user", "assistant"]
    ) -> None:
        placed = PlacedCall(uuid.uuid4().hex, call, rules, anyio.current_time(), during)
        self._calls.place(placed)
        await self._channel.send(server.ToolCall(placed.id, call.tool, call.parameters))
        if not rules.awaited:
            self._stage.tasks.start_soon(self._follow, placed)

    async def _outcome(self, placed: PlacedCall) -> None:
        """Wait until a call is settled; too late is settled too."""
        with anyio.CancelScope(deadline=placed.deadline):
            await placed.settled.wait()
        if self._calls.expire(placed):
            await self._channel.send(placed.processed(anyio.current_time()))

    async def _follow(self, placed: PlacedCall) -> None:
        """Wait for a call that the assistant does not wait for, and then for a pause."""
        await self._outcome(placed)
        await self._floor.free_for(0)
        if self._calls.forget(placed):
            self._stage.begin(lambda: self._go_on([placed]))

    async def _go_on(self, settled: list[PlacedCall]) -> None:
        """Speak about calls that are settled, and make those that follow from them."""
        line = " ".join(filter(None, (placed.line for placed in settled)))
        if line:
            await self._stage.speak(line)
        chained: list[Call] = []
        for placed in settled:
            if placed.rules.chaining and not placed.timed_out:
                chained += placed.call.calls
            elif placed.call.calls and not placed.timed_out:
                await self._warn("chained_call", f"{placed.call.tool!r} allows no call after it")
        if chained:
            await self.call(chained, after_speech=bool(line))

    async def _warn(self, code: str, message: str) -> None:
        await self._channel.send(server.Warning(server.Problem(message, code)))
