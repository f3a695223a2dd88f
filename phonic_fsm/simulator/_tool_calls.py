"""The assistant's tool calls: which are made, how long an output is awaited, what is said about it.

Whether there is anything to call is the scenario's decision, which ``_assistant`` carries out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import msgspec

from phonic_fsm._wire import client, server

from ._channel import Channel
from ._doubts import Doubts
from ._floor import Floor
from ._refusals import refuse
from ._scenario import Call
from ._settings import ToolRules
from ._speaker import Speaker

_BEFORE_A_CALL = "One moment."
_CANNOT = "I am sorry, I cannot look that up."
_TIMED_OUT = "I am sorry, that took too long."


@dataclass(eq=False)
class _PlacedCall:
    """A call that was sent, and what has become of it. Times are in seconds."""

    id: str
    call: Call
    rules: ToolRules
    placed_at: float
    during: Literal["user", "assistant"]
    """Whose turn it belongs to."""
    settled: anyio.Event = field(default_factory=anyio.Event)
    """Set once there is an output, or none came in time."""
    timed_out: bool = False
    output: Any = None

    @property
    def deadline(self) -> float:
        return self.placed_at + self.rules.timeout_ms / 1000

    @property
    def line(self) -> str:
        """What the assistant says about it once it is settled."""
        if self.rules.speech_forbidden_after:
            return ""
        if self.timed_out:
            return _TIMED_OUT
        output = self.output
        text = output if isinstance(output, str) else msgspec.json.encode(output).decode()
        return self.call.then.replace("{output}", text)

    def processed(self, now: float) -> server.ToolCallOutputProcessed:
        """The message that the output was taken, or that none came in time."""
        return server.ToolCallOutputProcessed(
            tool_call_id=self.id,
            tool=server.CalledTool(id=self.call.tool, name=self.call.tool),
            parameters=self.call.parameters,
            output=self.output,
            duration_ms=round((now - self.placed_at) * 1000, 3),
            timed_out=self.timed_out,
            error_message="no tool_call_output in time" if self.timed_out else None,
            conversation_item_role=self.during,
        )


class ToolCalls:
    """Makes tool calls over ``channel`` and speaks about them with ``speaker``.

    Calls that the assistant waits for all belong to one turn and are spoken about together. Each
    of the others is spoken about on its own, whenever its output is there and nobody speaks.
    """

    def __init__(self, channel: Channel, speaker: Speaker, floor: Floor, doubts: Doubts) -> None:
        self._channel = channel
        self._speaker = speaker
        self._floor = floor
        self._doubts = doubts
        self._placed: dict[str, _PlacedCall] = {}
        """The calls that were made and not yet spoken about, by id."""
        self._taken: dict[str, server.ToolCallOutputProcessed] = {}
        """What the client was told of each output that was taken, by the call's id."""

    @property
    def is_uninterruptible(self) -> bool:
        """Whether the caller is not heard until a call is settled."""
        return any(placed.rules.uninterruptible for placed in self._awaited)

    # -- within the assistant's turn ------------------------------------------------------------

    async def call(self, calls: Iterable[Call], *, after_speech: bool) -> None:
        """Make ``calls``, all at once. Then wait for those that are to be waited for, also for
        those that were made while the caller spoke, and say what there is to say about them."""
        wanted = [(call, self._rules(call)) for call in calls]
        if not after_speech and any(rules and rules.speech_required_before for _, rules in wanted):
            await self._speaker.speak(_BEFORE_A_CALL)
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
            await self._speaker.speak(line)
        await self._conclude()

    # -- at any time ----------------------------------------------------------------------------

    async def call_during_speech(self, calls: Iterable[Call]) -> list[Call]:
        """Make those of ``calls`` that are to be made while the caller speaks; returns them."""
        made = []
        for call in calls:
            rules = self._rules(call)
            if call.during_speech and rules and rules.during_user_speech:
                await self._place(call, rules, "user")
                made.append(call)
        return made

    async def take_output(self, message: client.ToolCallOutput) -> None:
        """Take the output of a call that still waits for one; refuse any other output."""
        now = anyio.current_time()
        taken = self._taken.get(message.tool_call_id)
        if taken and self._doubts.repeated_output == "acknowledged":
            await self._channel.send(taken)
            return
        placed = self._placed.get(message.tool_call_id)
        if placed is None or placed.settled.is_set() or now >= placed.deadline:
            problem = f"no call {message.tool_call_id!r} is waiting for an output"
            await self._channel.send(refuse("unknown_call", problem, {"tool_call_id": problem}))
            return
        placed.output = message.output
        placed.settled.set()
        self._taken[placed.id] = placed.processed(now)
        await self._channel.send(self._taken[placed.id])

    async def report(self) -> bool:
        """Speak about calls that were settled since the caller's last turn and not spoken about;
        returns whether there were any."""
        settled = [placed for placed in self._unawaited if placed.settled.is_set()]
        if self._doubts.async_output == "at_once" or not settled:
            return False
        await self._speak_about(self._forget(settled))
        return True

    def go_on(self) -> None:
        """Go on waiting for the calls that the assistant waits for, after it was stopped."""
        if self._awaited:
            self._speaker.begin(self._conclude)

    def resume(self) -> None:
        """Go on waiting for all outputs that have not come, over a new connection."""
        self.go_on()
        for placed in self._unawaited:
            self._speaker.tasks.start_soon(self._follow, placed)

    def interrupt(self) -> list[server.ToolCallInterrupted]:
        """Give up the calls that the assistant waits for; returns what the client is to be told."""
        return [
            server.ToolCallInterrupted(placed.id, placed.call.tool)
            for placed in self._forget(self._awaited)
            if not placed.settled.is_set()
        ]

    def forget_all(self) -> None:
        """Give up every call; the client is told nothing."""
        self._placed.clear()

    # -- the parts ------------------------------------------------------------------------------

    @property
    def _awaited(self) -> list[_PlacedCall]:
        return [placed for placed in self._placed.values() if placed.rules.awaited]

    @property
    def _unawaited(self) -> list[_PlacedCall]:
        return [placed for placed in self._placed.values() if not placed.rules.awaited]

    def _forget(self, calls: list[_PlacedCall]) -> list[_PlacedCall]:
        """Remove these calls; returns those that had not been removed before."""
        return [call for call in calls if self._placed.pop(call.id, None)]

    def _rules(self, call: Call) -> ToolRules | None:
        tool = self._speaker.settings.tools.get(call.tool)
        if tool is None:
            return None
        return ToolRules.of(tool, shorten_by=self._speaker.settings.shorten_by)

    async def _place(
        self, call: Call, rules: ToolRules, during: Literal["user", "assistant"]
    ) -> None:
        placed = _PlacedCall(uuid.uuid4().hex, call, rules, anyio.current_time(), during)
        self._placed[placed.id] = placed
        await self._channel.send(server.ToolCall(placed.id, call.tool, call.parameters))
        if not rules.awaited:
            self._speaker.tasks.start_soon(self._follow, placed)

    async def _conclude(self) -> None:
        """Wait until every awaited call is settled, and speak about them."""
        for placed in sorted(self._awaited, key=lambda placed: placed.deadline):
            await self._outcome(placed)
        await self._speak_about(self._forget(self._awaited))

    async def _outcome(self, placed: _PlacedCall) -> None:
        """Wait until a call is settled, at the latest by its deadline."""
        with anyio.CancelScope(deadline=placed.deadline):
            await placed.settled.wait()
        if placed.settled.is_set() or placed.id not in self._placed:
            return
        placed.timed_out = True
        placed.settled.set()
        await self._channel.send(placed.processed(anyio.current_time()))

    async def _follow(self, placed: _PlacedCall) -> None:
        """Speak about a call that the assistant does not wait for, once it is settled: in the first
        pause, or on the caller's next turn."""
        await self._outcome(placed)
        if self._doubts.async_output == "next_turn":
            return
        await self._floor.free_for(0)
        if self._forget([placed]):
            self._speaker.begin(lambda: self._speak_about([placed]))

    async def _speak_about(self, settled: list[_PlacedCall]) -> None:
        """Say what there is to say about these calls, and make the calls that follow from them."""
        line = " ".join(filter(None, (placed.line for placed in settled)))
        if line:
            await self._speaker.speak(line)
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
