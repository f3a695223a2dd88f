"""What was overheard in a move ends where LiveKit's own audio begins."""

from __future__ import annotations

import numpy as np
import pytest
from livekit import rtc

from phonic_fsm._adapter.overhearing import RATE, _before
from phonic_fsm.simulator import speak

SPOKEN = speak("Where can we sit?", RATE).pcm[: RATE * 2]
FRAMES = [
    rtc.AudioFrame(SPOKEN[start : start + 960], RATE, 1, 480)
    for start in range(0, len(SPOKEN), 960)
]


def brought(begins: int, rate: int = RATE, gain: float = 1.0) -> rtc.AudioFrame:
    """50 ms of it as LiveKit brings it, from this sample on."""
    samples = np.frombuffer(SPOKEN, np.int16)
    at = begins + np.arange(rate // 20) * RATE // rate
    pcm = (samples[at] * gain).astype(np.int16)
    return rtc.AudioFrame(pcm.tobytes(), rate, 1, len(pcm))


@pytest.mark.parametrize(("rate", "gain"), [(RATE, 1.0), (RATE, 0.3), (48_000, 1.0), (16_000, 1.0)])
@pytest.mark.parametrize("begins", [6_000, 13_332])
def test_nothing_is_there_twice(begins, rate, gain):
    kept = _before(brought(begins, rate, gain), FRAMES)
    assert sum(frame.samples_per_channel for frame in kept) == pytest.approx(begins, abs=8)
    assert b"".join(bytes(frame.data) for frame in kept) == SPOKEN[: len(kept[0].data) * 2]


def test_what_livekit_begins_with_later_is_kept_whole():
    silence = rtc.AudioFrame(bytes(2400), RATE, 1, 1200)
    noise = np.random.default_rng(1).integers(-9000, 9000, 1200, np.int16)
    for first in (silence, rtc.AudioFrame(noise.tobytes(), RATE, 1, 1200)):
        assert _before(first, FRAMES) == FRAMES
        assert _before(first, []) == []
