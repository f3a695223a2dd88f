"""A Phonic that costs little: frames are made once and written as they are.

Every session scripts its own conversation with its system prompt, which begins with the JSON of a
``Script``. What it says to a caller carries, in its first samples, when the caller was heard.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import ssl
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import certifi
import msgspec
from msgspec import Struct
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from phonic_fsm._runtime.connection import MAX_MESSAGE_BYTES
from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import decode_client, encode

from .measuring import stay_on_processor

CHUNK_BYTES = 960
"""20 ms of PCM16 at 24 kHz, the format of every benchmark."""

CHUNK_SECONDS = 0.02

PHASES = 5
"""Sessions speak at one of so many moments of each chunk's time."""

TEXT_EVERY = 5
"""Chunks; with one of these comes a word."""

BACKLOG_BYTES = 2**20
"""A caller who is so far behind misses the next chunks of a paced turn."""

LONGEST_DELAY = 0.1
"""Seconds; a server that was held up for longer does not make up for it."""

_stamp = struct.Struct("<qqq")


class Script(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server does in one conversation."""

    greet: int = 0
    """Chunks of the turn that follows a config or a reset, streamed ahead."""
    answer: int = 0
    """Chunks of the turn that follows a marked frame, streamed ahead."""
    talk: bool = False
    """With the caller's first frame begins a turn without end, at its pace."""
    count: int = 0
    """After so many frames, and so many more, comes a transcript."""
    hostile: str | None = None
    """With a marked frame comes the message that ``HOSTILE`` has under this name, in a turn, and a
    transcript after it."""


class Stamp(Struct, frozen=True):
    """Moments of an answer, by the clock that all processes share (ns)."""

    pushed: int
    """The caller's frame was pushed."""
    heard: int
    """It was decoded by the server."""
    answered: int = 0
    """The answer was about to be written."""

    @property
    def added(self) -> float:
        """Seconds from the push to now, without those that the server took."""
        return (time.monotonic_ns() - self.pushed - (self.answered - self.heard)) / 1e9


def marked_pcm() -> bytes:
    """A frame to be answered."""
    return _stamp.pack(time.monotonic_ns(), 0, 0).ljust(CHUNK_BYTES, b"\0")


def stamp_in(pcm: bytes | memoryview) -> Stamp:
    """What an answer's first frame says."""
    return Stamp(*_stamp.unpack_from(pcm))


def _frame(message: object) -> bytes:
    return Frame(Opcode.TEXT, encode(message)).serialize(mask=False)


@cache
def _chunks(count: int) -> bytes:
    silent = _frame(server.AudioChunk(bytes(CHUNK_BYTES)))
    spoken = _frame(server.AudioChunk(bytes(CHUNK_BYTES), "word "))
    return b"".join(silent if n % TEXT_EVERY else spoken for n in range(count))


_OPEN = _frame(server.ConversationCreated("conv_1")) + _frame(server.ReadyToStartConversation())
_STARTED = _frame(server.AssistantStartedSpeaking())
_FINISHED = _frame(server.AssistantFinishedSpeaking())
_TRANSCRIPT = _frame(server.InputText("word"))


def _filled(before: str, part: str, after: str) -> bytes:
    """A message of the largest size, with as many of one part as it holds."""
    room = MAX_MESSAGE_BYTES - len(before) - len(after)
    return (before + (part * (room // len(part))).rstrip(",") + after).encode("ascii")


def _keyed(before: str, value: str, after: str, fields: int = 19_900) -> bytes:
    """A message with so many fields in one object, each of another name."""
    filling = ",".join(f'"{number:06x}":{value}' for number in range(fields))
    return f"{before}{filling}{after}".encode("ascii")


_CALL = '{"type":"tool_call","tool_call_id":"c","tool_name":"t","parameters":{"x":'
_OUTPUT = '{"type":"tool_call_output_processed","tool_call_id":"c","output":'
_CHUNK = '{"type":"audio_chunk","audio":'
_BRACES = "[],{}," * 60

HOSTILE: dict[str, bytes] = {
    "lists": _filled(f"{_CALL}[", "[],", "]}}"),
    "objects": _filled(f"{_CALL}[", "{},", "]}}"),
    "numbers": _filled(f"{_CALL}[", "1.5,", "]}}"),
    "texts": _filled(f"{_CALL}[", '"ab",', "]}}"),
    "texts_among_lists": _filled(f"{_CALL}[{_BRACES}", '"ab",', "]}}"),
    "escapes_among_lists": _filled(f'{_CALL}[{_BRACES}"', '\\\\\\"', '"]}}'),
    "as_many_lists_as_there_may_be": (f"{_CALL}[{'[],' * 9_900}0" + "]}}").encode(),
    "as_many_fields_as_there_may_be": _keyed(f"{_CALL}{{", "0", "}}}"),
    "fields": _keyed(f"{_CALL}{{", "0", "}}}", fields=80_000),
    "deep": b"[" * MAX_MESSAGE_BYTES,
    "deep_and_whole": _CALL.encode() + b"[" * 500_000 + b"]" * 500_000 + b"}}",
    "output": _filled(f"{_OUTPUT}[", "[0],", "]}"),
    "output_text": _filled(f'{_OUTPUT}"', "ab cd ", '"}'),
    "warning": _filled('{"type":"warning","warning":{"message":"', "x", '"}}'),
    "unprintable_warning": _filled('{"type":"warning","warning":{"message":"', "\\u0001", '"}}'),
    "unprintable_error": _filled('{"type":"error","error":{"message":"', "\\u202e", '"}}'),
    "param_errors": _keyed('{"type":"error","error":{"message":""},"param_errors":{', '"x"', "}}"),
    "transcript": _filled('{"type":"input_text","text":"', "word ", '"}'),
    "correction": _filled('{"type":"interrupted_response","text":"', "word ", '"}'),
    "digits": _filled('{"type":"dtmf","digits":"', "1", '"}'),
    "audio": _filled(f'{_CHUNK}"', "AAAA", '","text":"word "}'),
    "spoken_text": _filled(f'{_CHUNK}"AAAA","text":"', "word ", '"}'),
    "spoken_escapes": _filled(f'{_CHUNK}"AAAA","text":"', "\\u00e9\\n", '"}'),
    "timings": _keyed(f'{_CHUNK}"AAAA","text":"word ","timings":{{', "1.5", "}}"),
    "unknown_type": _filled('{"type":"', "x", '"}'),
    "unknown_body": _filled('{"type":"brand_new","x":[', "[],", "]}"),
    "cut_off": _filled(f"{_CALL}[", '{"a":', ""),
    "no_json": b"\xff" * MAX_MESSAGE_BYTES,
}
"""The messages that take longest, one of a kind, each as long as a message may be."""


@cache
def _hostile(name: str) -> bytes:
    return Frame(Opcode.TEXT, HOSTILE[name]).serialize(mask=False)


class _Conversation:
    """One connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self._script = Script()
        self._heard = 0
        self.talking = False
        self._said = 0

    async def serve(self) -> None:
        try:
            while True:
                self._take(decode_client(await self._socket.recv(decode=False)))
        except ConnectionClosed:
            return

    def _take(self, message: client.ClientMessage | object) -> None:
        if isinstance(message, client.AudioChunk):
            self._hear(message.audio)
        elif isinstance(message, client.Config):
            self._script = _script_in(message.system_prompt)
            self._write(_OPEN)
            self._greet()
        elif isinstance(message, client.Reset):
            self._greet()

    def _greet(self) -> None:
        if self._script.greet:
            self._write(_STARTED + _chunks(self._script.greet) + _FINISHED)

    def _hear(self, pcm: bytes) -> None:
        self._heard += 1
        if self._script.talk and not self.talking:
            self.talking = True
            self._write(_STARTED + _chunks(1))
        if self._script.count and self._heard % self._script.count == 0:
            self._write(_TRANSCRIPT)
        if self._script.hostile and pcm[0:8] != bytes(8):
            self._write(_STARTED + _hostile(self._script.hostile) + _FINISHED + _TRANSCRIPT)
        if self._script.answer and pcm[0:8] != bytes(8):
            heard = time.monotonic_ns()
            pushed = stamp_in(pcm).pushed
            first = _stamp.pack(pushed, heard, time.monotonic_ns()).ljust(CHUNK_BYTES, b"\0")
            self._write(_STARTED + _frame(server.AudioChunk(first, "word ")))
            self._write(_chunks(self._script.answer - 1) + _FINISHED)

    def talk(self) -> None:
        """Say the next chunk of a turn at its pace."""
        if self._socket.transport.get_write_buffer_size() < BACKLOG_BYTES:
            self._said += 1
            # A word comes first, as of every turn.
            self._write(_chunks(1) if self._said % TEXT_EVERY == 0 else _silence())

    def _write(self, frames: bytes) -> None:
        # Past the library, which is what makes this server cheap.
        if self._socket.state is State.OPEN:
            self._socket.transport.write(frames)


@cache
def _silence() -> bytes:
    return _frame(server.AudioChunk(bytes(CHUNK_BYTES)))


def _script_in(prompt: object) -> Script:
    script, _ = json.JSONDecoder().raw_decode(str(prompt))
    return msgspec.convert(script, Script)


async def _pace(phases: list[set[_Conversation]]) -> None:
    due = time.monotonic()
    while True:
        for phase in phases:
            now = time.monotonic()
            due = max(due + CHUNK_SECONDS / PHASES, now - LONGEST_DELAY)
            await asyncio.sleep(max(0.0, due - now))
            for conversation in phase:
                if conversation.talking:
                    conversation.talk()


async def _serve(port: Connection, certificate: Path | None) -> None:
    phases: list[set[_Conversation]] = [set() for _ in range(PHASES)]

    async def handle(socket: ServerConnection) -> None:
        conversation = _Conversation(socket)
        phase = min(phases, key=len)
        phase.add(conversation)
        try:
            await conversation.serve()
        finally:
            phase.remove(conversation)

    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    async with serve(
        handle, "127.0.0.1", 0, compression=None, ping_interval=None, ssl=tls
    ) as listening:
        port.send(next(iter(listening.sockets)).getsockname()[1])
        await _pace(phases)


def _run(port: Connection, certificate: Path | None) -> None:
    stay_on_processor(1)
    asyncio.run(_serve(port, certificate))


@contextmanager
def trusted_certificate() -> Iterator[Path]:
    """A certificate with its key, which processes that are started from now on trust."""
    command = (
        "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
        "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout both.pem -out both.pem"
    )
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True, timeout=30)
        certificate = Path(directory) / "both.pem"
        trusted = certificate.with_name("trusted.pem")
        # Beside the usual ones, because to read those is much of what a TLS context costs.
        trusted.write_bytes(Path(certifi.where()).read_bytes() + certificate.read_bytes())
        with patch.dict(os.environ, SSL_CERT_FILE=str(trusted)):
            yield certificate


@contextmanager
def running_server(certificate: Path | None = None) -> Iterator[str]:
    """The URL of a server in a process of its own; with a certificate, it speaks TLS."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_run, args=(sender, certificate), daemon=True)
    process.start()
    try:
        yield f"{'wss' if certificate else 'ws'}://127.0.0.1:{receiver.recv()}"
    finally:
        process.terminate()
        process.join()
