"""What a successor sends of the caller's audio begins where its predecessor has ended."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from livekit import rtc

from phonic_fsm._adapter import seam
from phonic_fsm._adapter.seam import PATIENCE, Seam, last_of
from phonic_fsm.simulator import speak

RATE = 24_000

SPOKEN = np.frombuffer(speak("Where can we sit tonight, please?", RATE).pcm, np.int16)[: RATE * 2]

LEFT = 1000.0
"""When the predecessor left."""

CLOSEST = 1 / seam.COARSE


def frames(begin: float, end: float, ms: int = 50, rate: int = RATE, gain: float = 1.0):
    """What was said from ``begin`` to ``end`` (s), as LiveKit brings it."""
    at = np.arange(round(begin * rate), round(end * rate)) * RATE // rate
    samples = (SPOKEN[at] * gain).astype(np.int16)
    size = rate * ms // 1000
    return [
        rtc.AudioFrame(part.tobytes(), rate, 1, len(part))
        for part in (samples[start : start + size] for start in range(0, len(samples), size))
    ]


def seconds(found):
    return sum(frame.samples_per_channel / frame.sample_rate for frame in found)


def come(some, until, ms=50):
    """The frames, each with its time; the last one came then."""
    first = until - (len(some) - 1) * ms / 1000
    return deque((first + number * ms / 1000, frame) for number, frame in enumerate(some))


@pytest.fixture
def now(monkeypatch):
    clock = [LEFT]
    monkeypatch.setattr("phonic_fsm._adapter.seam.time.time", lambda: clock[0])
    return clock


@pytest.mark.parametrize(("rate", "gain"), [(RATE, 1.0), (RATE, 0.3), (48_000, 1.0), (16_000, 1.0)])
@pytest.mark.parametrize("ahead", [-0.113, -0.02, 0.0, 0.041, 0.2])
def test_nothing_is_lost_and_nothing_comes_twice(now, ahead, rate, gain):
    """The successor is so many seconds ahead of its predecessor, or behind it."""
    sent = 1.0
    parting = last_of(frames(0, sent)[-12:])
    now[0] += 0.05
    heard = sent + ahead + 0.05
    joint = Seam(parting, LEFT, come(frames(0.013, heard, rate=rate, gain=gain), now[0]))
    found = joint.close()
    for frame in frames(heard, heard + 0.3, rate=rate, gain=gain):
        now[0] += 0.05
        found += [frame] if joint.is_closed else joint.close(frame)
    assert joint.is_closed
    assert sent + seconds(found) == pytest.approx(heard + 0.3, abs=3 * CLOSEST)


def test_a_machine_that_is_too_busy_brings_less_in_a_second(now):
    """The piece that the predecessor has told came here over more than the time that they differ
    by."""
    slow = 400
    parting = last_of(frames(0, 1.0)[-12:])
    joint = Seam(parting, LEFT, come(frames(0, 0.9), LEFT, slow))
    now[0] += slow / 1000
    [more] = frames(0.9, 0.95)
    assert joint.close(more) == []
    now[0] += slow / 1000
    [last] = frames(0.95, 1.0)
    joint.close(last)
    assert joint.is_closed, "it ends with this frame"


def test_in_silence_the_time_tells(now):
    silence = [rtc.AudioFrame(bytes(2400), RATE, 1, 1200) for _ in range(20)]
    for parting in (b"", last_of(silence)):
        joint = Seam(parting, LEFT, come(silence, LEFT + 0.1))
        assert joint.close() == silence[-3:]
        assert joint.is_closed


def test_what_is_not_recognised_is_waited_for_a_while(now):
    noise = np.random.default_rng(1).integers(-9000, 9000, 7200, np.int16)
    parting = last_of([rtc.AudioFrame(noise.tobytes(), RATE, 1, 7200)])
    joint = Seam(parting, LEFT, come(frames(0, 1), LEFT))
    assert joint.close() == []
    assert not joint.is_closed
    later = frames(1, 1 + PATIENCE)
    sent: list[rtc.AudioFrame] = []
    for frame in later:
        sent += [frame] if joint.is_closed else joint.close(frame)
    assert joint.is_closed
    assert sent[1:] == later
