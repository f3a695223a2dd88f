"""Runs one script against two packages and notes, as plain data, what each sends and emits.

The server is a real websocket server on loopback that reads raw JSON, so that it sees what
neither package's types would let it see. A script says what the server and LiveKit do, in turn;
it never asks which package it drives.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
from livekit import rtc
from livekit.agents import llm
from livekit.plugins.phonic.realtime import RealtimeModel as PluginModel
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from phonic_fsm import RealtimeModel

PATIENCE = 10
"""Seconds until a run gives up waiting; nothing here takes that long unless it never comes."""

RATE = 44100
"""The plugin's wire rate (Hz), so both are set to it."""

ABSENT = "—"
"""An aspect that one of the two outcomes does not have."""

MARK = "barrier-"
"""Begins the text of what a run says to wait for something; it stays out of the outcome."""


# -- the server ----------------------------------------------------------------------------------


class Server:
    """Serves one session, over as many connections as it opens."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        """What the session said that was not audio."""
        self.audio_bytes = 0
        self.resumes: list[str] = []
        """Conversation ids that it came back for."""
        self._socket: ServerConnection | None = None
        self._heard = anyio.Event()

    async def serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        resumed = parse_qs(urlsplit(socket.request.path).query).get("reconnect_conv_id")
        self._socket = socket
        if resumed:
            self.resumes += resumed
            await socket.send(json.dumps({"type": "conversation_reconnected"}))
        try:
            while True:
                self._take(json.loads(await socket.recv()))
        except ConnectionClosed:
            if self._socket is socket:
                self._socket = None
        finally:
            self._wake()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "audio_chunk":
            self.audio_bytes += len(base64.b64decode(message["audio"]))
        else:
            self.sent.append(message)
        self._wake()

    def _wake(self) -> None:
        self._heard.set()
        self._heard = anyio.Event()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that only what is heard can bring about."""
        with anyio.fail_after(PATIENCE):
            while not happened():
                await self._heard.wait()

    @property
    def connected(self) -> bool:
        return self._socket is not None

    @property
    def audio_ms(self) -> float:
        return self.audio_bytes / 2 / RATE * 1000

    async def say(self, *messages: dict[str, Any]) -> None:
        """Say it if somebody is there to hear it."""
        for message in messages:
            if self._socket is not None:
                await self._socket.send(json.dumps(message))

    async def close(self, code: int, reason: str) -> None:
        assert self._socket is not None
        await self._socket.close(code, reason)

    def cut(self) -> None:
        """Drop the connection without a close frame."""
        assert self._socket is not None
        self._socket.transport.abort()


# -- what LiveKit sees ---------------------------------------------------------------------------


@dataclass
class Heard:
    """One generation, read as LiveKit reads it."""

    event: llm.GenerationCreatedEvent
    reader: asyncio.Task[None] | None = None
    text: list[str] = field(default_factory=list)
    audio: bytes = b""
    rates: set[int] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)
    modalities: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)

    async def read(self) -> None:
        async for message in self.event.message_stream:
            self.messages.append(message.message_id)
            self.modalities = sorted(await message.modalities)
            async for part in message.text_stream:
                self.text.append(part)
            async for frame in message.audio_stream:
                self.audio += bytes(frame.data)
                self.rates.add(frame.sample_rate)
        async for call in self.event.function_stream:
            self.calls.append((call.name, call.call_id, json.loads(call.arguments or "null")))

    def outcome(self) -> str:
        calls = "".join(f" {name} {call_id} {json.dumps(a)}" for name, call_id, a in self.calls)
        asked_for = " asked for" if self.event.user_initiated else ""
        return f"{''.join(self.text)!r} {self.audio!r}{calls}{asked_for}"

    def form(self) -> tuple[Any, ...]:
        """What every generation has in common, or else is odd."""
        ids = [i if i != self.event.response_id else "the response's" for i in self.messages]
        return (ids, self.modalities)


USUAL_FORM = (["the response's"], ["audio", "text"])
"""One message, with the response's id and both modalities."""


# -- a run ---------------------------------------------------------------------------------------


class Run:
    """Drives one session of either package and keeps what it did."""

    def __init__(self, server: Server, session: llm.RealtimeSession) -> None:
        self.server = server
        self.session = session
        self._barriers = 0
        self._calls: list[str] = []
        self._replies: list[tuple[asyncio.Future[llm.GenerationCreatedEvent], bool]] = []
        self._events: list[str] = []
        self._generations: list[Heard] = []
        self._transcript_ids: list[str] = []
        self._barriers_seen: set[str] = set()
        self._over = False
        self._changed = anyio.Event()
        self._listen()

    # -- what the server does --

    async def open(self, history: llm.ChatContext | None = None, tools: Any = ()) -> None:
        """Instructions, tools and history are given, the server is ready."""
        await self.configure(history=history, tools=tools)
        await self.become_ready()

    async def configure(
        self,
        history: llm.ChatContext | None = None,
        tools: Any = (),
        instructions: str = "Be kind.",
    ) -> None:
        if history is not None:
            await self.session.update_chat_ctx(history)
        await self.session.update_instructions(instructions)
        await self.session.update_tools(list(tools))
        await self.server.until(lambda: len(self.server.sent) == 1)

    async def become_ready(self) -> None:
        await self.server.say(
            {"type": "conversation_created", "conversation_id": "conv_1"},
            {"type": "ready_to_start_conversation"},
        )
        await self.settle()

    async def hear(self, *messages: dict[str, Any]) -> None:
        """The server says this, and it has been taken in."""
        await self.server.say(*messages)
        await self.settle()

    async def settle(self) -> None:
        """What was said so far has arrived, at both ends.

        An error of the server's, which changes nothing, comes out as an event once all before it
        has been taken in; a system message arrives at the server behind what was sent before.
        """
        if self._over:
            return
        self._barriers += 1
        mark = f"{MARK}{self._barriers}"
        await self.server.say({"type": "error", "error": {"message": mark}})
        await self._until(lambda: self._over or mark in self._barriers_seen)
        if self._over:
            return
        context = self.session.chat_ctx
        context.add_message(role="system", content=mark)
        await self.session.update_chat_ctx(context)
        await self.server.until(lambda: self._over or self._is_barrier(self.server.sent[-1], mark))

    @staticmethod
    def _is_barrier(message: dict[str, Any], mark: str = MARK) -> bool:
        return str(message.get("system_message", "")).startswith(mark)

    async def lose_connection(self) -> None:
        """Wait for what becomes of a session whose connection is gone: an end or a resume."""
        await self._until(lambda: self._over or "session_reconnected" in self._events)

    # -- what LiveKit does --

    async def change_chat(self, *items: llm.ChatItem) -> None:
        context = self.session.chat_ctx
        context.items.extend(items)
        await self.call("update_chat_ctx", context)
        await self.settle()

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the session; what it raises belongs to the outcome."""
        try:
            result = getattr(self.session, name)(*arguments, **options)
            return await result if asyncio.iscoroutine(result) else result
        except Exception as error:  # noqa: BLE001 - whatever it is, it is noted
            self._calls.append(f"{name}: {type(error).__name__}")
            return None

    async def generate_reply(self, **options: Any) -> None:
        reply = await self.call("generate_reply", **options)
        self._replies.append((reply, reply.done()))

    async def speak(self, ms: int, rate: int = RATE, channels: int = 1) -> None:
        """The caller speaks for so long, in frames of 10 ms, and it has arrived.

        What is written between two barriers stays far below what a socket buffers, so that no
        audio is still under way when the barrier arrives.
        """
        for at in range(0, ms, 10):
            self.push_audio(rate, channels)
            if at % 100 == 90:
                await self.settle()

    def push_audio(self, rate: int = RATE, channels: int = 1) -> None:
        """10 ms of the caller's."""
        samples = rate // 100
        pcm = b"\1\0" * samples * channels
        self.session.push_audio(rtc.AudioFrame(pcm, rate, channels, samples))

    # -- what the session does --

    def _listen(self) -> None:
        def on(name: str, note: Callable[[Any], None]) -> None:
            def listener(payload: Any) -> None:
                note(payload)
                self._wake()

            self.session.on(name, listener)

        on("generation_created", self._note_generation)
        on("error", self._note_error)
        on("input_audio_transcription_completed", self._note_transcript)
        on("input_speech_started", lambda _: self._events.append("input_speech_started"))
        on("session_reconnected", lambda _: self._events.append("session_reconnected"))
        on("input_speech_stopped", self._note_speech_stopped)

    def _note_speech_stopped(self, event: llm.InputSpeechStoppedEvent) -> None:
        transcript = ", a transcript follows" if event.user_transcription_enabled else ""
        self._events.append(f"input_speech_stopped{transcript}")

    def _note_generation(self, event: llm.GenerationCreatedEvent) -> None:
        heard = Heard(event)
        heard.reader = asyncio.create_task(heard.read())
        self._generations.append(heard)
        self._events.append(f"generation {len(self._generations)}")

    def _note_error(self, event: llm.RealtimeModelError) -> None:
        message = str(event.error)
        if message.startswith(MARK):
            self._barriers_seen.add(message)
        else:
            end = "recoverable" if event.recoverable else "unrecoverable"
            self._events.append(f"{end} error: {message}")

    def _note_transcript(self, event: llm.InputTranscriptionCompleted) -> None:
        self._transcript_ids.append(event.item_id)
        self._events.append(f"{'final' if event.is_final else 'interim'}: {event.transcript}")

    def note_end(self) -> None:
        """The session has ended by itself."""
        self._over = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _until(self, happened: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not happened():
                await self._changed.wait()

    # -- the outcome --

    async def finish(self) -> None:
        """Close the session and read every generation to its end."""
        with anyio.fail_after(PATIENCE):
            await self.session.aclose()
            await self.server.until(lambda: not self.server.connected)
            for heard in self._generations:
                assert heard.reader is not None
                await heard.reader

    def outcome(self) -> dict[str, Any]:
        """Aspect → plain data that two packages can be compared by."""
        sent = [_with_history_apart(m) for m in self.server.sent if not self._is_barrier(m)]
        configs = [m for m in sent if m["type"] == "config"]
        outcome: dict[str, Any] = {
            "configs": len(configs),
            **{f"config.{name}": value for name, value in (configs or [{}])[0].items()},
            "sent": [m for m in sent if m["type"] != "config"],
            "audio_ms": self.server.audio_ms,
            "resumes": self.server.resumes,
            "events": self._events,
            "generations": [heard.outcome() for heard in self._generations],
            "chat": [
                self._chat_item(item)
                for item in self.session.chat_ctx.items
                if not str(getattr(item, "text_content", "")).startswith(MARK)
            ],
            "raised": self._calls,
            "odd_forms": [h.form() for h in self._generations if h.form() != USUAL_FORM],
            "odd_rates": [h.rates for h in self._generations if h.rates - {RATE}],
            "empty_text": any("" in heard.text for heard in self._generations),
        }
        if self._replies:
            outcome["replies"] = [self._reply(*reply) for reply in self._replies]
        return outcome

    def _chat_item(self, item: llm.ChatItem) -> str:
        if isinstance(item, llm.ChatMessage):
            responses = [heard.event.response_id for heard in self._generations]
            origin = item.id
            if item.id in responses:
                origin = f"generation {responses.index(item.id) + 1}"
            elif item.id in self._transcript_ids:
                origin = "its transcript"
            cut_off = ", interrupted" if item.interrupted else ""
            return f"{item.role} ({origin}{cut_off}): {item.text_content}"
        if isinstance(item, llm.FunctionCall):
            return f"call {item.call_id}: {item.name} {item.arguments}"
        assert isinstance(item, llm.FunctionCallOutput)
        return f"output {item.call_id}: {item.output}"

    def _reply(self, reply: asyncio.Future[Any], at_once: bool) -> str:
        if not reply.done():
            return "never ended"
        when = "at once" if at_once else "later"
        if reply.cancelled():
            return f"cancelled {when}"
        if (error := reply.exception()) is not None:
            return f"{type(error).__name__} ({getattr(error, 'code', None)}) {when}"
        events = [heard.event for heard in self._generations]
        return f"generation {events.index(reply.result()) + 1} {when}"


def _with_history_apart(message: dict[str, Any]) -> dict[str, Any]:
    """The message with what its prompt says of the past as a list, however it is written."""
    if message.get("type") == "reset":
        return {**message, "config": _with_history_apart(message["config"])}
    prompt, past, history = str(message.get("system_prompt", "")).partition("\n\n")
    if not past:
        return message
    told: list[Any] = []
    written: set[str] = set()
    for line in history.splitlines():
        if MARK in line:
            continue
        if line.startswith("{"):
            entry = json.loads(line)
            written.add("JSON lines")
            told.append(
                f"{entry['role']}: {entry['text']}" if entry.keys() == {"role", "text"} else entry
            )
        elif line.startswith(("system: ", "user: ", "assistant: ")):
            written.add("plain lines")
            told.append(line)
    apart = {**message, "system_prompt": prompt}
    return {**apart, "history": told, "history_as": sorted(written)} if told else apart


Script = Callable[[Run], Awaitable[None]]

PACKAGES = ("plugin", "phonic_fsm")


async def run(
    package: str, script: Script, options: dict[str, Any], point_plugin_at: Callable[[str], None]
) -> dict[str, Any]:
    """The outcome of a script on one of the packages."""
    server = Server()
    async with serve(server.serve, "127.0.0.1", 0, compression=None) as listening:
        url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"
        session: Any
        if package == "plugin":
            point_plugin_at(url)
            session = PluginModel(api_key="key", **options).session()
            driven = Run(server, session)
            # It has no event that says so.
            session._main_atask.add_done_callback(lambda _: driven.note_end())
        else:
            model = RealtimeModel(api_key="key", base_url=url, audio_format="pcm_44100", **options)
            session = model.session()
            driven = Run(server, session)
            session.on("state_changed", lambda change: change.new == "closed" and driven.note_end())
        try:
            await script(driven)
        finally:
            await driven.finish()
    return driven.outcome()
