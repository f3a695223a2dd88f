"""The assistant's side of a conversation: its answers, its lines, its tool calls.

Everything that takes time runs here, as tasks that an interruption stops. When the assistant is
asked for something, and what the client may ask, is ``conversation``'s.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable

import anyio
from anyio.abc import TaskGroup

from phonic_fsm.wire import client, server

from .calls import ToolCalls
from .channel import Channel
from .refusal import refuse
from .scenario import Call, Turn
from .settings import Settings
from .speaker import Speaker
from .voice import ASSISTANT_PITCH_HZ, speak

_NO_SUCH_TOOL = "I am sorry, I cannot look that up."


class Assistant:
    """Speaks and calls tools over ``channel``. ``settings`` and ``tasks`` come before all else."""

    settings: Settings
    tasks: TaskGroup
    """Where its lines and answers run: those of the present connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._speaker = Speaker(channel.send)
        self._calls = ToolCalls()
        self._scripts: set[anyio.CancelScope] = set()

    @property
    def uninterruptible(self) -> bool:
        """Whether the caller has to wait until it is done."""
        return self._speaker.uninterruptible or self._calls.uninterruptible

    # -- what it can be asked for: each begins a task -------------------------------------------

    def say(self, line: str, *, interruptible: bool = True) -> None:
        """Say ``line`` as a turn of its own."""
        self._begin(lambda: self._speak(line, interruptible=interruptible))

    def murmur(self, line: str) -> None:
        """Say ``line`` without taking the turn."""
        self._begin(lambda: self._speak(line, announced=False))

    def answer(self, turn: Turn) -> None:
        """Do what the scenario has for the caller's turn."""
        self._begin(lambda: self._answer(turn))

    def resume(self) -> None:
        """Wait on, over a new connection, for the outputs that are still due."""
        if self._calls.placed:
            self._begin(self._conclude_calls)

    # -- what stops it --------------------------------------------------------------------------

    async def cut(self) -> None:
        """End the line that is being said, if any; the calls that wait go on waiting."""
        await self._speaker.cut()

    def stop(self) -> str | None:
        """Stop speaking at once: what was heard of the line that stays unfinished, if any."""
        for script in self._scripts:
            script.cancel()
        self._scripts.clear()
        return self._speaker.stop()

    def forget_calls(self) -> list[server.ToolCallInterrupted]:
        """Give up the calls that wait: what to tell the client of each."""
        return [
            server.ToolCallInterrupted(placed.id, placed.call.tool)
            for placed in self._calls.clear()
            if not placed.settled.is_set()
        ]

    # -- its tool calls' outputs ----------------------------------------------------------------

    async def take_output(self, message: client.ToolCallOutput) -> None:
        """Take the output of a call that waits for it; refuse any other."""
        now = anyio.current_time()
        placed = self._calls.settle(message.tool_call_id, message.output, now)
        if placed is not None:
            await self._channel.send(placed.processed(now))
            return
        problem = f"no call {message.tool_call_id!r} is waiting for an output"
        await self._channel.send(refuse("unknown_call", problem, {"tool_call_id": problem}))

    # -- the tasks ------------------------------------------------------------------------------

    def _begin(self, script: Callable[[], Awaitable[None]]) -> None:
        # The scope exists before the task runs, so that a stop reaches it from the start.
        scope = anyio.CancelScope()
        self._scripts.add(scope)
        self.tasks.start_soon(self._run, scope, script)

    async def _run(self, scope: anyio.CancelScope, script: Callable[[], Awaitable[None]]) -> None:
        with scope:
            await script()
        self._scripts.discard(scope)

    async def _speak(
        self, line: str, *, interruptible: bool = True, announced: bool = True
    ) -> None:
        wire_format = self.settings.output_format
        await self._speaker.speak(
            speak(line, wire_format.sample_rate, pitch_hz=ASSISTANT_PITCH_HZ),
            encode=wire_format.encode,
            ahead=self.settings.ahead,
            interruptible=interruptible,
            announced=announced,
        )

    async def _answer(self, turn: Turn) -> None:
        send = self._channel.send
        if turn.warning:
            await send(server.Warning(turn.warning))
        if turn.error:
            await send(server.Error(turn.error))
        if turn.dtmf:
            await send(server.Dtmf(turn.dtmf))
        if turn.assistant:
            await self._speak(turn.assistant, interruptible=turn.interruptible)
        if turn.calls:
            await self._call(turn.calls)
        if turn.end:
            await send(server.AssistantEndedConversation())
            await self._channel.close(1000)
        elif turn.close is not None:
            await self._channel.close(turn.close)
        elif turn.drop:
            self._channel.drop()
        elif not (turn.assistant or turn.calls or turn.warning or turn.error or turn.dtmf):
            await send(server.AssistantChoseNotToRespond())

    async def _call(self, calls: Iterable[Call]) -> None:
        apologise = False
        for call in calls:
            tool = self.settings.tools.get(call.tool)
            if tool is None:
                problem = server.Problem(f"the config has no tool {call.tool!r}", "unknown_tool")
                await self._channel.send(server.Warning(problem))
                apologise = True
                continue
            placed = self._calls.place(uuid.uuid4().hex, call, tool, anyio.current_time())
            await self._channel.send(server.ToolCall(placed.id, call.tool, call.parameters))
        if apologise:
            await self._speak(_NO_SUCH_TOOL)
        await self._conclude_calls()

    async def _conclude_calls(self) -> None:
        """Wait until every call is settled or too late, then speak about them."""
        for placed in sorted(self._calls.placed, key=lambda placed: placed.deadline):
            with anyio.CancelScope(deadline=placed.deadline):
                await placed.settled.wait()
            if not placed.settled.is_set():
                await self._channel.send(placed.processed(anyio.current_time()))
        lines = [placed.line for placed in self._calls.clear()]
        if line := " ".join(filter(None, lines)):
            await self._speak(line)
