"""The microphone of a caller in a room: a track that carries what the caller says."""

from __future__ import annotations

import asyncio

from livekit import rtc

from .._audio.resampler import Resampler
from ..simulator import speak
from ._sound import Sound

PIECE_MS = 100

AHEAD_MS = 1000
"""How much audio waits at LiveKit, so that a busy process does not interrupt a word."""


class Mouth:
    """Speaks in real time: mono, ``sample_rate`` Hz. LiveKit sends silence in between."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._source = rtc.AudioSource(sample_rate, 1, queue_size_ms=AHEAD_MS)
        self.track = rtc.LocalAudioTrack.create_audio_track("caller", self._source)
        self.closed_at: float | None = None
        """When the last words ended, by the event loop's clock (s); None before the first."""

    async def say(self, words: str | Sound) -> None:
        """Say ``words``, and return when they are said.

        Raises:
            ValueError: the sound is not mono.
        """
        pcm = self._pcm(words)
        size = 2 * (self._rate * PIECE_MS // 1000)
        for start in range(0, len(pcm), size):
            piece = pcm[start : start + size].ljust(size, b"\0")
            await self._source.capture_frame(rtc.AudioFrame(piece, self._rate, 1, size // 2))
        padding = -len(pcm) % size / 2 / self._rate
        await self._source.wait_for_playout()
        self.closed_at = asyncio.get_running_loop().time() - padding

    def _pcm(self, words: str | Sound) -> bytes:
        if isinstance(words, str):
            return speak(words, self._rate).pcm
        if words.channels != 1:
            raise ValueError(f"the sound has {words.channels} channels; a caller speaks mono")
        if words.sample_rate == self._rate:
            return words.pcm
        resampler = Resampler(words.sample_rate, self._rate)
        return resampler.push(words.pcm) + resampler.flush()

    async def aclose(self) -> None:
        await self._source.aclose()
