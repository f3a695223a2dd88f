"""A real websocket server on loopback that a test scripts message by message.

Unlike the simulator it has no behaviour of its own: it says what the test tells it to say, and
hands over what it hears.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

import anyio
from livekit.agents import llm
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from phonic_fsm import RealtimeModel, RealtimeSession
from phonic_fsm._adapter.config import to_config
from phonic_fsm._audio.formats import WIRE_FORMATS
from phonic_fsm._core.context import Settings
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._runtime.lease import Lease
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._runtime.uplink import silence
from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import decode_client, encode

KEY = "sk-test-key-that-must-not-leak"

PATIENCE = 5
"""Seconds until a test gives up waiting; nothing here takes that long unless it never comes."""

M = TypeVar("M")

SILENCE = b"\0\0" * 480
"""20 ms of 24 kHz."""


FILL = {silence(wire_format)[0].audio for wire_format in WIRE_FORMATS.values()}
"""What a session sends where there is no audio of the caller."""


class Peer:
    """One connection, from the server's side.

    ``audio`` is what the caller said so far, without the silence that fills gaps, of which
    ``fills`` counts the chunks.
    """

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.audio: list[bytes] = []
        self.fills = 0
        assert socket.request is not None
        self.path = socket.request.path
        self.headers = socket.request.headers

    async def receive(self) -> Any:
        """The next message that is not audio; ``None`` once the client has closed."""
        with anyio.fail_after(PATIENCE):
            while True:
                try:
                    message = decode_client(await self._socket.recv())
                except ConnectionClosed:
                    return None
                if not isinstance(message, client.AudioChunk):
                    return message
                self._hear(message)

    def _hear(self, chunk: client.AudioChunk) -> None:
        if chunk.audio in FILL:
            self.fills += 1
        else:
            self.audio.append(chunk.audio)

    async def receive_silence(self, chunks: int) -> None:
        """Return when the session has filled a gap with so many further chunks of silence."""
        wanted = self.fills + chunks
        with anyio.fail_after(PATIENCE):
            while self.fills < wanted:
                message = decode_client(await self._socket.recv())
                assert isinstance(message, client.AudioChunk), message
                self._hear(message)

    async def receive_audio(self, chunks: int) -> list[bytes]:
        """So many chunks of audio; no other message may come between."""
        with anyio.fail_after(PATIENCE):
            while len(self.audio) < chunks:
                message = decode_client(await self._socket.recv())
                assert isinstance(message, client.AudioChunk), message
                self._hear(message)
        return self.audio

    async def expect(self, kind: type[M]) -> M:
        """The next message that is not audio, which must be of this type."""
        message = await self.receive()
        assert isinstance(message, kind), message
        return message

    async def receive_json(self) -> dict[str, Any]:
        """The next message, as the JSON object that it is on the wire."""
        with anyio.fail_after(PATIENCE):
            message: dict[str, Any] = json.loads(await self._socket.recv())
            return message

    async def send(self, *messages: object) -> None:
        for message in messages:
            await self._socket.send(encode(message), text=True)

    async def send_raw(self, frame: str | bytes) -> None:
        await self._socket.send(frame)

    async def open_conversation(self, conversation_id: str = "conv_1") -> client.Config:
        """Take the config and say that the conversation is open."""
        config = await self.expect(client.Config)
        await self.send(
            server.ConversationCreated(conversation_id), server.ReadyToStartConversation()
        )
        return config

    async def speak(self, *words: str, audio: bytes = SILENCE) -> None:
        """A whole turn of the assistant, one chunk a word."""
        await self.send(
            server.AssistantStartedSpeaking(),
            *(server.AudioChunk(audio, word) for word in words),
            server.AssistantFinishedSpeaking(),
        )

    @property
    def close_code(self) -> int | None:
        """How the client closed the connection; 1006 without a close frame."""
        return self._socket.close_code

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code, reason)

    def cut(self) -> None:
        """Drop the connection without a close frame."""
        self._socket.transport.abort()


class PhonicServer:
    """Listens on a free port; ``refuse`` makes it answer handshakes with an HTTP status."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._server: Server | None = None
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.refuse: int | None = None
        self.retry_after: str | None = None
        self.handshakes = 0

    async def __aenter__(self) -> PhonicServer:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._answer_handshake,
            # A test need not read what the session says; its close frame must be seen.
            max_queue=None,
            compression=None,
            ssl=self._tls,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        scheme = "wss" if self._tls else "ws"
        return f"{scheme}://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def accept(self) -> Peer:
        """The next connection."""
        with anyio.fail_after(PATIENCE):
            return await self._peers.get()

    def _answer_handshake(self, socket: ServerConnection, _: object) -> Any:
        self.handshakes += 1
        if self.refuse is None:
            return None
        response = socket.respond(self.refuse, "refused\n")
        if self.retry_after is not None:
            response.headers["Retry-After"] = self.retry_after
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        self._peers.put_nowait(Peer(socket))
        await socket.wait_closed()


class Emitted:
    """What a session emits, in order, as (event, payload)."""

    NAMES = (
        "input_speech_started",
        "input_speech_stopped",
        "input_audio_transcription_completed",
        "generation_created",
        "session_reconnected",
        "error",
        "state_changed",
    )

    def __init__(self, session: RealtimeSession) -> None:
        self._events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        for name in self.NAMES:
            listen: Any = session.on  # the names are of both kinds, LiveKit's and ours
            listen(name, lambda payload, name=name: self._events.put_nowait((name, payload)))

    async def next(self, name: str) -> Any:
        """The payload of the next event of this name; others are passed over."""
        with anyio.fail_after(PATIENCE):
            while True:
                emitted, payload = await self._events.get()
                if emitted == name:
                    return payload

    async def state(self, state: str) -> None:
        """Wait until the session has moved to this state."""
        while (await self.next("state_changed")).new != state:
            pass

    async def before(self, name: str) -> list[tuple[str, Any]]:
        """What is emitted before the next event of this name, which is taken too."""
        passed: list[tuple[str, Any]] = []
        with anyio.fail_after(PATIENCE):
            while (emitted := await self.any())[0] != name:
                passed.append(emitted)
        return passed

    async def any(self) -> tuple[str, Any]:
        """What is emitted next."""
        return await self._events.get()

    def rest(self) -> list[tuple[str, Any]]:
        """What has been emitted and not been asked for."""
        events = []
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events


class Heard:
    """A generation, read to its end."""

    def __init__(self, message_id: str, text: str, audio: bytes, calls: list[Any]) -> None:
        self.message_id = message_id
        self.text = text
        self.audio = audio
        self.calls = calls


async def read(generation: llm.GenerationCreatedEvent) -> Heard:
    """Everything that a generation's streams give, once they have ended."""
    text, audio, message_id = "", b"", ""
    with anyio.fail_after(PATIENCE):
        async for message in generation.message_stream:
            message_id = message.message_id
            async for part in message.text_stream:
                text += part
            async for frame in message.audio_stream:
                audio += bytes(frame.data)
        calls = [call async for call in generation.function_stream]
    return Heard(message_id, text, audio, calls)


MARKER = "(marker)"


async def settle(peer: Peer, emitted: Emitted) -> list[str]:
    """Have a transcript come, behind everything else: the names of what was emitted before it."""
    await peer.send(server.InputText(MARKER))
    names = []
    with anyio.fail_after(PATIENCE):
        while getattr((told := await emitted.any())[1], "transcript", None) != MARKER:
            names.append(told[0])
    return names


class Impatient:
    """Makes sessions that wait 50 ms for an answer to go on and, by default, for one to begin."""

    def __init__(
        self,
        model: RealtimeModel,
        *,
        reply_timeout: float = 0.05,
        lease: Lease | None = None,
        **options: Any,
    ) -> None:
        self.model = model
        self.lease = lease
        self.reply_timeout = reply_timeout
        self.options = options

    def session(self) -> RealtimeSession:
        model = self.model
        config, tool_configs = to_config(self.options, "pcm_24000")
        settings = Settings(
            id_seed="test",
            config=config,
            reply_timeout=self.reply_timeout,
            turn_timeout=0.05,
        )
        return RealtimeSession(
            model,
            SessionMachine(settings),
            model._endpoint,
            secrets=Secrets(KEY),
            options=self.options,
            tool_configs=tool_configs,
            audio_format="pcm_24000",
            connect_timeout=5.0,
            own=lambda _: (None, self.lease),
        )


@asynccontextmanager
async def started(
    model: RealtimeModel | Impatient,
) -> AsyncIterator[tuple[RealtimeSession, Emitted]]:
    """A session that has been given nothing yet, and what it emits."""
    session = model.session()
    try:
        yield session, Emitted(session)
    finally:
        await session.aclose()


@asynccontextmanager
async def conversation(
    model: RealtimeModel | Impatient,
    server: PhonicServer,
    *,
    instructions: str = "Be kind.",
    tools: list[llm.Tool] | None = None,
) -> AsyncIterator[tuple[RealtimeSession, Peer, Emitted]]:
    """A session whose conversation is open, its server side and what it emits."""
    session = model.session()
    emitted = Emitted(session)
    try:
        await session.update_instructions(instructions)
        await session.update_tools(tools or [])
        peer = await server.accept()
        await peer.open_conversation()
        await emitted.state("ready")
        yield session, peer, emitted
    finally:
        await session.aclose()
