"""The caller's audio on its way out: gate, downmix, resample, cut into 20 ms chunks.

Frames do not pass the machine one by one; the gate, which it opens and closes, is what lets them
through. Time between a frame's arrival and its chunk's departure is what the cutting needs, at
most one chunk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from livekit import rtc

from ..core.effects import Gate
from ..wire.client import AudioChunk

CHUNK_MS = 20

HELD_CHUNKS = 100
"""Chunks kept while a lost connection is resumed (2 s): the oldest give way."""


class Uplink:
    """Turns frames of any rate and channel count into PCM16 LE mono chunks of one rate (Hz)."""

    def __init__(self, sample_rate: int, deliver: Callable[[AudioChunk], None]) -> None:
        self._rate = sample_rate
        self._deliver = deliver
        self._chunk_bytes = sample_rate * CHUNK_MS // 1000 * 2
        self._gate: Gate = "closed"
        self._held: deque[AudioChunk] = deque(maxlen=HELD_CHUNKS)
        self._rest = bytearray()
        """The beginning of the next chunk."""
        self._resampler: rtc.AudioResampler | None = None
        self._resampler_rate = sample_rate

    def set_gate(self, gate: Gate) -> None:
        """Drop frames (closed), keep the newest 2 s of them (holding), or send them (open)."""
        self._gate = gate
        if gate == "open":
            while self._held:
                self._deliver(self._held.popleft())
        elif gate == "closed":
            self._held.clear()
            self._rest.clear()
            self._resampler = None
            self._resampler_rate = self._rate

    def push(self, frame: rtc.AudioFrame) -> None:
        """Take a frame of PCM16, of any rate and any number of interleaved channels."""
        if self._gate == "closed":
            return
        put = self._deliver if self._gate == "open" else self._held.append
        for pcm in self._at_wire_rate(frame):
            for chunk in self._cut(pcm):
                put(AudioChunk(chunk))

    def _cut(self, pcm: bytes) -> Iterator[bytes]:
        size = self._chunk_bytes
        if not self._rest and len(pcm) == size:
            yield pcm
            return
        self._rest += pcm
        while len(self._rest) >= size:
            yield bytes(self._rest[:size])
            del self._rest[:size]

    def _at_wire_rate(self, frame: rtc.AudioFrame) -> Iterator[bytes]:
        if frame.sample_rate != self._resampler_rate:
            # What the old rate's resampler still holds belongs in front of the new frames.
            if self._resampler is not None:
                for rest in self._resampler.flush():
                    yield bytes(rest.data)
            self._resampler_rate = frame.sample_rate
            self._resampler = (
                rtc.AudioResampler(frame.sample_rate, self._rate)
                if frame.sample_rate != self._rate
                else None
            )
        pcm = _mono(frame)
        if self._resampler is None:
            yield pcm
        else:
            for resampled in self._resampler.push(bytearray(pcm)):
                yield bytes(resampled.data)


def _mono(frame: rtc.AudioFrame) -> bytes:
    if frame.num_channels == 1:
        return bytes(frame.data)
    samples = np.frombuffer(frame.data, dtype=np.int16).reshape(-1, frame.num_channels)
    mono: bytes = samples.mean(axis=1).astype(np.int16).tobytes()
    return mono
