"""Measures the caller's audio, second by second, for the trace.

A trace has no audio of the caller unless that is recorded, too. What the meter reports is enough to
tell a microphone that is off from one that is too quiet, a gate that never opened, or audio that
piles up. It reports a second only if that differs from the one that it reported last, so that an
hour in which nothing happens stays small.
"""

from __future__ import annotations

import math

import numpy as np
from livekit import rtc
from msgspec import Struct

from .._core.events import CallerAudio

PERIOD = 1.0
"""Seconds between two looks."""

MEASURED_AT_ONCE = 8
"""Frames. For one frame alone, numpy needs longer to prepare than to measure."""

SAME_LEVEL_DB = 6.0
"""Two seconds whose levels differ by less are alike."""

SAME_MS = 120
"""Two seconds whose amounts of audio differ by less are alike: frames come unevenly."""

_FULL_SCALE = 32768.0


class Passage(Struct):
    """What became of the caller's audio since the last look, in ms."""

    sent: int = 0
    filled: int = 0
    """Silence that was sent where no audio was."""
    dropped: int = 0
    waiting: int = 0
    """What is kept now."""


class CallerMeter:
    def __init__(self) -> None:
        self._frames: list[memoryview] = []
        self._received = 0.0
        self._samples = 0
        self._energy = 0.0
        self._peak = 0.0
        self._rate = self._channels = 0
        self._reported = CallerAudio()

    def take(self, frame: rtc.AudioFrame) -> None:
        self._received += frame.samples_per_channel * 1000 / frame.sample_rate
        self._rate, self._channels = frame.sample_rate, frame.num_channels
        self._frames.append(frame.data)
        if len(self._frames) == MEASURED_AT_ONCE:
            self._measure()

    def look(self, passage: Passage) -> CallerAudio | None:
        """What came since the last look; ``None`` if it was like what was reported last."""
        self._measure()
        energy = self._energy / self._samples if self._samples else 0.0
        seen = CallerAudio(
            received_ms=round(self._received),
            dbfs=_dbfs(math.sqrt(energy)),
            peak=_dbfs(self._peak),
            sent_ms=passage.sent,
            filled_ms=passage.filled,
            dropped_ms=passage.dropped,
            waiting_ms=passage.waiting,
            rate=self._rate,
            channels=self._channels,
        )
        self._received = self._energy = self._peak = 0.0
        self._samples = 0
        if are_alike(seen, self._reported):
            return None
        self._reported = seen
        return seen

    def _measure(self) -> None:
        if not self._frames:
            return
        samples = np.frombuffer(b"".join(self._frames), np.int16).astype(np.float32)
        self._frames.clear()
        if samples.size:
            self._samples += samples.size
            self._energy += float(samples.dot(samples))
            self._peak = max(self._peak, float(np.abs(samples).max()))


def are_alike(one: CallerAudio, other: CallerAudio) -> bool:
    """Whether two seconds differ by no more than chance explains."""
    return (
        (one.rate, one.channels) == (other.rate, other.channels)
        and (one.dropped_ms > 0) is (other.dropped_ms > 0)
        and abs(one.dropped_ms - other.dropped_ms) < SAME_MS
        and _same_level(one.dbfs, other.dbfs)
        and abs(one.received_ms - other.received_ms) < SAME_MS
        and abs(one.sent_ms - other.sent_ms) < SAME_MS
        and abs(one.filled_ms - other.filled_ms) < SAME_MS
        and abs(one.waiting_ms - other.waiting_ms) < SAME_MS
    )


def _same_level(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < SAME_LEVEL_DB


def _dbfs(amplitude: float) -> float | None:
    return round(20 * math.log10(amplitude / _FULL_SCALE), 1) if amplitude else None
