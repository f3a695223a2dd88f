"""An HTTP proxy on loopback, between some sessions and what they take for Phonic.

It leads every host to this machine, and refuses, drops or forgets a connection now and then.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import patch

import anyio
from support.proxy import pass_on

TROUBLES: tuple[tuple[float, bytes], ...] = (
    (3, b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
    (0.3, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
    (3, b"HTTP/1.1 "),
    (3, b""),
)
"""What it says in place of a connection, and how often; then it hangs up."""

OFTEN = 0.05
"""How often it has trouble with a connection."""

LONGEST = 5.0
"""Seconds after which a connection in trouble is dropped, if it came about."""


def behind_the_proxy(url: str) -> str:
    """The address of a server on this machine, as one that only the proxy finds."""
    return url.replace("127.0.0.1", "phonic.test")


@asynccontextmanager
async def http_proxy(rng: random.Random, troubles: Counter[str]) -> AsyncIterator[None]:
    """Name the proxy in the environment. Counts in ``troubles`` what befalls connections."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if rng.random() < OFTEN:
                troubles["ProxyRefuses"] += 1
                weights, answers = zip(*TROUBLES, strict=True)
                writer.write(rng.choices(answers, weights)[0])
                return
            port = int(request.split()[1].rsplit(b":", 1)[1])
            from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            drops = rng.random() < OFTEN
            troubles["ProxyDrops"] += drops
            with anyio.move_on_after(rng.uniform(0, LONGEST) if drops else None):
                await asyncio.gather(pass_on(reader, to_server), pass_on(from_server, writer))
            to_server.close()
        except (OSError, EOFError):
            pass  # either end has gone
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with patch.dict(os.environ, {"ws_proxy": address}):
            yield
