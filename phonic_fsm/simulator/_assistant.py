"""The assistant's side of a conversation: what it says and does, and what stops it.

It is told by ``_conversation`` what the client asks for, and by ``_caller`` when the caller speaks.
"""

from __future__ import annotations

import anyio

from phonic_fsm._wire import server

from ._channel import Channel
from ._floor import Who
from ._scenario import Call, Turn
from ._speaker import Speaker
from ._tool_calls import ToolCalls


class Assistant:
    """Speaks with ``speaker``, uses ``tools``, and sends everything else over ``channel``."""

    def __init__(self, channel: Channel, speaker: Speaker, tools: ToolCalls) -> None:
        self._channel = channel
        self._speaker = speaker
        self._tools = tools
        self._called_early: list[Call] = []
        """Calls of the present turn that were made while the caller still spoke."""

    @property
    def is_uninterruptible(self) -> bool:
        """Whether the caller is not heard until the assistant has finished."""
        return self._speaker.is_uninterruptible or self._tools.is_uninterruptible

    # -- what it can be asked for ---------------------------------------------------------------

    def say(self, line: str, *, interruptible: bool = True) -> None:
        """Say ``line`` as a turn of its own."""
        self._speaker.begin(lambda: self._speaker.speak(line, interruptible=interruptible))

    async def say_instead(self, line: str, *, interruptible: bool = True) -> None:
        """End the present line early and say ``line``; tool calls go on waiting."""
        await self._speaker.cut_short()
        self.say(line, interruptible=interruptible)

    def poke(self, line: str) -> None:
        """Ask a silent caller."""
        self._speaker.begin(lambda: self._speaker.speak(line), Who.POKE)

    async def listen(self, turn: Turn) -> None:
        """Do what the scenario has for while the caller speaks: a backchannel, early calls."""
        line = turn.backchannel
        if line and self._speaker.settings.backchannels:
            self._speaker.begin(lambda: self._speaker.speak(line, announced=False))
        self._called_early = await self._tools.call_during_speech(turn.calls)

    def answer(self, turn: Turn) -> None:
        """Do what the scenario has for after the caller's turn."""
        since = anyio.current_time()
        self._speaker.begin(lambda: self._answer(turn, since))

    # -- what stops it --------------------------------------------------------------------------

    def interrupt(self) -> list[server.InterruptedResponse | server.ToolCallInterrupted]:
        """Stop at once because the caller speaks; returns what the client is to be told."""
        heard = self._speaker.stop()
        line = [] if heard is None else [server.InterruptedResponse(heard)]
        return [*line, *self._tools.interrupt()]

    def forget_everything(self) -> None:
        """Stop at once and give up all tool calls; the client is told nothing."""
        self._speaker.stop()
        self._tools.forget_all()

    # -- the answer, step by step ---------------------------------------------------------------

    async def _answer(self, turn: Turn, since: float) -> None:
        send = self._channel.send
        if turn.warning:
            await send(server.Warning(turn.warning))
        if turn.error:
            await send(server.Error(turn.error))
        if turn.dtmf:
            elapsed_ms = round((anyio.current_time() - since) * 1000, 3)
            await send(server.Dtmf(turn.dtmf, {"total_ms": elapsed_ms}))
        if turn.assistant:
            await self._speaker.speak(turn.assistant, interruptible=turn.interruptible, since=since)
        if turn.calls:
            # Two calls may be equal: only the very object that was called early is left out.
            early = {id(call) for call in self._called_early}
            calls = [call for call in turn.calls if id(call) not in early]
            await self._tools.call(calls, after_speech=bool(turn.assistant))
        if turn.end:
            await send(server.AssistantEndedConversation())
            await self._channel.close(1000)
        elif turn.close is not None:
            await self._channel.close(turn.close)
        elif turn.drop:
            self._channel.drop()
        elif not turn.asks_for_something:
            await send(server.AssistantChoseNotToRespond())
