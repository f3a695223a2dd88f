"""The caller: an audio input that speaks in real time, with silence in between."""

from __future__ import annotations

import anyio
from livekit import rtc
from livekit.agents.voice import io

from ._sound import Sound

FRAME_MS = 20


class Caller(io.AudioInput):
    """Gives a frame of 20 ms every 20 ms: the next part of what ``say`` was given, or silence.

    While the agent has the audio input disabled (``session.input.set_audio_enabled(False)``), it
    gives none, and what is said then is lost, as on the phone.
    """

    def __init__(self, sample_rate: int, channels: int = 1) -> None:
        super().__init__(label="caller")
        self.sample_rate = sample_rate
        self._channels = channels
        self._samples = sample_rate * FRAME_MS // 1000
        self._frame_bytes = self._samples * channels * 2
        self._words = bytearray()
        self._said = anyio.Event()
        self._due = 0.0
        self._is_enabled = True

    async def say(self, sound: Sound) -> None:
        """Speak ``sound``, and return when it has been spoken."""
        self._said = anyio.Event()
        self._words += sound.pcm
        await self._said.wait()

    def on_attached(self) -> None:
        """Let the agent hear from now on. LiveKit calls it when the input is enabled."""
        self._is_enabled = True

    def on_detached(self) -> None:
        """Let the agent hear nothing from now on. LiveKit calls it when the input is disabled."""
        self._is_enabled = False

    async def __anext__(self) -> rtc.AudioFrame:
        while True:
            pcm = await self._next_pcm()
            if self._is_enabled:
                samples, channels = self._samples, self._channels
                return rtc.AudioFrame(pcm, self.sample_rate, channels, samples)

    async def _next_pcm(self) -> bytes:
        """What the caller says in the next 20 ms, once it is due."""
        now = anyio.current_time()
        self._due = max(self._due + FRAME_MS / 1000, now) if self._due else now
        await anyio.sleep_until(self._due)
        pcm = bytes(self._words[: self._frame_bytes])
        del self._words[: self._frame_bytes]
        if not self._words:
            self._said.set()
        return pcm.ljust(self._frame_bytes, b"\0")
