"""The caller: an audio input that speaks in real time, with silence in between."""

from __future__ import annotations

import anyio
from livekit import rtc
from livekit.agents.voice import io

from ._sound import Sound

FRAME_MS = 20


class Caller(io.AudioInput):
    """Gives a frame of 20 ms every 20 ms: the next part of what ``say`` was given, or silence."""

    def __init__(self, sample_rate: int, channels: int = 1) -> None:
        super().__init__(label="caller")
        self.sample_rate = sample_rate
        self._channels = channels
        self._samples = sample_rate * FRAME_MS // 1000
        self._frame_bytes = self._samples * channels * 2
        self._words = bytearray()
        self._said = anyio.Event()
        self._due = 0.0

    async def say(self, sound: Sound) -> None:
        """Speak ``sound``, and return when it has been spoken."""
        self._said = anyio.Event()
        self._words += sound.pcm
        await self._said.wait()

    async def __anext__(self) -> rtc.AudioFrame:
        now = anyio.current_time()
        self._due = max(self._due + FRAME_MS / 1000, now) if self._due else now
        await anyio.sleep_until(self._due)
        pcm = bytes(self._words[: self._frame_bytes])
        del self._words[: self._frame_bytes]
        if not self._words:
            self._said.set()
        return rtc.AudioFrame(
            pcm.ljust(self._frame_bytes, b"\0"), self.sample_rate, self._channels, self._samples
        )
