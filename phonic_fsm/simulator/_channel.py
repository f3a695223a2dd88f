"""The way to one client, and the record of what passed over it.

Nothing here decides what is sent. Which connection carries the conversation is decided in
``_conversation``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from msgspec import Struct
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from phonic_fsm._wire import client, server
from phonic_fsm._wire.codec import encode
from phonic_fsm._wire.config import ConfigOptions

from ._doubts import Doubts
from ._history import History


@dataclass
class ConversationRecord:
    """One conversation as the server saw it, over all the connections that carried it."""

    conversation_id: str
    received: list[client.ClientMessage] = field(default_factory=list)
    """What the client sent, in order, with the messages that were refused, but without audio and
    without frames that cannot be decoded."""
    audio: bytearray = field(default_factory=bytearray)
    """The caller's audio so far, in the config's ``input_format``."""
    sent: list[server.ServerMessage] = field(default_factory=list)
    """What the server sent, in order, without audio."""
    config: ConfigOptions | None = None
    """The config that is in force: the client's, with every later change applied."""
    connections: int = 0
    """How many sockets have carried the conversation: more than 1 after a resume."""


class News:
    """Lets tests wait until something is true of the records."""

    def __init__(self) -> None:
        self._changed: anyio.Event | None = None

    def changed(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait_for(self, predicate: Callable[[], bool]) -> None:
        while not predicate():
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()


def _sent(message: Struct) -> dict[str, Any]:
    """A message as it is sent: a field that has no value is left out, not null."""
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    kind = message.__struct_config__.tag
    return ({"type": kind} if kind else {}) | {
        name: _sent(value) if isinstance(value, Struct) else value
        for name, value in fields.items()
        if value not in (None, ())
    }


_ANSWERS = (
    server.Dtmf,
    server.ToolCall,
    server.AssistantChoseNotToRespond,
    server.AssistantEndedConversation,
)
"""Messages with which an answer may begin, beside audio with text."""


class Channel:
    """A client's connection, while there is one, and the conversation's record."""

    def __init__(self, news: News, doubts: Doubts) -> None:
        self.record = ConversationRecord(f"conv_{uuid.uuid4().hex}")
        self.history = History()
        self._news = news
        self._doubts = doubts
        self._connection: ServerConnection | None = None
        self._transcript: server.InputText | None = None
        """The transcript that waits until the answer to it has begun."""

    def attach(self, connection: ServerConnection | None) -> None:
        """Use this connection from now on; None while there is none."""
        self._connection = connection
        self.record.connections += connection is not None
        self.history.carried(connection is not None)
        self._news.changed()

    async def send(self, message: server.ServerMessage) -> None:
        """Send and record ``message``; it is lost while there is no connection."""
        if isinstance(message, server.UserStartedSpeaking):
            await self._send_transcript()  # the answer to it will not begin any more
        await self._send(message)
        if isinstance(message, _ANSWERS) or (
            isinstance(message, server.AudioChunk) and message.text
        ):
            await self._send_transcript()
        # Before the start a refused config may be sent again.
        has_begun = self.record.config is not None
        if isinstance(message, server.Error) and has_begun and self._doubts.error == "closes":
            await self.close(1011, "an error has occurred")

    async def send_transcript(self, transcript: server.InputText) -> None:
        """Send a transcript now, or once its answer has begun, as the doubts say."""
        await self._send_transcript()  # of a turn that got no answer
        if self._doubts.transcript == "before_answer":
            await self._send(transcript)
        else:
            self._transcript = transcript

    async def _send_transcript(self) -> None:
        transcript, self._transcript = self._transcript, None
        if transcript is not None:
            await self._send(transcript)

    async def _send(self, message: server.ServerMessage) -> None:
        if self._connection is None:
            return
        if not isinstance(message, server.AudioChunk):
            self.record.sent.append(message)
            self._news.changed()
        self.history.sent(message, self.record.config)
        with suppress(ConnectionClosed):  # the task that reads sees it and ends
            await self._connection.send(encode(_sent(message)), text=True)

    def note(self, message: client.ClientMessage) -> None:
        """Record a message from the client."""
        if isinstance(message, client.AudioChunk):
            self.record.audio += message.audio
        else:
            self.record.received.append(message)
            self.history.received(message)
        self._news.changed()

    def drop(self) -> None:
        """Cut the connection, if there is one, without a close frame."""
        if self._connection is not None:
            self._connection.transport.abort()

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close(code, reason)
