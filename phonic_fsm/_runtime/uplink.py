"""The caller's audio on its way out: gate, downmix, resample, cut into 20 ms chunks, encode.

Frames do not pass the machine one by one; the gate, which it opens and closes, is what lets them
through. Time between a frame's arrival and its chunk's departure is what the cutting needs, at
most one chunk, and, at another rate than the wire's, what the resampler holds back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from livekit import rtc

from .._audio.formats import WireFormat
from .._audio.resampler import Resampler
from .._core.effects import Gate
from .._wire.client import AudioChunk

CHUNK_MS = 20

HELD_CHUNKS = 100
"""Chunks kept while a lost connection is resumed (2 s): the oldest give way."""


class Uplink:
    """Turns frames of any rate and channel count into mono chunks of one format."""

    def __init__(self, wire_format: WireFormat, deliver: Callable[[AudioChunk], None]) -> None:
        self._rate = wire_format.sample_rate
        self._encode = wire_format.encode
        self._deliver = deliver
        self._chunk_bytes = self._rate * CHUNK_MS // 1000 * 2
        """Of PCM16: it is encoded last."""
        self._gate: Gate = "closed"
        self._held: deque[AudioChunk] = deque(maxlen=HELD_CHUNKS)
        self._rest = b""
        """The beginning of the next chunk."""
        self._frame_rate = self._rate
        """Of the frames that come at present (Hz)."""
        self._resampler: Resampler | None = None
        """There is one exactly when that is not the wire's rate."""
        self.heard_ms = 0
        """Of audio that has gone out since the last flush."""

    def set_gate(self, gate: Gate) -> None:
        """Drop frames (closed), keep the newest 2 s of them (holding), or send them (open)."""
        self._gate = gate
        if gate == "open":
            while self._held:
                self._send(self._held.popleft())
        elif gate == "closed":
            self._held.clear()
            self.heard_ms = 0
            self._rest = b""
            self._frame_rate = self._rate
            self._resampler = None

    def push(self, frame: rtc.AudioFrame) -> None:
        """Take a frame of PCM16, of any rate and any number of interleaved channels."""
        if self._gate == "closed":
            return
        if frame.sample_rate != self._frame_rate:
            self._change_rate(frame.sample_rate)
        pcm = _mono(frame)
        if self._resampler is not None:
            pcm = self._resampler.push(pcm)
        self._cut(pcm)

    def flush(self) -> None:
        """Let out at once all that was said, the beginning of a chunk as a chunk of its own."""
        self._change_rate(self._rate)
        if self._rest:
            self._put(self._rest)
            self._rest = b""
        self.heard_ms = 0

    def _change_rate(self, rate: int) -> None:
        resampler = Resampler(rate, self._rate) if rate != self._rate else None
        if self._resampler is not None:
            # What the old rate's resampler still holds belongs in front of the new frames.
            self._cut(self._resampler.flush())
        self._frame_rate, self._resampler = rate, resampler

    def _cut(self, pcm: bytes) -> None:
        size = self._chunk_bytes
        if not self._rest and len(pcm) == size:
            self._put(pcm)
            return
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % size
        for start in range(0, whole, size):
            self._put(pcm[start : start + size])
        self._rest = pcm[whole:]

    def _put(self, pcm: bytes) -> None:
        chunk = AudioChunk(pcm if self._encode is None else self._encode(pcm))
        if self._gate == "open":
            self._send(chunk)
        else:
            self._held.append(chunk)

    def _send(self, chunk: AudioChunk) -> None:
        self.heard_ms += CHUNK_MS
        self._deliver(chunk)


def _mono(frame: rtc.AudioFrame) -> bytes:
    if frame.num_channels == 1:
        return bytes(frame.data)
    # A channel at a time: a sum over each sample's channels takes numpy four times as long.
    channels = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels).T
    total = channels[0].astype(np.int32)
    for channel in channels[1:]:
        total += channel
    mono: bytes = (total // len(channels)).astype(np.int16).tobytes()
    return mono
