"""A cable to a server on loopback, which can be cut: one client cannot reach it then."""

from __future__ import annotations

import asyncio
from types import TracebackType
from urllib.parse import urlsplit

from .proxy import pass_on


class Cable:
    """Leads to the server with this URL, as ``url``.

    Once it is cut, its connections are broken, and a client that connects anew gets no answer.
    """

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server)
        self._ends: list[asyncio.StreamWriter] = []
        self._is_cut = False
        self._listening: asyncio.Server

    async def __aenter__(self) -> Cable:
        self._listening = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        host, port = self._listening.sockets[0].getsockname()
        self.url = f"{self._server.scheme}://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cut()
        self._listening.close()
        await self._listening.wait_closed()

    def cut(self) -> None:
        self._is_cut = True
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.append(writer)
        if self._is_cut:
            return
        there = await asyncio.open_connection(self._server.hostname, self._server.port)
        self._ends.append(there[1])
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))
