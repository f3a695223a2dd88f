"""Who is measured: the package, the plugin, and the floor.

The floor is what nobody can do without: a websocket, JSON and base64 read and written by msgspec,
LiveKit's frames and channels. It has no state, no errors, no second thoughts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from livekit import rtc
from livekit.agents import llm
from livekit.agents.utils import aio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import decode_server, encode

from .models import model
from .server import CHUNK_BYTES, Script, marked_pcm

Name = Literal["phonic_fsm", "plugin", "floor"]

RATE = 24_000
SILENCE = bytes(CHUNK_BYTES)
SOUND = bytes(24).ljust(CHUNK_BYTES, b"\x08")
"""It begins as silence does: by that, the server tells it from a frame to be answered."""


def new_session(name: Name, url: str) -> Any:
    """A session that has been given nothing yet."""
    return _Floor(url) if name == "floor" else model(name, url).session()


def ignore(_: rtc.AudioFrame) -> None:
    """For callers whose first frames are like any others."""


class Caller:
    """A session in use: what it emits is read as LiveKit reads it."""

    def __init__(self, session: Any, on_first_frame: Callable[[rtc.AudioFrame], None]) -> None:
        self.session = session
        self.pushed = 0
        """Frames of the caller's."""
        self.frames = 0
        """Of audio that were read."""
        self.generated = asyncio.Event()
        """A generation was announced."""
        self.heard = asyncio.Event()
        """A transcript has come."""
        self.turn_read = asyncio.Event()
        """A generation was read to its end."""
        self._on_first_frame = on_first_frame
        self._readers: set[asyncio.Task[None]] = set()
        session.on("generation_created", self._read)
        session.on("input_audio_transcription_completed", lambda _: self.heard.set())

    def _read(self, generation: llm.GenerationCreatedEvent) -> None:
        self.generated.set()
        reader = asyncio.create_task(self._read_to_the_end(generation))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)

    async def _read_to_the_end(self, generation: llm.GenerationCreatedEvent) -> None:
        async for message in generation.message_stream:
            words = asyncio.create_task(_drain(message.text_stream))
            first = True
            async for frame in message.audio_stream:
                self.frames += 1
                if first:
                    self._on_first_frame(frame)
                    first = False
            await words
        self.turn_read.set()

    def speak(self, *, to_be_answered: bool = False) -> None:
        """Push 20 ms: of half a second of sound, or of half a second of silence."""
        self.pushed += 1
        unmarked = SOUND if self.pushed // 25 % 2 else SILENCE
        pcm = marked_pcm() if to_be_answered else unmarked
        self.session.push_audio(rtc.AudioFrame(pcm, RATE, 1, CHUNK_BYTES // 2))

    async def close(self) -> None:
        await self.session.aclose()
        await asyncio.gather(*self._readers)


async def _drain(stream: Any) -> None:
    async for _ in stream:
        pass


async def call(
    name: Name,
    url: str,
    script: Script,
    on_first_frame: Callable[[rtc.AudioFrame], None] = ignore,
) -> Caller:
    """A caller whose session has been told all that it needs to connect."""
    caller = Caller(new_session(name, url), on_first_frame)
    await caller.session.update_instructions(msgspec.json.encode(script).decode())
    await caller.session.update_tools([])
    return caller


@asynccontextmanager
async def talking(
    name: Name,
    url: str,
    script: Script,
    on_first_frame: Callable[[rtc.AudioFrame], None] = ignore,
) -> AsyncIterator[Caller]:
    """A caller who has been greeted."""
    caller = await call(name, url, script, on_first_frame)
    try:
        await caller.generated.wait()
        yield caller
    finally:
        await caller.close()


class _Floor:
    """As much of a session as it takes to carry audio both ways."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._listeners: dict[str, Callable[[Any], None]] = {}
        self._prompt = ""
        self._out = aio.Chan[bytes]()
        self._audio = aio.Chan[rtc.AudioFrame]()
        self._text = aio.Chan[str]()
        self._running = asyncio.create_task(self._run())

    def on(self, event: str, listener: Callable[[Any], None]) -> None:
        self._listeners[event] = listener

    async def update_instructions(self, instructions: str) -> None:
        self._prompt = instructions

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        self._out.send_nowait(encode(client.Config(system_prompt=self._prompt)))

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        self._out.send_nowait(encode(client.AudioChunk(bytes(frame.data))))

    async def aclose(self) -> None:
        self._out.close()
        await self._running

    async def _run(self) -> None:
        async with connect(self._url, compression=None, ping_interval=None) as socket:
            reading = asyncio.create_task(self._read(socket))
            async for frame in self._out:
                await socket.send(frame, text=True)
        await reading
        self._end_turn()

    async def _read(self, socket: Any) -> None:
        try:
            while True:
                message = decode_server(await socket.recv(decode=False))
                if isinstance(message, server.AudioChunk):
                    if message.text:
                        self._text.send_nowait(message.text)
                    pcm = message.audio or b""
                    self._audio.send_nowait(rtc.AudioFrame(pcm, RATE, 1, len(pcm) // 2))
                elif isinstance(message, server.AssistantStartedSpeaking):
                    self._begin_turn()
                elif isinstance(message, server.AssistantFinishedSpeaking):
                    self._end_turn()
                elif isinstance(message, server.InputText):
                    self._listeners["input_audio_transcription_completed"](message)
        except ConnectionClosed:
            return

    def _begin_turn(self) -> None:
        self._audio, self._text = aio.Chan(), aio.Chan()
        messages = aio.Chan[llm.MessageGeneration]()
        messages.send_nowait(
            llm.MessageGeneration(
                message_id="",
                text_stream=self._text,
                audio_stream=self._audio,
                modalities=asyncio.get_running_loop().create_future(),
            )
        )
        messages.close()
        self._listeners["generation_created"](
            llm.GenerationCreatedEvent(messages, aio.Chan(), user_initiated=False)
        )

    def _end_turn(self) -> None:
        self._audio.close()
        self._text.close()
