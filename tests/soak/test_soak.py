"""The soak's short form: some seconds of sessions in trouble. The long form: ``tox -e soak``."""

from __future__ import annotations

import os

import pytest
from soak.reliability import in_a_hurry
from soak.soak import soak

SECONDS = 1.5
"""By the tests' clock: a busy machine takes longer for as many sessions and faults."""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts in Linux's /proc")
@pytest.mark.anyio
async def test_nothing_is_lost_whatever_goes_wrong():
    with in_a_hurry():
        figures = await soak(seed=1, seconds=SECONDS, workers=8, samples=1)
    assert figures.losses == []
    assert not any(figures.left.values()), figures.left
    assert figures.sessions >= 8
    assert len(figures.faults) > 1
