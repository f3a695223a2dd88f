"""Messages that wait for a socket to take them, in order, and what gives way when they are many."""

from __future__ import annotations

import logging
from collections import deque

from .._wire.client import AudioChunk, ClientMessage

logger = logging.getLogger(__name__)

MAX_AUDIO_CHUNKS = 100
"""Audio chunks (20 ms each, so 2 s) that wait for a slow socket; the oldest give way."""


class Outbox:
    """Messages beside their bytes. Audio is bounded, control messages are never dropped."""

    def __init__(self) -> None:
        self._messages: deque[tuple[ClientMessage, bytes]] = deque()
        self._audio = 0
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: ClientMessage, data: bytes) -> None:
        if isinstance(message, AudioChunk):
            if self._audio == MAX_AUDIO_CHUNKS:
                self._drop_oldest_audio()
            self._audio += 1
        self._messages.append((message, data))

    def pop(self) -> tuple[ClientMessage, bytes]:
        """The oldest message; there must be one."""
        message, data = self._messages.popleft()
        if isinstance(message, AudioChunk):
            self._audio -= 1
        if self._dropped and not self._messages:
            logger.warning(
                "the connection to Phonic flows again; %d ms of caller audio were dropped",
                self._dropped * 20,
            )
            self._dropped = 0
        return message, data

    def control_messages(self) -> tuple[ClientMessage, ...]:
        """What waits, without audio."""
        return tuple(m for m, _ in self._messages if not isinstance(m, AudioChunk))

    def _drop_oldest_audio(self) -> None:
        if not self._dropped:
            logger.warning("the connection to Phonic is stalled: dropping the oldest caller audio")
        for index, (message, _) in enumerate(self._messages):
            if isinstance(message, AudioChunk):
                del self._messages[index]
                break
        self._audio -= 1
        self._dropped += 1
