"""A client of the simulator without a session: what it sends and hears, message by message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect

from phonic_fsm._audio import mulaw
from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import decode_server, encode
from phonic_fsm._wire.config import InlineTool
from phonic_fsm.simulator import PhonicSimulator, Scenario, speak

RATE = 8000
LINE = "The sea covers most of our planet, and it is home to countless animals."
NOW = "2026-07-01T12:00:00.000Z"
M = TypeVar("M")


def config(**fields: Any) -> client.Config:
    """Audio at 8 kHz, as fast as it is generated."""
    settings = {
        "input_format": "pcm_8000",
        "output_format": "pcm_8000",
        "stream_ahead_of_real_time": True,
    }
    return client.Config(**{**settings, **fields})


def tool(name: str, **fields: Any) -> InlineTool:
    parameters = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    function = {"name": name, "description": "Do it.", "parameters": parameters, "strict": True}
    return InlineTool(tool_schema={"type": "function", "function": function}, **fields)


class Caller:
    """The other end of the line."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[Any] = []
        """Every message so far, audio among it."""

    @property
    def kinds(self) -> list[str]:
        """The types of the messages so far, without audio."""
        tags = [message.__struct_config__.tag for message in self.heard]
        return [tag for tag in tags if tag != "audio_chunk"]

    @property
    def text(self) -> str:
        """What the assistant said so far."""
        return "".join(m.text or "" for m in self.heard if isinstance(m, server.AudioChunk))

    async def send(self, *messages: client.ClientMessage) -> None:
        for message in messages:
            await self.socket.send(encode(message), text=True)

    async def until(self, kind: type[M]) -> M:
        """The next message of this kind."""
        while True:
            message = decode_server(await self.socket.recv())
            self.heard.append(message)
            if isinstance(message, kind):
                return message

    async def until_said(self, text: str) -> None:
        while text not in self.text:
            await self.until(server.AudioChunk)

    async def play(self, sound: bytes) -> None:
        """Send audio in the input format, in chunks of at most 40 ms."""
        for start in range(0, len(sound), RATE // 25):
            await self.send(client.AudioChunk(sound[start : start + RATE // 25], NOW))

    async def play_mulaw(self, pcm: bytes) -> None:
        await self.play(mulaw.encode(pcm))

    async def begin_to_speak(self) -> None:
        await self.play(speak("Aha", RATE).pcm)

    async def fall_silent(self) -> None:
        await self.play(bytes(RATE * 2 * 9 // 10))

    async def speak(self, text: str = "Hello there") -> None:
        await self.play(speak(text, RATE).pcm)
        await self.fall_silent()

    async def refused(self, frame: str | bytes | client.ClientMessage) -> server.Error:
        if not isinstance(frame, (str, bytes)):
            frame = encode(frame).decode()
        await self.socket.send(frame)
        return await self.until(server.Error)


@asynccontextmanager
async def dial(sim: PhonicSimulator, query: str = "") -> AsyncIterator[Caller]:
    headers = {"Authorization": "Bearer key"}
    url = f"{sim.url}/v1/sts/ws{query}"
    async with connect(url, additional_headers=headers, compression=None) as socket:
        yield Caller(socket)


@asynccontextmanager
async def call(
    scenario: Scenario, configured: client.Config | None = None, **options: Any
) -> AsyncIterator[tuple[PhonicSimulator, Caller]]:
    """A conversation that is ready."""
    async with PhonicSimulator(scenario, **options) as sim, dial(sim) as caller:
        await caller.send(configured or config())
        await caller.until(server.ReadyToStartConversation)
        yield sim, caller


async def lose(sim: PhonicSimulator, caller: Caller) -> str:
    """Lose the connection; the query that resumes the conversation."""
    sim.drop()
    await caller.socket.wait_closed()
    return f"?reconnect_conv_id={sim.conversations[-1].conversation_id}"
