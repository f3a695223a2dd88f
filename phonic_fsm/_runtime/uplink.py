"""The caller's audio on its way to Phonic: downmixed, resampled, cut into 20 ms chunks, encoded.

Frames do not pass through the machine. The machine opens and closes a gate, which lets them through
or not. A frame is delayed by at most one chunk, because audio is cut into chunks, and by what the
resampler holds back if the frame has another sample rate than the wire.
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
"""How many chunks are kept while a lost connection is resumed (2 s). The oldest are dropped."""


class Uplink:
    """Makes mono chunks of one format from frames of any sample rate and number of channels."""

    def __init__(self, wire_format: WireFormat, deliver: Callable[[AudioChunk], None]) -> None:
        self._rate = wire_format.sample_rate
        self._encode = wire_format.encode
        self._deliver = deliver
        self._chunk_bytes = self._rate * CHUNK_MS // 1000 * 2
        """The length of a chunk in PCM16, before it is encoded."""
        self._gate: Gate = "closed"
        self._held: deque[AudioChunk] = deque(maxlen=HELD_CHUNKS)
        self._rest = b""
        """The beginning of the next chunk."""
        self._frame_rate = self._rate
        """The sample rate of the current frames (Hz)."""
        self._resampler: Resampler | None = None
        """``None`` while the frames have the wire's sample rate."""
        self.heard_ms = 0
        """How much audio (ms) was sent since the gate opened or since the last flush."""

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
        """Take a frame of PCM16 with any sample rate and any number of interleaved channels."""
        if self._gate == "closed":
            return
        if frame.sample_rate != self._frame_rate:
            self._change_rate(frame.sample_rate)
        pcm = _mono(frame)
        if self._resampler is not None:
            pcm = self._resampler.push(pcm)
        self._cut(pcm)

    def flush(self) -> None:
        """Send everything at once, also the beginning of a chunk, as a shorter chunk."""
        self._change_rate(self._rate)
        if self._rest:
            self._put(self._rest)
            self._rest = b""
        self.heard_ms = 0

    def _change_rate(self, rate: int) -> None:
        resampler = Resampler(rate, self._rate) if rate != self._rate else None
        if self._resampler is not None:
            # The audio that the former resampler holds back comes before the new frames.
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
    # Channel by channel: numpy takes four times as long to sum over the channels of each sample.
    channels = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels).T
    total = channels[0].astype(np.int32)
    for channel in channels[1:]:
        total += channel
    mono: bytes = (total // len(channels)).astype(np.int16).tobytes()
    return mono
