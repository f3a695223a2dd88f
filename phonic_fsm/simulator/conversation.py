"""One conversation: what the server does about each message and each sound of the caller.

It outlives a lost connection. Listening for connections, and deciding which conversation a
connection belongs to, is ``server``'s; speaking and calling tools is ``assistant``'s.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from phonic_fsm.wire import client, server
from phonic_fsm.wire.codec import MalformedMessage, UnknownMessage, decode_client
from phonic_fsm.wire.config import ConfigOptions, ToolDefinition

from .assistant import Assistant
from .channel import Channel
from .refusal import refuse, refuse_audio, refuse_config, refuse_tools, refuse_undecodable
from .scenario import Scenario
from .settings import Settings, tool_name, welcome_line
from .vad import SpeechDetector, SpeechEdge

_STOCK_REPLY = "What would you like to talk about?"


class Conversation:
    """A conversation that follows ``scenario``, over ``channel``."""

    def __init__(self, scenario: Scenario, channel: Channel) -> None:
        self.channel = channel
        self._scenario = scenario
        self._turns = 0
        self._replies = iter(scenario.replies)
        self._assistant = Assistant(channel)
        self._known_tools: dict[str, ToolDefinition] = {}
        self._serving = anyio.Lock()
        self._lost_at: float | None = None
        # Set by the config, which comes before anything that needs them.
        self._settings: Settings
        self._ears: SpeechDetector
        self._muted: bool

    # -- its connections ------------------------------------------------------------------------

    async def start(self, connection: ServerConnection) -> None:
        """Talk over the first ``connection`` until it closes."""
        async with self._serving:
            await self._serve(connection)

    async def resume(self, connection: ServerConnection, *, grace_s: float) -> bool:
        """Go on over a new one until it closes; False at once if it is too late for that."""
        self.channel.drop()  # the client may know of a loss before the server does
        async with self._serving:
            if self._lost_at is None or anyio.current_time() - self._lost_at > grace_s:
                return False
            await self._serve(connection)
            return True

    async def _serve(self, connection: ServerConnection) -> None:
        self.channel.attach(connection)
        async with anyio.create_task_group() as tasks:
            self._assistant.tasks = tasks
            if self._lost_at is not None:
                self._lost_at = None
                await self.channel.send(server.ConversationReconnected())
                self._assistant.resume()
            with suppress(ConnectionClosed):  # how it closed is asked for below
                async for frame in connection:
                    await self._receive(frame)
            tasks.cancel_scope.cancel()
        self._assistant.stop()
        how = (connection.close_code, connection.close_reason)
        if self.channel.record.config and (how[0] in {1006, 1012} or how == (1001, "restarting")):
            self._lost_at = anyio.current_time()
        self.channel.attach(None)

    # -- the client's messages ------------------------------------------------------------------

    async def _receive(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            await self.channel.send(refuse("binary_frame", "a frame is JSON text, not binary"))
            return
        message = decode_client(frame)
        if isinstance(message, (UnknownMessage, MalformedMessage)):
            await self.channel.send(refuse_undecodable(message))
            return
        if refusal := self._refuse(message):
            await self.channel.send(refusal)
        if refusal is None or not isinstance(message, client.AudioChunk):
            self.channel.note(message)
        if refusal is None:
            await self._act(message)

    def _refuse(self, message: client.ClientMessage) -> server.Error | None:
        if (self.channel.record.config is None) != isinstance(message, client.Config):
            name = str(message.__struct_config__.tag)
            rule = "config comes first, and once"
            return refuse("unexpected_message", f"unexpected {name}: {rule}", {"type": rule})
        match message:
            case client.Config():
                return refuse_config(message)
            case client.Reset():
                return refuse_config(message.config, within="config.")
            case client.UpdateToolsSubset():
                return refuse_tools(message.tools)
            case client.AudioChunk():
                return refuse_audio(message.audio, self._settings.input_format)
        return None

    async def _act(self, message: client.ClientMessage) -> None:
        match message:
            case client.AudioChunk():
                await self._hear(message.audio)
            case client.Config():
                self._configure(message)
                await self.channel.send(
                    server.ConversationCreated(self.channel.record.conversation_id)
                )
                await self.channel.send(server.ReadyToStartConversation())
                if line := welcome_line(message, self._scenario.welcome):
                    interruptible = message.is_welcome_message_interruptible is not False
                    self._assistant.say(line, interruptible=interruptible)
            case client.Reset():
                self._assistant.stop()
                self._assistant.forget_calls()
                self._configure(message.config)
            case client.Unmute():
                self._muted = False
            case client.Mute():
                await self._mute()
            case client.ToolCallOutput():
                await self._assistant.take_output(message)
            case client.Say():
                await self._assistant.cut()
                self._assistant.say(message.text, interruptible=message.interruptible is not False)
            case client.GenerateReply():
                await self._assistant.cut()
                said = message.user_message
                stock = f"You said: {said}" if said else _STOCK_REPLY
                self._assistant.say(next(self._replies, stock))
            case client.UpdateSystemPrompt():
                self._change_config(system_prompt=message.system_prompt)
            case client.SetExternalId():
                self._change_config(external_id=message.external_id)
            case client.UpdateToolsSubset():
                self._change_config(tools=[self._known(tool) for tool in message.tools])
            case client.AddSystemMessage():
                pass  # the assistant says what the scenario has it say, whatever it is told

    def _configure(self, config: ConfigOptions) -> None:
        self._apply(config)
        self._muted = self._settings.push_to_talk
        self._listen_anew()

    def _change_config(self, **changes: Any) -> None:
        config = self.channel.record.config
        assert config is not None, "nothing but a config gets here before one"
        self._apply(msgspec.structs.replace(config, **changes))

    def _apply(self, config: ConfigOptions) -> None:
        self.channel.record.config = config
        self._settings = self._assistant.settings = Settings.of(config)
        self._known_tools.update(self._settings.tools)

    def _known(self, tool: ToolDefinition) -> ToolDefinition:
        """A tool that is only named here may have been defined before."""
        return self._known_tools.get(tool_name(tool), tool) if isinstance(tool, str) else tool

    # -- the caller's speech --------------------------------------------------------------------

    def _listen_anew(self) -> None:
        self._ears = SpeechDetector(
            self._settings.input_format.sample_rate,
            threshold_dbfs=self._settings.threshold_dbfs,
            min_speech_ms=self._settings.min_speech_ms,
            min_silence_ms=self._settings.min_silence_ms,
        )

    async def _hear(self, audio: bytes) -> None:
        if self._muted or self._assistant.uninterruptible:
            return
        decode = self._settings.input_format.decode
        for edge in self._ears.feed(audio if decode is None else decode(audio)):
            if edge is SpeechEdge.STARTED:
                await self._caller_starts()
            else:
                await self._caller_finishes()

    async def _mute(self) -> None:
        was_speaking = self._ears.speaking
        self._muted = True
        self._listen_anew()
        if was_speaking:
            await self._caller_finishes()

    async def _caller_starts(self) -> None:
        heard = self._assistant.stop()
        await self.channel.send(server.UserStartedSpeaking())
        if heard is not None:
            await self.channel.send(server.InterruptedResponse(heard))
        for interrupted in self._assistant.forget_calls():
            await self.channel.send(interrupted)
        if line := self._scenario.turn(self._turns).backchannel:
            self._assistant.murmur(line)

    async def _caller_finishes(self) -> None:
        turn = self._scenario.turn(self._turns)
        self._turns += 1
        await self.channel.send(server.UserFinishedSpeaking())
        await self.channel.send(server.InputText(turn.caller, "en"))
        self._assistant.answer(turn)
