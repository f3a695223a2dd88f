"""Measures the caller's audio, second by second, for the trace.

A trace has no audio of the caller unless that is recorded, too. What the meter reports is enough to
tell a microphone that is off from one that is too quiet, a gate that never opened, or audio that
piles up. It reports a second only if that differs from the one that it reported last, or if its
level varies, as in speech. So an hour in which nothing happens stays small, and speech can be seen
as a waveform.
"""

from __future__ import annotations

import math

import numpy as np
from livekit import rtc
from msgspec import Struct

from .._core.events import SILENT, CallerAudio, is_flat

PERIOD = 1.0
"""Seconds between two looks."""

MEASURED_AT_ONCE = 128
"""Frames, which is more than come in a second. For one frame alone, numpy needs longer to prepare
than to measure."""

PARTS = 10
"""In a second; each has a level of its own."""

SAME_LEVEL_DB = 6.0
"""Two seconds whose levels differ by less are alike."""

SAME_MS = 120
"""Two seconds whose amounts of audio differ by less are alike: frames come unevenly."""

_FULL_SCALE_DB = 20 * math.log10(32768)


class Passage(Struct):
    """What became of the caller's audio since the last look, in ms."""

    sent: int = 0
    filled: int = 0
    """Silence that was sent where no audio was."""
    dropped: int = 0
    overflowed: int = 0
    """So much of what was dropped had been given to a connection that took too little."""
    outlasted: int = 0
    """So much of it was kept until something can be sent, and that took too long."""
    waiting: int = 0
    """What is kept now."""


class CallerMeter:
    def __init__(self) -> None:
        self._unmeasured: list[bytes] = []
        """The samples of frames. The frames themselves are not kept: their buffers may be used
        again, and many objects that stay for a second cause garbage collections."""
        self._received = 0.0
        self._samples = 0
        self._energy = 0.0
        self._peak = 0.0
        """The square of the loudest sample."""
        self._levels: list[int] = []
        self._rate = self._channels = 0
        self._reported = CallerAudio()

    def take(self, frame: rtc.AudioFrame) -> None:
        self._unmeasured.append(bytes(frame.data))
        # If it changes among frames that are measured at once, that measurement is inexact.
        self._rate, self._channels = frame.sample_rate, frame.num_channels
        if len(self._unmeasured) == MEASURED_AT_ONCE:
            self._measure()

    def look(self, passage: Passage) -> CallerAudio | None:
        """What came since the last look; ``None`` if it was like what was reported last."""
        self._measure()
        energy = self._energy / self._samples if self._samples else 0.0
        seen = CallerAudio(
            received_ms=round(self._received),
            dbfs=_dbfs(energy),
            peak=_dbfs(self._peak),
            levels=tuple(self._levels),
            sent_ms=passage.sent,
            filled_ms=passage.filled,
            dropped_ms=passage.dropped,
            overflowed_ms=passage.overflowed,
            waiting_ms=passage.waiting,
            rate=self._rate,
            channels=self._channels,
        )
        self._received = self._energy = self._peak = 0.0
        self._samples = 0
        self._levels.clear()
        if are_alike(seen, self._reported):
            return None
        self._reported = seen
        return seen

    def _measure(self) -> None:
        """Measure what was taken. A part that is not whole gets a level, too."""
        if not self._unmeasured:
            return
        samples = np.frombuffer(b"".join(self._unmeasured), np.int16)
        self._unmeasured.clear()
        per_second = self._rate * self._channels
        part = per_second // PARTS
        if not samples.size or not part:
            return
        self._samples += samples.size
        self._received += samples.size * 1000 / per_second
        self._peak = max(self._peak, float(samples.max()) ** 2, float(samples.min()) ** 2)
        squares = np.square(samples, dtype=np.float32)
        energies = np.add.reduceat(squares, np.arange(0, samples.size, part)).tolist()
        self._energy += sum(energies)
        last = samples.size - (len(energies) - 1) * part
        for energy, size in zip(energies, [part] * (len(energies) - 1) + [last], strict=True):
            level = _dbfs(energy / size)
            self._levels.append(SILENT if level is None else round(level))


def are_alike(one: CallerAudio, other: CallerAudio) -> bool:
    """Whether two seconds differ by no more than chance explains."""
    return (
        is_flat(one.levels)
        and is_flat(other.levels)
        and (one.rate, one.channels) == (other.rate, other.channels)
        and (one.dropped_ms > 0) is (other.dropped_ms > 0)
        and (one.overflowed_ms > 0) is (other.overflowed_ms > 0)
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


def _dbfs(energy: float) -> float | None:
    """The level of samples with this mean energy."""
    return round(10 * math.log10(energy) - _FULL_SCALE_DB, 1) if energy else None
