"""The soak in short: some seconds of sessions in trouble, and minutes by a clock that runs fast.
The long form is ``tox -e soak``."""

from __future__ import annotations

import os

import anyio
import pytest
from soak.long_calls import CALLS, stay
from soak.reliability import in_a_hurry
from soak.soak import soak
from support import clock

SECONDS = 1.5
"""By the tests' clock: a busy machine takes longer for as many sessions and faults."""


@pytest.fixture
def anyio_backend():
    """What is waited for takes a quarter of its time."""
    return clock.backend(speed=4)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts in Linux's /proc")
@pytest.mark.anyio
async def test_nothing_is_lost_whatever_goes_wrong():
    with in_a_hurry():
        figures = await soak(seed=1, seconds=SECONDS, workers=8, samples=1)
    assert figures.losses == []
    assert not any(figures.left.values()), figures.left
    assert figures.sessions >= 8
    assert len(figures.faults) > 1


@pytest.mark.parametrize("name", CALLS)
def test_a_call_in_which_next_to_nothing_is_said_lasts(name):
    """Longer than Phonic waits for a word. All waiting is by the loop's clock, on both sides."""
    _, fast = clock.backend(speed=40)
    assert anyio.run(stay, name, 200.0, backend_options=fast) == []
