"""The assistant's side of a conversation: what it can be asked for, and how it answers a turn.

When it is asked for something, and what the client may ask, is ``conversation``'s; that of the
caller is ``caller``'s.
"""

from __future__ import annotations

import anyio

from phonic_fsm._wire import server

from ._channel import Channel
from ._floor import Who
from ._scenario import Call, Turn
from ._stage import Stage
from ._tool_use import ToolUse


class Assistant:
    """Speaks on ``stage`` and uses ``tools``; everything else it sends over ``channel``."""

    def __init__(self, channel: Channel, stage: Stage, tools: ToolUse) -> None:
        self._channel = channel
        self._stage = stage
        self._tools = tools
        self._called_early: list[Call] = []

    @property
    def uninterruptible(self) -> bool:
        """Whether the caller has to wait until it is done."""
        return self._stage.speaker.uninterruptible or self._tools.uninterruptible

    # -- what it can be asked for ---------------------------------------------------------------

    def say(self, line: str, *, interruptible: bool = True) -> None:
        """Say ``line`` as a turn of its own."""
        self._stage.begin(lambda: self._stage.speak(line, interruptible=interruptible))

    async def say_instead(self, line: str, *, interruptible: bool = True) -> None:
        """The same, ending the line that is being said; calls that wait go on waiting."""
        await self._stage.speaker.cut()
        self.say(line, interruptible=interruptible)

    def poke(self, line: str) -> None:
        """Ask a silent caller."""
        self._stage.begin(lambda: self._stage.speak(line), Who.POKE)

    async def listen(self, turn: Turn) -> None:
        """Do what the scenario has for while the caller speaks."""
        line = turn.backchannel
        if line and self._stage.settings.backchannels:
            self._stage.begin(lambda: self._stage.speak(line, announced=False))
        self._called_early = await self._tools.call_during_speech(turn.calls)

    def answer(self, turn: Turn) -> None:
        """Do what the scenario has for after the caller's turn."""
        since = anyio.current_time()
        self._stage.begin(lambda: self._answer(turn, since))

    # -- what stops it --------------------------------------------------------------------------

    def interrupt(self) -> list[server.InterruptedResponse | server.ToolCallInterrupted]:
        """Stop at once, for the caller: what to tell the client about it."""
        heard = self._stage.stop()
        line = [] if heard is None else [server.InterruptedResponse(heard)]
        return [*line, *self._tools.interrupt()]

    def forget_everything(self) -> None:
        """Stop at once, and give up all calls, without a word."""
        self._stage.stop()
        self._tools.forget_all()

    # -- the tasks ------------------------------------------------------------------------------

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
            await self._stage.speak(turn.assistant, interruptible=turn.interruptible, since=since)
        if turn.calls:
            # Equal calls are different ones: only the very same was made already.
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
