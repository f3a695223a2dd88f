"""Runs one script against two packages and notes, as plain data, what each sends and emits.

The server is a real websocket server on loopback that reads raw JSON, so that it sees what
neither package's types would let it see. A script says what the server and LiveKit do, in turn;
it never asks which package it drives.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from livekit import rtc
from livekit.agents import llm
from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.types import TimedString
from livekit.agents.utils import is_given
from livekit.plugins.phonic.realtime import RealtimeModel as PluginModel
from parity.differential_table import ABSENT, OFF
from support.proxy import proxy
from websockets.asyncio.server import Server as WebsocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from phonic_fsm import AudioFormat, RealtimeModel, StateChanged

PATIENCE = 10
"""Seconds until a run gives up waiting; nothing here takes that long unless it never comes."""

RELEASE = "former" if version("livekit-plugins-phonic").startswith("1.4.") else "current"
"""Which release of the plugin is installed: 1.4.5, or 1.8. No environment can have both."""

RATE = {"former": 44_100, "current": 24_000}[RELEASE]
"""The plugin's wire rate (Hz), so both are set to it."""

WIRE_FORMAT: AudioFormat = "pcm_44100" if RELEASE == "former" else "pcm_24000"

KEY = "the-secret-key"

FAR = "ws://255.255.255.255"
"""An address that nothing can be reached at, unless a proxy leads elsewhere."""

SURROGATE = "\ud800"
"""Half a surrogate pair, which UTF-8 has no bytes for. An outcome has it in words."""

HALF = "half a character"

MARK = "barrier-"
"""Begins the text of what a run says to wait for something; it stays out of the outcome."""


# -- the server ----------------------------------------------------------------------------------


class Server:
    """Serves one session, over as many connections as it opens."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        """What the session said that was not audio."""
        self.audio_bytes = 0
        self.redirects_followed = 0
        self.silence_bytes = 0
        """Of audio that nobody has pushed."""
        self.newest_sample = b""
        self.listens = anyio.Event()
        """Until it is set, nothing more is read."""
        self.dated: bool | None = None
        """Whether the first chunk of audio says when it was sent; ``None`` before it."""
        self.resumes: list[str] = []
        """Conversation ids that it came back for."""
        self._socket: ServerConnection | None = None
        self._heard = anyio.Event()
        self.listens.set()

    async def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        query = parse_qs(urlsplit(connection.request.path).query)
        resumed = query.get("reconnect_conv_id")
        self.redirects_followed += "redirected" in query
        self._socket = connection
        self.wake()
        if resumed:
            self.resumes += resumed
            await connection.send(json.dumps({"type": "conversation_reconnected"}))
        try:
            while True:
                await self.listens.wait()
                text = await connection.recv(decode=True)
                self._take(json.loads(text.replace(r"\ud800", HALF)))
        except ConnectionClosed:
            if self._socket is connection:
                self._socket = None
        finally:
            self.wake()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "audio_chunk":
            audio = base64.b64decode(message["audio"])
            if any(audio):
                self.audio_bytes += len(audio)
                self.newest_sample = audio[-2:]
            else:
                self.silence_bytes += len(audio)
            if self.dated is None:
                self.dated = "iso_date_time" in message
        else:
            self.sent.append(message)
        self.wake()

    def wake(self) -> None:
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

    async def say(self, *messages: Any) -> None:
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
    times: list[tuple[int, ...]] = field(default_factory=list)
    audio: bytes = b""
    began: float = 0.0
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
                if part:
                    self.times.append(_times(part))
            async for frame in message.audio_stream:
                self.began = self.began or anyio.current_time()
                self.audio += bytes(frame.data)
                self.rates.add(frame.sample_rate)
        async for call in self.event.function_stream:
            self.calls.append((call.name, call.call_id, json.loads(call.arguments or "null")))

    def outcome(self) -> str:
        calls = "".join(
            f" {name} {call_id} {_short(json.dumps(arguments))}"
            for name, call_id, arguments in self.calls
        )
        asked_for = " asked for" if self.event.user_initiated else ""
        return f"{_short(''.join(self.text))!r} {_short(self.audio)!r}{calls}{asked_for}"

    def is_played_after(self, moment: float) -> bool:
        """Whether a part of it that can be noticed would have been heard only then."""
        return self.began + len(self.audio) / 2 / RATE - moment > 0.1

    def form(self) -> tuple[Any, ...]:
        """What every generation has in common, or else is odd."""
        ids = [i if i != self.event.response_id else "the response's" for i in self.messages]
        return (ids, self.modalities)


def _short(said: Any) -> Any:
    """A long text, or long audio, as its length."""
    return said if len(said) <= 100 else f"{len(said):,} long"


def _times(text: str) -> tuple[int, ...]:
    """When the words begin and end in the generation's audio (ms), if they say so."""
    if not isinstance(text, TimedString):
        return ()
    assert is_given(text.start_time)
    assert is_given(text.end_time)
    return round(text.start_time * 1000), round(text.end_time * 1000)


USUAL_FORM = (["the response's"], ["audio", "text"])
"""One message, with the response's id and both modalities."""


# -- a run ---------------------------------------------------------------------------------------


class Run:
    """Drives one session of either package and keeps what it did."""

    def __init__(self, server: Server, session: llm.RealtimeSession[Any], log: Log) -> None:
        self.server = server
        self.session = session
        self._log = log
        self._barriers = 0
        self._calls: list[str] = []
        self._replies: list[tuple[asyncio.Future[llm.GenerationCreatedEvent], bool]] = []
        self._events: list[str] = []
        self._generations: list[Heard] = []
        self._transcript_ids: list[str] = []
        self._metrics: list[RealtimeModelMetrics] = []
        self._barriers_seen: set[str] = set()
        self._over = False
        self._is_silent: bool | None = None
        """Whether no audio was sent while a script has let time pass."""
        self._fell_behind: bool | None = None
        """Whether all audio was sent that the server was too slow for."""
        self._failed_at: float | None = None
        """When an error first said that the session is over."""
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

    async def hear(self, *messages: Any) -> None:
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

    async def end_or_connection(self) -> None:
        """Wait until the server has a connection or the session has ended."""
        await self.server.until(lambda: self.server.connected or self._over)

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
        self._await_reply(await self.call("generate_reply", **options))

    async def say(self, text: str | AsyncIterable[str]) -> None:
        self._await_reply(await self.call("say", text))

    def _await_reply(self, reply: asyncio.Future[llm.GenerationCreatedEvent]) -> None:
        self._replies.append((reply, reply.done()))

    def give_up_reply(self) -> None:
        """Cancel the reply that was asked for last."""
        self._replies[-1][0].cancel()

    async def speak(self, ms: int, rate: int = RATE, channels: int = 1) -> None:
        """The caller speaks for so long, in frames of 10 ms, and it has arrived.

        What is written between two barriers stays far below what a socket buffers, so that no
        audio is still under way when the barrier arrives.
        """
        for at in range(0, ms, 10):
            self.push_audio(rate, channels)
            if at % 100 == 90:
                await self.settle()

    async def speak_to_a_stalled_socket(self, seconds: int) -> None:
        """The caller speaks for so long while the server reads nothing, and a moment more."""
        self.server.listens = anyio.Event()
        for _ in range(seconds * 100):
            self.push_audio()
            await asyncio.sleep(0)
        last = b"\2\0"
        for _ in range(10):
            self.push_audio(sample=last)
        self.server.listens.set()
        await self.server.until(lambda: self.server.newest_sample == last)
        self._fell_behind = self.server.audio_ms >= seconds * 1000

    def push_audio(self, rate: int = RATE, channels: int = 1, sample: bytes = b"\1\0") -> None:
        """10 ms of the caller's."""
        samples = rate // 100
        pcm = sample * samples * channels
        self.session.push_audio(rtc.AudioFrame(pcm, rate, channels, samples))

    async def until_generations_end(self, seconds: float) -> None:
        """Wait until all that was begun has ended, at most for so long."""
        with anyio.move_on_after(seconds):
            for heard in self._generations:
                assert heard.reader is not None
                await asyncio.shield(heard.reader)
        unfinished = sum(h.reader is not None and not h.reader.done() for h in self._generations)
        self._events.append(f"{unfinished} generation(s) open after {seconds:g} s")

    async def wait(self, seconds: float) -> None:
        """Let time pass. From then on, it counts whether the session sends silence meanwhile."""
        before = self.server.silence_bytes
        await anyio.sleep(seconds)
        await self.settle()
        self._is_silent = self.server.silence_bytes == before

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
        on("metrics_collected", self._metrics.append)
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
        # Ours says in str() where the session was, too.
        message = getattr(event.error, "message", str(event.error))
        if message.startswith(MARK):
            self._barriers_seen.add(message)
        else:
            message = "a text with the key in it" if KEY in message else message
            end = "recoverable" if event.recoverable else "unrecoverable"
            if not event.recoverable and self._failed_at is None:
                self._failed_at = anyio.current_time()
            self._events.append(f"{end} error: {message}")

    def _note_transcript(self, event: llm.InputTranscriptionCompleted) -> None:
        self._transcript_ids.append(event.item_id)
        self._events.append(f"{'final' if event.is_final else 'interim'}: {event.transcript}")

    def note_change(self, change: StateChanged) -> None:
        if change.new == "closed":
            self.note_end()

    def note_end(self) -> None:
        """The session has ended by itself."""
        self._over = True
        self._wake()
        self.server.wake()

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
        messages = [message for message in self.server.sent if not self._is_barrier(message)]
        sent = [_comparable(message) for message in messages]
        configs = [message for message in sent if message["type"] == "config"]
        config = configs[0] if configs else {}
        outcome: dict[str, Any] = {
            "configs": len(configs),
            **{f"config.{name}": value for name, value in config.items()},
            "sent": [_against(config, message) for message in sent if message["type"] != "config"],
            "history_as": _forms_of_history(messages),
            "resets_welcome": _welcomes(messages),
            "off_in_tools": _off_in_tools(messages),
            "audio_ms": self.server.audio_ms,
            "redirects_followed": self.server.redirects_followed,
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
            "text_times": sorted({times for h in self._generations for times in h.times}),
            "cuts_words_off": self._failed_at is not None
            and any(heard.is_played_after(self._failed_at) for heard in self._generations),
            "connections_measured": sum(m.acquire_time > 0 for m in self._metrics),
            "replies_measured": any(m.acquire_time == 0 for m in self._metrics),
            "key_in_log": self._log.holds(KEY),
            "log_flooded": self._log.longest > 10_000,
        }
        if self.server.audio_bytes:
            outcome["first_audio_dated"] = self.server.dated
        if self._fell_behind is not None:
            del outcome["audio_ms"]
            outcome["fell_behind"] = self._fell_behind
        if self._is_silent is not None:
            outcome["silence_sent"] = not self._is_silent
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
            return f"{item.role} ({origin}{cut_off}): {_short(item.text_content)}"
        if isinstance(item, llm.FunctionCall):
            return f"call {item.call_id}: {item.name} {item.arguments}"
        assert isinstance(item, llm.FunctionCallOutput)
        return f"output {item.call_id}: {item.output.replace(SURROGATE, HALF)}"

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


# -- messages that two packages can be compared by ------------------------------------------------

WELCOME = ("welcome_message", "generate_welcome_message")


def _config_in(message: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = message["config"] if message["type"] == "reset" else message
    return config


def _comparable(message: dict[str, Any]) -> dict[str, Any]:
    """The message, with the history in its prompt as a list and without what tools have off."""
    config = _config_in(message)
    if "tools" in config:
        config = {**config, "tools": [_without_what_is_off(tool) for tool in config["tools"]]}
    if "system_prompt" in config:
        prompt, _, _ = config["system_prompt"].partition("\n\n")
        told = [_told(line) for line in _history(config)]
        config = {**config, "system_prompt": prompt, **({"history": told} if told else {})}
    return {**message, "config": config} if message["type"] == "reset" else config


def _against(config: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """A reset as what it changes of the session's first config; the welcome is noted apart.

    Where the config has no list, an empty one changes nothing.
    """
    if message["type"] != "reset":
        return message
    new = message["config"]
    changed = {
        name: new.get(name, ABSENT)
        for name in sorted({*config, *new} - {"type", *WELCOME})
        if new.get(name, []) != config.get(name, [])
    }
    return {"type": "reset", **changed}


def _welcomes(messages: list[dict[str, Any]]) -> list[Any]:
    """What resets say of a welcome."""
    resets = [message["config"] for message in messages if message["type"] == "reset"]
    said = [{name: reset[name] for name in WELCOME if name in reset} for reset in resets]
    return [welcome for at, welcome in enumerate(said) if welcome not in said[:at]]


def _without_what_is_off(tool: Any) -> Any:
    if isinstance(tool, str):
        return tool
    return {name: value for name, value in tool.items() if value or name not in OFF}


def _off_in_tools(messages: list[dict[str, Any]]) -> list[str]:
    """What tools are said to have off."""
    tools = [tool for message in messages for tool in _config_in(message).get("tools", ())]
    own = [tool for tool in tools if not isinstance(tool, str)]
    return [name for name in OFF if any(tool.get(name) is False for tool in own)]


def _history(config: dict[str, Any]) -> list[str]:
    """The lines of the prompt that carry the past, however they are written."""
    _, _, behind = str(config.get("system_prompt", "")).partition("\n\n")
    marks = ("{", "system: ", "user: ", "assistant: ")
    return [line for line in behind.splitlines() if line.startswith(marks) and MARK not in line]


def _told(line: str) -> Any:
    if not line.startswith("{"):
        return line
    entry = json.loads(line)
    return f"{entry['role']}: {entry['text']}" if entry.keys() == {"role", "text"} else entry


def _forms_of_history(messages: list[dict[str, Any]]) -> list[str]:
    lines = [line for message in messages for line in _history(_config_in(message))]
    return sorted({"JSON lines" if line.startswith("{") else "plain lines" for line in lines})


# -- the packages --------------------------------------------------------------------------------

Script = Callable[[Run], Awaitable[None]]

PACKAGES = ("plugin", "phonic_fsm")


def _url(listening: WebsocketServer) -> str:
    return f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"


def _refuse(connection: ServerConnection, _: object) -> Response:
    return connection.respond(HTTPStatus.UNAUTHORIZED, "")


def _redirect_to(url: str) -> Callable[[ServerConnection, object], Response]:
    def redirect(connection: ServerConnection, _: object) -> Response:
        response = connection.respond(HTTPStatus.MOVED_PERMANENTLY, "")
        response.headers["Location"] = f"{url}?redirected=yes"
        return response

    return redirect


@asynccontextmanager
async def _doorway(server: Server, door: str | None) -> AsyncIterator[str]:
    """The address that a package gets: the server's own, or one where something is in the way."""
    async with serve(server.serve, "127.0.0.1", 0, compression=None) as listening:
        url = _url(listening)
        if door is None:
            yield url
        elif door == "proxy":
            async with proxy(url) as between:
                with pytest.MonkeyPatch.context() as environment:
                    environment.setenv("http_proxy", f"http://{between.address}")
                    yield FAR
        else:
            answers = {"redirect": _redirect_to(url), "refuse": _refuse}
            async with serve(server.serve, "127.0.0.1", 0, process_request=answers[door]) as before:
                yield _url(before)


class Log(logging.Handler):
    """What is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(logging.Formatter().format(record))

    def holds(self, text: str) -> bool:
        return any(text in line for line in self._lines)

    @property
    def longest(self) -> int:
        """The characters of its longest line."""
        return max(map(len, self._lines), default=0)

    @contextmanager
    def listening(self) -> Iterator[None]:
        logging.getLogger().addHandler(self)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(self)


async def run(
    package: str, script: Script, options: dict[str, Any], point_plugin_at: Callable[[str], None]
) -> dict[str, Any]:
    """The outcome of a script on one of the packages.

    The options are the model's, and two more. ``door`` says what is between the package and the
    server: a ``redirect`` to it, a ``proxy``, or an answer that says to ``refuse`` it. With
    ``turn_detection_disabled``, LiveKit detects the caller's turns.
    """
    server, log = Server(), Log()
    options = {"api_key": KEY, **options}
    door = options.pop("door", None)
    how = {name: options.pop(name) for name in ("turn_detection_disabled",) if name in options}
    async with _doorway(server, door) as url:
        session: Any
        if package == "plugin":
            point_plugin_at(url)
            session = PluginModel(**options).session(**how)
            driven = Run(server, session, log)
            # It has no event that says so.
            session._main_atask.add_done_callback(lambda _: driven.note_end())
        else:
            model = RealtimeModel(base_url=url, audio_format=WIRE_FORMAT, **options)
            session = model.session(**how)
            driven = Run(server, session, log)
            session.on("state_changed", driven.note_change)
        with log.listening():
            try:
                await script(driven)
            finally:
                await driven.finish()
    return driven.outcome()
