"""A server that is reached and never gets done with the handshake: the attempt ends in its time,
and its socket is closed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from itertools import cycle

import pytest
from livekit.agents import APIConnectOptions
from support.scripted import started

from phonic_fsm import ConnectionFailed

pytestmark = pytest.mark.anyio

ONCE = APIConnectOptions(max_retry=0, retry_interval=0, timeout=0.3)


@asynccontextmanager
async def answering_slowly(answer):
    """A server that writes ``answer`` a byte at a time, again and again: its host and port, and an
    event that is set when the client has left."""
    left = asyncio.Event()

    async def serve(reader, writer):
        async def write():
            with suppress(ConnectionError):
                for byte in cycle(answer):
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.01)

        writing = asyncio.create_task(write())
        with suppress(ConnectionError):
            while await reader.read(2**16):
                pass
        writing.cancel()
        writer.close()
        left.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", left


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        ("ws", b""),
        ("ws", b"HTTP/1.1 101 Switching Protocols\r\n" + 20 * b"X-Slow: very\r\n"),
        ("ws", b"HTTP/1.1 503 Not now\r\nContent-Length: 1000000\r\n\r\n" + 200 * b"x"),
        ("wss", b""),
        ("wss", b"\x16\x03\x03\x40\x00"),
    ],
    ids=["silence", "headers", "a body", "silence over TLS", "a TLS record"],
)
async def test_a_handshake_that_does_not_end_ends_the_attempt(scheme, answer, make_model):
    async with answering_slowly(answer) as (address, left):
        model = make_model(base_url=f"{scheme}://{address}", conn_options=ONCE)
        async with started(model) as (_, emitted):
            error = await emitted.next("error")
            assert isinstance(error.error, ConnectionFailed)
            assert "Phonic did not answer within 0.3 s" in str(error.error)
            await left.wait()
