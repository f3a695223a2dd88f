"""An HTTP proxy on loopback. Whatever host it is asked for, it leads to one server on loopback."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Its address, and the requests that it has got, each with its headers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[str] = []


@asynccontextmanager
async def proxy(
    server: str, *, user: str = "", answer: str = "HTTP/1.1 200 OK\r\n\r\n"
) -> AsyncIterator[Proxy]:
    """A proxy that leads to the server with this URL. ``user`` is what it wants: ``user:password``.

    With an ``answer`` of its own it leads nowhere.
    """
    target = urlsplit(server)
    wanted = f"Proxy-Authorization: Basic {b64encode(user.encode()).decode()}\r\n" if user else ""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            writer.close()
            return
        between.requests.append(request)
        allowed = wanted in request
        writer.write(answer.encode() if allowed else b"HTTP/1.1 407 Who are you\r\n\r\n")
        if allowed and " 200 " in answer:
            there = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        between = Proxy(f"{host}:{port}")
        yield between


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until its end, and then end, too."""
    with suppress(ConnectionError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()
