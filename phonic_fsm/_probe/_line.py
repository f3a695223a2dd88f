"""One connection to Phonic: what is said over it, what is heard, and the record of both.

Nothing here knows what an experiment is about.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, TextIO

import anyio
import msgspec

from .._audio.formats import WIRE_FORMATS
from .._core.events import ConnectFailed, ConnectionClosed, ConnectionOpened
from .._runtime.connection import Connection
from .._runtime.endpoint import Endpoint
from .._runtime.secrets import Secrets
from .._wire import client, server

FORMAT = WIRE_FORMATS["pcm_24000"]
"""Of all audio of the probe."""

CHUNK_S = 0.02
CHUNK_BYTES = round(FORMAT.bytes_per_second * CHUNK_S)

CONNECT_TIMEOUT_S = 10.0

LOUD = 500
"""The highest sample (of 32767) of what is silence or background sound."""

Test = Callable[[Any], bool]


class Refused(Exception):
    """The service does not let the probe in. The text says why."""


class Transcript:
    """Writes every message to a file, a JSON object a line, with the seconds since the start.

    Audio is written as its length (ms), and silence of the probe's own not at all.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._began = anyio.current_time()

    def write(self, line: str, way: str, message: Any) -> None:
        """Note a message of either side, or what became of the connection."""
        told: dict[str, Any] = msgspec.to_builtins(message)
        if isinstance(audio := getattr(message, "audio", None), bytes):
            told["audio"] = {"ms": _ms(audio), "loud": is_loud(audio)}
        entry = {"t": round(anyio.current_time() - self._began, 3), "line": line, "way": way}
        self._file.write(json.dumps(entry | told, ensure_ascii=False) + "\n")


class Line:
    """A connection that streams silence, and the caller's voice when there is any."""

    def __init__(
        self, endpoint: Endpoint, transcript: Transcript, name: str, resume: str | None
    ) -> None:
        self.heard: list[Any] = []
        """Every message of the server, in order."""
        self.closed: ConnectionClosed | None = None
        """How the connection ended; ``None`` while it is there."""
        self.streams_audio = True
        self._failed: ConnectFailed | None = None
        self._transcript = transcript
        self._name = name
        self._voice = bytearray()
        self._has_spoken = False
        self._changed = anyio.Event()
        self._ended = anyio.Event()
        self._secrets = Secrets(endpoint.api_key)
        self._connection = Connection(
            endpoint, self._secrets, self._note, resume=resume, connect_timeout=CONNECT_TIMEOUT_S
        )

    # -- speaking --------------------------------------------------------------------------------

    def send(self, *messages: client.ClientMessage) -> None:
        """Send messages in this order."""
        for message in messages:
            self._transcript.write(self._name, "out", message)
            self._connection.send(message)

    async def speak(self, voice: bytes) -> None:
        """Say this as the caller (PCM16 LE), and return when it is said."""
        self._voice += voice
        await self._until(lambda: not self._voice or self.is_over, None)

    async def stream(self) -> None:
        """Send audio for as long as there is a connection: 20 ms every 20 ms."""
        due = anyio.current_time()
        while not self.is_over:
            if self.streams_audio:
                self._send_audio()
            due += CHUNK_S
            await anyio.sleep_until(due)

    def _send_audio(self) -> None:
        audio = bytes(self._voice[:CHUNK_BYTES])
        del self._voice[:CHUNK_BYTES]
        if audio and not self._voice:
            self._news()
        # Required on the first chunk (published protocol).
        sent_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        chunk = client.AudioChunk(
            audio.ljust(CHUNK_BYTES, b"\0"), msgspec.UNSET if self._has_spoken else sent_at
        )
        self._has_spoken = True
        if audio:
            self.send(chunk)
        else:
            self._connection.send(chunk)

    # -- ending ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the connection, and return when it has ended."""
        try:
            await self._connection.run()
        finally:
            self._ended.set()

    async def hang_up(self) -> None:
        """Close the connection (1000), if there is one, and return when it has ended."""
        self.closed = self.closed or ConnectionClosed(1000)
        self._connection.end()
        await self._ended.wait()

    def cut(self) -> None:
        """Cut the connection without a close frame, as a network does that fails."""
        self._connection.cut()

    # -- listening -------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether there is no connection any more, or none came about."""
        return self.closed is not None or self._failed is not None

    @property
    def now(self) -> int:
        """The number of messages so far: where to look from for what comes next."""
        return len(self.heard)

    async def find(self, test: Test, *, since: int, within: float) -> int | None:
        """The number of the first message since then that passes; ``None`` if none comes within so
        many seconds, or before the connection ends. Each is tested once, when it is there."""
        looked_at, number = since, None

        def found() -> bool:
            nonlocal looked_at, number
            while number is None and looked_at < len(self.heard):
                if test(self.heard[looked_at]):
                    number = looked_at
                looked_at += 1
            return number is not None

        await self._until(lambda: found() or self.is_over, within)
        return number

    @property
    def refusal(self) -> str | None:
        """Why there is no connection, or no conversation in it; ``None`` where there is."""
        if self._failed is not None:
            return self._failed.problem
        for message in self.heard:
            if isinstance(message, server.Error):
                return f"Phonic refused the configuration: {message.error.message}"
        if self.closed is not None:
            reason = f": {self.closed.reason}" if self.closed.reason else ""
            return f"Phonic closed the connection ({self.closed.code}{reason})"
        return None

    async def end(self, within: float) -> ConnectionClosed | None:
        """How the connection ended; ``None`` if it is still there after so many seconds."""
        await self._until(lambda: self.closed is not None, within)
        return self.closed

    async def quiet(self, seconds: float) -> None:
        """Return when nobody has spoken for so long, or the connection has ended."""
        since = self.now
        while (found := await self.find(is_activity, since=since, within=seconds)) is not None:
            since = found + 1

    def text(self, since: int) -> str:
        """What the assistant has said since then."""
        chunks = (m for m in self.heard[since:] if isinstance(m, server.AudioChunk))
        return "".join(chunk.text or "" for chunk in chunks)

    async def _until(self, condition: Callable[[], bool], within: float | None) -> None:
        with anyio.move_on_after(within):
            while not condition():
                await self._changed.wait()

    def _news(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _note(self, event: Any) -> None:
        event = self._secrets.out_of(event)
        self._transcript.write(self._name, "in", event)
        if isinstance(event, ConnectFailed):
            self._failed = event
        elif isinstance(event, ConnectionClosed):
            self.closed = event
        elif not isinstance(event, ConnectionOpened):
            self.heard.append(event)
        self._news()


def is_loud(audio: bytes) -> bool:
    """Whether this (PCM16 LE) is more than silence or background sound."""
    samples = array("h", audio[: len(audio) // 2 * 2])
    return bool(samples) and (max(samples) > LOUD or min(samples) < -LOUD)


def begins_answer(message: Any) -> bool:
    """Whether with this message the assistant begins to speak."""
    if isinstance(message, server.AudioChunk):
        return bool(message.text)
    return isinstance(message, server.AssistantStartedSpeaking)


def is_sound(message: Any) -> bool:
    """Whether somebody is heard in this message."""
    return isinstance(message, server.AudioChunk) and is_loud(message.audio or b"")


def is_activity(message: Any) -> bool:
    """Whether this message says that somebody speaks, or that something happens."""
    return is_sound(message) or not isinstance(message, server.AudioChunk)


def _ms(audio: bytes) -> int:
    return round(len(audio) / FORMAT.bytes_per_second * 1000)
