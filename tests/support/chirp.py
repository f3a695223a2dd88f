"""A tone that rises while a caller gives it, so that what arrives tells which part of it that is.

Each moment's pitch tells when it was given. So it shows what was lost on the way, and what came
twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phonic_fsm.testing import Sound

RATE = 24_000

LOWEST = 400.0
"""The pitch at the beginning (Hz)."""

RISE = 120.0
"""Hz in each second."""

WINDOW = RATE // 25
"""Samples of which the pitch is taken."""

HOP = WINDOW // 2

LOUD = 0.05
"""What is louder (RMS, of full scale) is the tone."""


class Heard(NamedTuple):
    """What has become of the tone. Buffers on the way change it by some hundredths of a second."""

    first: float
    """Which part of it came first (s from its beginning)."""
    lost: float
    """The most that is missing at one place (s)."""
    doubled: float
    """The most that is there twice at one place (s)."""


def chirp(seconds: float) -> Sound:
    times = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (LOWEST * times + RISE * times**2 / 2)
    return Sound((0.4 * 32767 * np.sin(phase)).astype(np.int16).tobytes(), RATE)


def heard(pcm: bytes) -> Heard:
    """What is there of the tone in mono PCM16 of ``RATE``."""
    given = moments(pcm)
    # By how much each part came too early or too late; a window across a seam tells nothing.
    drift = given - np.arange(len(given)) * HOP / RATE
    steady = np.median(np.lib.stride_tricks.sliding_window_view(drift, 9), axis=1)
    steps = steady[10:] - steady[:-10]
    return Heard(float(np.median(given[:5])), float(steps.max()), float(-steps.min()))


def moments(pcm: bytes) -> NDArray[np.float64]:
    """When each part that is there of the tone was given (s from its beginning), one each ``HOP``
    samples."""
    samples = np.frombuffer(pcm, np.int16) / 32768
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    loud = windows[np.sqrt((windows**2).mean(axis=1)) > LOUD]
    return np.array([_given(window) for window in loud])


def _given(window: NDArray[np.float64]) -> float:
    """When this part was given (s from the beginning)."""
    spectrum = np.log(np.abs(np.fft.rfft(window * np.hanning(WINDOW), 4 * WINDOW)) + 1e-9)
    peak = int(np.argmax(spectrum[1:-1])) + 1
    left, middle, right = spectrum[peak - 1 : peak + 2]
    exact = peak + (left - right) / (left - 2 * middle + right) / 2
    return float((exact * RATE / (4 * WINDOW) - LOWEST) / RISE)
