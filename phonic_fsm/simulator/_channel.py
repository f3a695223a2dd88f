"""The way to one client: sends messages over whichever connection is there, and keeps the record.

It decides nothing about what is sent. Which connection it is, ``conversation`` says.
"""

from __future__ import annotations

import uuid
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import encode

from ._record import ConversationRecord, News


class Channel:
    """A client's connection, if there is one, and the record of what passes over it."""

    def __init__(self, news: News) -> None:
        self.record = ConversationRecord(f"conv_{uuid.uuid4().hex}")
        self._news = news
        self._connection: ServerConnection | None = None

    def attach(self, connection: ServerConnection | None) -> None:
        """Use another connection from here on, or none."""
        self._connection = connection
        self.record.connections += connection is not None
        self._news.changed()

    async def send(self, message: server.ServerMessage) -> None:
        """Send and record ``message``; without a connection it is gone."""
        if self._connection is None:
            return
        if not isinstance(message, server.AudioChunk):
            self.record.sent.append(message)
            self._news.changed()
        with suppress(ConnectionClosed):  # whoever reads the connection sees it, and ends
            await self._connection.send(encode(message), text=True)

    def note(self, message: client.ClientMessage) -> None:
        """Record a message of the client's."""
        if isinstance(message, client.AudioChunk):
            self.record.audio += message.audio
        else:
            self.record.received.append(message)
        self._news.changed()

    def drop(self) -> None:
        """Cut the connection, if there is one, without a close frame."""
        if self._connection is not None:
            self._connection.transport.abort()

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close(code, reason)
