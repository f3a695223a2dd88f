"""The assistant's side of a conversation: what it says and does, and what stops it.

It is told by ``_conversation`` what the client asks for, and by ``_caller`` when the caller speaks.
"""

from __future__ import annotations

from typing import NamedTuple

import anyio
from msgspec.structs import replace

from phonic_fsm._wire import server

from ._channel import Channel
from ._doubts import Doubts
from ._floor import Who
from ._scenario import Call, Turn
from ._speaker import Speaker
from ._tool_calls import ToolCalls


class Interruption(NamedTuple):
    """What the client is to be told about an interruption."""

    at_once: list[server.ServerMessage]
    after_the_turn: list[server.ServerMessage]
    """Messages for when the caller's turn has ended."""


class Assistant:
    """Speaks with ``speaker``, uses ``tools``, and sends everything else over ``channel``."""

    def __init__(
        self, channel: Channel, speaker: Speaker, tools: ToolCalls, doubts: Doubts
    ) -> None:
        self._channel = channel
        self._speaker = speaker
        self._tools = tools
        self._doubts = doubts
        self._rest = Turn()
        """What is still to be done of the present turn."""
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

    async def say_on_request(self, line: str, *, interruptible: bool = True) -> None:
        """Say ``line`` because the client asks for it; tool calls go on waiting.

        What happens to a line that is being said, and so to the request, is a doubt.
        """
        if self._speaker.is_speaking and self._doubts.request_in_turn == "is_dropped":
            return
        if self._doubts.request_in_turn != "waits":
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
        self._rest = turn
        self._speaker.begin(lambda: self._answer(turn, since))

    # -- what stops it --------------------------------------------------------------------------

    def interrupt(self) -> Interruption:
        """Stop at once because the caller speaks; returns what the client is to be told."""
        cut = self._speaker.stop()
        self._rest = Turn()
        at_once: list[server.ServerMessage] = []
        after_the_turn: list[server.ServerMessage] = []
        if cut.is_unfinished and self._doubts.interrupted_turn_finishes == "yes":
            at_once.append(server.AssistantFinishedSpeaking())
        if cut.heard is not None and self._doubts.interrupted_response != "never":
            is_late = self._doubts.interrupted_response == "after_the_turn"
            told = after_the_turn if is_late else at_once
            told.append(server.InterruptedResponse(cut.heard))
        return Interruption([*at_once, *self._tools.interrupt()], after_the_turn)

    async def reset(self) -> None:
        """Stop at once because the conversation begins anew."""
        cut = self._speaker.stop()
        self._rest = Turn()
        if self._doubts.reset_chunks == "arrive":
            for chunk in cut.in_flight:
                await self._channel.send(chunk)
        if cut.is_unfinished and self._doubts.reset_turn == "finishes":
            await self._channel.send(server.AssistantFinishedSpeaking())
        if self._doubts.reset_calls == "forgotten":
            self._tools.forget_all()

    def pause(self) -> None:
        """Stop at once because the connection is lost."""
        cut = self._speaker.stop()
        self._rest = replace(self._rest, assistant=cut.unsaid.lstrip() or self._rest.assistant)

    def resume(self) -> None:
        """Go on over a new connection: with tool calls, and with the turn if the doubts say so."""
        self._tools.resume()
        if self._doubts.resumed_turn == "goes_on" and self._rest.asks_for_something:
            self.answer(self._rest)

    # -- the answer, step by step ---------------------------------------------------------------

    async def _answer(self, turn: Turn, since: float) -> None:
        send = self._channel.send
        rest = replace(turn, warning=None, error=None, dtmf=None)
        if turn.warning:
            await send(server.Warning(turn.warning))
        if turn.error:
            await send(server.Error(turn.error))
        if turn.dtmf:
            elapsed_ms = round((anyio.current_time() - since) * 1000, 3)
            await send(server.Dtmf(turn.dtmf, {"total_ms": elapsed_ms}))
        self._rest = rest
        if turn.assistant:
            await self._speaker.speak(turn.assistant, interruptible=turn.interruptible, since=since)
        has_reported = await self._tools.report()
        self._rest = Turn()
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
        elif not (turn.asks_for_something or has_reported):
            await send(server.AssistantChoseNotToRespond())
