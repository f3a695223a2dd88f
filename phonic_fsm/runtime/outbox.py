"""Messages that wait to be written, in order, and what gives way when they are too many."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from ..wire.client import AudioChunk, ClientMessage

logger = logging.getLogger(__name__)

MAX_AUDIO_CHUNKS = 100
"""Audio chunks (20 ms each, so 2 s) that wait for a slow socket; the oldest give way."""


class Outbox:
    """Messages in order. Audio is bounded, control messages are never dropped."""

    def __init__(self) -> None:
        self._messages: deque[ClientMessage] = deque()
        self._audio = 0
        self._dropped = 0
        self._ended = False
        # One event for the outbox's life: setting it costs less than any queue's put.
        self._filled = asyncio.Event()

    def put(self, message: ClientMessage) -> None:
        if isinstance(message, AudioChunk):
            if self._audio == MAX_AUDIO_CHUNKS:
                self._drop_oldest_audio()
            self._audio += 1
        self._messages.append(message)
        self._filled.set()

    def _drop_oldest_audio(self) -> None:
        if not self._dropped:
            logger.warning("the connection to Phonic is stalled: dropping the oldest caller audio")
        for index, message in enumerate(self._messages):
            if isinstance(message, AudioChunk):
                del self._messages[index]
                break
        self._audio -= 1
        self._dropped += 1

    def end(self) -> None:
        """Nothing more comes: once it is empty, ``first`` says so."""
        self._ended = True
        self._filled.set()

    async def first(self) -> ClientMessage | None:
        """The oldest message, which stays until ``written``; ``None`` once all is said."""
        while not self._messages:
            if self._ended:
                return None
            self._report_end_of_stall()
            self._filled.clear()
            await self._filled.wait()
        return self._messages[0]

    @property
    def empty(self) -> bool:
        return not self._messages

    def written(self, message: ClientMessage) -> None:
        """Take the message out, unless it was dropped while it was being written."""
        if self._messages and self._messages[0] is message:
            self._messages.popleft()
            if isinstance(message, AudioChunk):
                self._audio -= 1

    def _report_end_of_stall(self) -> None:
        if self._dropped:
            logger.warning(
                "the connection to Phonic flows again; %d ms of caller audio were dropped",
                self._dropped * 20,
            )
            self._dropped = 0

    def control_messages(self) -> tuple[ClientMessage, ...]:
        """What waits, without audio."""
        return tuple(m for m in self._messages if not isinstance(m, AudioChunk))
