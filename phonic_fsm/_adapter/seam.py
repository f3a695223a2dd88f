"""Joins what two processes send of the caller's audio, when a call moves from one to the other.

Both hear the caller, each through a buffer of its own that LiveKit keeps against a network's
jitter. So the same sound comes to them at different times. The process that leaves tells the last
of what it has sent, and the successor begins behind that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

COARSE = 6_000
"""The rate (Hz) at which pieces of audio are compared."""

LEFT = 0.3
"""How much of what it has sent (s) a process tells its successor."""

WINDOW = 1.0
"""By so much (s) the buffers may differ."""

PATIENCE = 0.4
"""In how much audio (s) after the handover the end of it is looked for."""

ALIKE = 0.8
"""From this correlation on, two pieces are the same: they were coded alike, and may be stretched
a little."""

QUIET = 100.0
"""A piece that is not as loud as this (RMS, of 32767) is silence, which nobody misses."""


def last_of(frames: Iterable[rtc.AudioFrame]) -> bytes:
    """What a process that leaves tells of the frames that it has sent: PCM16 at ``COARSE`` Hz."""
    pieces = [_coarse(frame) for frame in frames]
    if not pieces:
        return b""
    return np.concatenate(pieces)[-round(LEFT * COARSE) :].astype("<i2").tobytes()


class Seam:
    """The beginning of what the successor sends."""

    def __init__(
        self, parting: bytes, left: float, frames: deque[tuple[float, rtc.AudioFrame]]
    ) -> None:
        """``left`` is when the other process left (s since 1970), and ``parting`` what it told.
        ``frames`` are those that have come so far, each with its time."""
        self._piece = np.frombuffer(parting, "<i2").astype(np.float64)
        self._left = left
        self._frames = frames
        self.is_closed = False
        """Whether all that comes from now on is to be sent."""

    def close(self, frame: rtc.AudioFrame | None = None) -> list[rtc.AudioFrame]:
        """What is to be sent by now; ``frame`` has just come."""
        if frame is not None:
            self._frames.append((time.time(), frame))
        before = [one for came, one in self._frames if came < self._left]
        since = [one for came, one in self._frames if came >= self._left]
        # Not by the time at which they came: where the machine is busy, less comes in a second.
        recent = [*_newest(before, WINDOW + LEFT), *since]
        at = self._end_of_piece(recent)
        if at is not None:
            self._end()
            return _behind(at, recent)
        if not self._is_quiet and sum(one.duration for one in since) < PATIENCE:
            return []
        self._end()
        return since

    def _end(self) -> None:
        self.is_closed = True
        self._frames.clear()

    @property
    def _is_quiet(self) -> bool:
        return not self._piece.size or float(np.sqrt((self._piece**2).mean())) < QUIET

    def _end_of_piece(self, frames: list[rtc.AudioFrame]) -> int | None:
        """Where the piece ends in the frames (samples at ``COARSE`` Hz), if it is there."""
        tape = np.concatenate([np.zeros(0), *map(_coarse, frames)])
        size = len(self._piece)
        if self._is_quiet or len(tape) < size:
            return None
        power = np.concatenate([[0.0], np.cumsum(tape**2)])
        loudness = np.sqrt((power[size:] - power[:-size]) * (self._piece**2).sum())
        product = np.correlate(tape, self._piece, "valid")
        likeness = np.divide(product, loudness, out=np.zeros(len(product)), where=loudness > 1)
        best = int(np.argmax(likeness))
        return best + size if likeness[best] >= ALIKE else None


def _newest(frames: list[rtc.AudioFrame], seconds: float) -> list[rtc.AudioFrame]:
    """The newest so many seconds of them, and the rest of the frame in which these begin."""
    first = len(frames)
    while first and seconds > 0:
        first -= 1
        seconds -= frames[first].duration
    return frames[first:]


def _behind(at: int, frames: list[rtc.AudioFrame]) -> list[rtc.AudioFrame]:
    """What comes behind the sample ``at`` (at ``COARSE`` Hz)."""
    kept = []
    for frame in frames:
        length = frame.samples_per_channel * COARSE // frame.sample_rate
        if at < length:
            skipped = max(at, 0) * frame.sample_rate // COARSE
            samples = frame.samples_per_channel - skipped
            data = bytes(frame.data)[skipped * frame.num_channels * 2 :]
            kept.append(rtc.AudioFrame(data, frame.sample_rate, frame.num_channels, samples))
        at -= length
    return kept


def _coarse(frame: rtc.AudioFrame) -> NDArray[np.float64]:
    """Its samples at ``COARSE`` Hz, as one channel."""
    channels = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    at = np.arange(len(channels)) * COARSE // frame.sample_rate
    return np.bincount(at, channels.mean(axis=1)) / np.maximum(np.bincount(at), 1)
