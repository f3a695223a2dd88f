"""Messages that wait until the socket takes them, and what is dropped if they are too many."""

from __future__ import annotations

import logging
from collections import deque

from .._wire.client import AudioChunk, ClientMessage

logger = logging.getLogger(__name__)

CHUNK_MS = 20

MAX_AUDIO_CHUNKS = 100
"""How many audio chunks (so 2 s of them) wait for a slow socket. The oldest are dropped."""


MAX_CONTROL_BYTES = 8 * 2**20
"""How much else may wait for a socket that takes nothing. None of it is dropped: with more, the
connection is given up, and the messages go out on the next one."""


class Outbox:
    """Messages with their encoded bytes, in order. Only audio is ever dropped."""

    def __init__(self) -> None:
        self._messages: deque[tuple[ClientMessage, bytes]] = deque()
        self._audio = 0
        self._dropped = 0
        self._overflowed = 0
        """Chunks that were dropped since this was last asked for."""
        self._control_bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that a connection that takes nothing must be given up."""
        return self._control_bytes > MAX_CONTROL_BYTES

    def put(self, message: ClientMessage, data: bytes) -> None:
        if isinstance(message, AudioChunk):
            if self._audio == MAX_AUDIO_CHUNKS:
                self._drop_oldest_audio()
            self._audio += 1
        else:
            self._control_bytes += len(data)
        self._messages.append((message, data))

    def pop(self) -> tuple[ClientMessage, bytes]:
        """Take out the oldest message. There must be one."""
        message, data = self._messages.popleft()
        if isinstance(message, AudioChunk):
            self._audio -= 1
        else:
            self._control_bytes -= len(data)
        if self._dropped and not self._messages:
            logger.warning(
                "the connection to Phonic flows again; %d ms of caller audio were dropped",
                self._dropped * CHUNK_MS,
            )
            self._dropped = 0
        return message, data

    @property
    def audio_ms(self) -> int:
        """How much audio waits."""
        return self._audio * CHUNK_MS

    def take_overflowed(self) -> int:
        """How much audio (ms) was dropped since this was last called."""
        overflowed, self._overflowed = self._overflowed, 0
        return overflowed * CHUNK_MS

    def drop_audio(self) -> int:
        """Drop the audio that waits, as the connection is over. Returns how much it was (ms)."""
        dropped = self.audio_ms
        self._messages = deque(one for one in self._messages if not isinstance(one[0], AudioChunk))
        self._audio = 0
        return dropped

    def control_messages(self) -> tuple[ClientMessage, ...]:
        """The messages that wait, without audio."""
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
        self._overflowed += 1
