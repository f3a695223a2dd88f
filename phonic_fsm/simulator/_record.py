"""What happened in each conversation, for tests to assert on and to wait for.

Only records: nothing here sends anything or decides what to answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from phonic_fsm._wire import client, server
from phonic_fsm._wire.config import ConfigOptions


@dataclass
class ConversationRecord:
    """One conversation as the server saw it, however many connections carried it."""

    conversation_id: str
    received: list[client.ClientMessage] = field(default_factory=list)
    """What the client sent, in order, refused messages among it; audio and whatever cannot be
    decoded are left out."""
    audio: bytearray = field(default_factory=bytearray)
    """The caller's audio so far: as it came, in the config's ``input_format``."""
    sent: list[server.ServerMessage] = field(default_factory=list)
    """What the server sent, in order, without audio."""
    config: ConfigOptions | None = None
    """The config in force: the client's, with every later change applied."""
    connections: int = 0
    """How many sockets have carried the conversation: more than 1 after a resume."""


class News:
    """Wakes those who wait for something to become true of the records."""

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
