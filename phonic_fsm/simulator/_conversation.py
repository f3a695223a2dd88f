"""One conversation: what the server does about each message of the client, and when none comes.

A conversation outlives a lost connection. ``_server`` decides which conversation a connection
belongs to; the two sides of the conversation are in ``_caller`` and ``_assistant``.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import anyio
import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import MalformedMessage, UnknownMessage, decode_client
from phonic_fsm._wire.config import ConfigOptions, ToolDefinition

from ._assistant import Assistant
from ._caller import Caller
from ._channel import Channel
from ._doubts import Doubts
from ._floor import Floor, watch_silence
from ._refusals import (
    AudioPace,
    has_date,
    refuse,
    refuse_audio,
    refuse_config,
    refuse_external_id,
    refuse_template,
    refuse_tools,
    refuse_undecodable,
)
from ._scenario import Scenario
from ._settings import Settings, tool_name, welcome_line, with_agent
from ._speaker import Speaker
from ._tool_calls import ToolCalls
from ._voice import background_noise

_STOCK_REPLY = "What would you like to talk about?"
_STOCK_POKE = "Is anybody there?"
_STOCK_WELCOME = "Hello, how can I help you?"
_AN_HOUR = 3600.0
_REFUSALS = {"taken": 0.0, "refused_once": 1.0, "refused": math.inf}

TOO_LATE = 4800
"""The close code for a conversation that can no longer be resumed."""

INVALID_STATE = 4801
"""The close code for a conversation that cannot be resumed in its present state."""


class Conversation:
    """A conversation that follows ``scenario``, over ``channel``."""

    def __init__(self, scenario: Scenario, channel: Channel, doubts: Doubts) -> None:
        self.channel = channel
        self._scenario = scenario
        self._doubts = doubts
        self._replies = iter(scenario.replies)
        self._floor = Floor()
        self._speaker = Speaker(channel, self._floor)
        self._tools = ToolCalls(channel, self._speaker, self._floor, doubts)
        self._assistant = Assistant(channel, self._speaker, self._tools, doubts)
        self._caller = Caller(scenario, channel, self._assistant, self._floor, doubts)
        self._known_tools: dict[str, ToolDefinition] = {}
        self._external_id: str | None = None
        """The one that the client has set with ``set_external_id``."""
        self._watching = anyio.CancelScope()
        self._serving = anyio.Lock()
        """Held while a connection carries the conversation."""
        self._lost_at: float | None = None
        """When the connection was lost (s), while the conversation may be resumed."""
        self._refusals_left = _REFUSALS[doubts.early_resume]
        """How many attempts to resume are still refused."""
        self._audio_pace = AudioPace()
        self._has_heard_audio = False
        self._began = anyio.current_time()
        self._last_audio_at = self._began
        """When the last audio came (s), or the conversation began or was resumed."""
        self._settings: Settings  # set by the config, which comes before anything that needs them

    # -- its connections ------------------------------------------------------------------------

    async def start(self, connection: ServerConnection) -> None:
        """Hold the conversation over its first ``connection``, until that closes."""
        async with self._serving:
            await self._serve(connection)

    async def resume(self, connection: ServerConnection, *, grace_s: float) -> None:
        """Go on over a new connection until that closes, or refuse it."""
        if self._refusals_left:
            self._refusals_left -= 1
            await connection.close(INVALID_STATE, "the conversation is still connected")
            return
        self.channel.drop()  # the client may know of a loss before the server does
        async with self._serving:
            if self._lost_at is None or anyio.current_time() - self._lost_at > grace_s:
                await connection.close(TOO_LATE, "this conversation cannot be resumed")
                return
            await self._serve(connection)

    async def _serve(self, connection: ServerConnection) -> None:
        self.channel.attach(connection)
        self._last_audio_at = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            self._speaker.tasks = tasks
            if self._lost_at is not None:
                self._lost_at = None
                await self.channel.send(server.ConversationReconnected())
                self._assistant.resume()
                self._watch()
            if self._doubts.longest_session == "an_hour":
                tasks.start_soon(self._end_after_an_hour)
            with suppress(ConnectionClosed):  # how it closed is asked for below
                while (frame := await self._next_frame(connection)) is not None:
                    await self._receive(frame)
            tasks.cancel_scope.cancel()
        self._assistant.pause()
        if self.channel.record.config and self._can_be_resumed(connection):
            self._lost_at = anyio.current_time()
            # The service knows of a loss that was announced.
            is_sudden = connection.close_code == 1006
            self._refusals_left = _REFUSALS[self._doubts.early_resume] if is_sudden else 0
        self.channel.attach(None)

    def _can_be_resumed(self, closed: ServerConnection) -> bool:
        how = (closed.close_code, closed.close_reason)
        if closed.protocol.close_rcvd_then_sent and self._doubts.closed_by_client == "is_over":
            return False
        return (
            how[0] in {1006, 1012}
            or how == (1001, "restarting")
            or bool(closed.protocol.close_rcvd_then_sent)
        )

    async def _next_frame(self, connection: ServerConnection) -> str | bytes | None:
        """The next frame; None if none came in time and the connection was closed for that."""
        has_begun = self.channel.record.config is not None
        timeout_s = self._settings.timeout_s if has_begun else math.inf
        with anyio.move_on_at(self._last_audio_at + timeout_s):
            return await connection.recv()
        if self._doubts.idle_close == "drop":
            self.channel.drop()
        else:
            code = int(self._doubts.idle_close)
            await connection.close(code, f"no audio came for {timeout_s:g} s")
        return None

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
            case client.UpdateSystemPrompt():
                return refuse_template(message.system_prompt)
            case client.AudioChunk():
                wire_format = self._settings.input_format
                refusal = refuse_audio(message.audio, wire_format)
                if refusal is None and self._doubts.audio_bursts == "refused":
                    seconds = len(message.audio) / wire_format.bytes_per_second
                    refusal = self._audio_pace.refuse(seconds, anyio.current_time())
                return refusal
            case client.SetExternalId():
                return refuse_external_id(message.external_id)
        return None

    async def _act(self, message: client.ClientMessage) -> None:
        match message:
            case client.AudioChunk():
                self._last_audio_at = anyio.current_time()
                if not self._has_heard_audio:
                    self._has_heard_audio = True
                    await self._check_date(message)
                await self._caller.hear(message.audio)
            case client.Config():
                self._configure(message)
                opening: list[server.ServerMessage] = [
                    server.ConversationCreated(self.channel.record.conversation_id),
                    server.ReadyToStartConversation(),
                ]
                if self._doubts.opening == "ready_first":
                    opening.reverse()
                for first in opening:
                    await self.channel.send(first)
                self._watch()
                self._welcome(message)
            case client.Reset():
                await self._assistant.reset()
                self._configure(message.config, keep_mute=self._doubts.reset_mute == "kept")
                self._tools.go_on()
                self._watch()
                if self._doubts.reset_welcome == "is_said":
                    self._welcome(message.config)
            case client.Unmute():
                await self._caller.unmute()
            case client.Mute():
                await self._caller.mute()
            case client.ToolCallOutput():
                await self._tools.take_output(message)
            case client.Say():
                interruptible = message.interruptible is not False
                await self._assistant.say_on_request(message.text, interruptible=interruptible)
            case client.GenerateReply() if self._assistant.is_uninterruptible:
                pass  # a request in a turn that cannot be interrupted is dropped
            case client.GenerateReply():
                said = message.user_message
                stock = f"You said: {said}" if said else _STOCK_REPLY
                if said and self._doubts.user_message == "echoed":
                    await self.channel.send(server.InputText(said, "en"))
                await self._assistant.say_on_request(next(self._replies, stock))
            case client.UpdateSystemPrompt():
                await self._update_system_prompt(message.system_prompt)
            case client.SetExternalId():
                self._external_id = message.external_id.strip()
                self._change_config()
            case client.UpdateToolsSubset():
                self._change_config(tools=[self._known(tool) for tool in message.tools])
            case client.AddSystemMessage():
                pass  # the assistant says what the scenario has it say, whatever it is told

    def _welcome(self, config: ConfigOptions) -> None:
        agents, generated = self._scenario.agents, self._scenario.welcome or _STOCK_WELCOME
        if line := welcome_line(config, agents, generated, self._doubts):
            whole = with_agent(config, agents)
            interruptible = whole.is_welcome_message_interruptible is not False
            self._assistant.say(line, interruptible=interruptible)

    async def _check_date(self, first: client.AudioChunk) -> None:
        if has_date(first):
            return
        problem = "iso_date_time is required on the first audio_chunk, an ISO 8601 date and time"
        await self.channel.send(server.Warning(server.Problem(problem, "missing_iso_date_time")))

    async def _update_system_prompt(self, prompt: str) -> None:
        problem = "update_system_prompt is deprecated, use add_system_message"
        match self._doubts.update_system_prompt:
            case "taken":
                self._change_config(system_prompt=prompt)
            case "warned":
                notice = server.Problem(f"{problem}: it was ignored", "deprecated")
                await self.channel.send(server.Warning(notice))
            case "refused":
                await self.channel.send(refuse("deprecated", problem, {"type": problem}))

    def _configure(self, config: ConfigOptions, *, keep_mute: bool = False) -> None:
        self._apply(config)
        self._caller.configure(self._settings, keep_mute=keep_mute)

    def _change_config(self, **changes: Any) -> None:
        config = self.channel.record.config
        assert config is not None, "nothing but a config gets here before one"
        self._apply(msgspec.structs.replace(config, **changes))

    def _apply(self, config: ConfigOptions) -> None:
        if self._external_id is not None:  # takes precedence over the config's
            config = msgspec.structs.replace(config, external_id=self._external_id)
        self.channel.record.config = config
        whole = with_agent(config, self._scenario.agents)
        self._settings = self._speaker.settings = Settings.of(
            whole, shorten_by=self._scenario.shorten_times_by
        )
        self._known_tools.update(self._settings.tools)

    def _known(self, tool: ToolDefinition) -> ToolDefinition:
        """The definition of a tool that is only named here, if the client gave it before."""
        return self._known_tools.get(tool_name(tool), tool) if isinstance(tool, str) else tool

    # -- between the turns ----------------------------------------------------------------------

    def _watch(self) -> None:
        """From now on poke or end after silence, and send background noise, as the settings say."""
        self._watching.cancel()
        self._watching = anyio.CancelScope()
        self._floor.restart_silence()
        self._speaker.tasks.start_soon(self._watch_for_silence, self._watching)

    async def _watch_for_silence(self, scope: anyio.CancelScope) -> None:
        level = self._settings.background_level
        with scope:
            async with anyio.create_task_group() as tasks:
                if level is not None or self._scenario.background:
                    noise = background_noise(self._settings.output_format, level or 0.0)
                    tasks.start_soon(self._speaker.fill_pauses, noise)
                await watch_silence(self._floor, self._settings, self._poke, self._end)

    async def _poke(self) -> None:
        self._assistant.poke(self._settings.poke_line or self._scenario.poke or _STOCK_POKE)

    async def _end_after_an_hour(self) -> None:
        await anyio.sleep_until(self._began + _AN_HOUR / self._scenario.shorten_times_by)
        await self.channel.close(1000, "a conversation lasts an hour at most")

    async def _end(self) -> None:
        await self.channel.send(server.AssistantEndedConversation())
        await self.channel.close(1000)
