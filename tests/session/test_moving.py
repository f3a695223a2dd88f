"""When a process asks for a successor to its call, and when it hands the call over."""

from __future__ import annotations

import pytest
from livekit.agents.testing import fake_job_context

from phonic_fsm._adapter.moving import AGAIN, ARRIVAL, LATEST_WISH, LONGEST_WAIT, REST, Mover
from phonic_fsm.durable import journals
from phonic_fsm.durable._ownership import Ownership
from phonic_fsm.durable._process import this_process
from phonic_fsm.durable._store import READY_SECONDS

pytestmark = pytest.mark.anyio


class Moving:
    """A mover, its clock, and what it does."""

    def __init__(self, place, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("phonic_fsm._adapter.moving.time.monotonic", lambda: self.now)
        self.ownership = Ownership(journals(place), "call", this_process(room="lobby"))
        self.rests = True
        self.asked, self.told, self.left = [], [], []
        self.mover = Mover(
            self.ownership,
            rests=lambda: self.rests,
            start=self.asked.append,
            leave=lambda: self.left.append(self.now),
            tell=self.told.append,
        )

    def go_on(self, seconds):
        """Look as often as a session does, until it has left."""
        for _ in range(round(seconds / 0.2)):
            if not self.left:
                self.mover.look()
            self.now += 0.2


@pytest.fixture
async def moving(tmp_path, monkeypatch):
    with fake_job_context() as context, context._tempdir:
        context._on_shutdown = lambda _: None
        yield Moving(tmp_path, monkeypatch)


async def test_without_a_successor_the_call_stays_and_another_one_is_asked_for(moving):
    moving.ownership.wish = "move"
    moving.go_on(ARRIVAL - 1)
    assert (len(moving.asked), moving.told) == (1, [])
    moving.ownership.wish = None  # it was asked for once
    moving.mover.want()
    moving.go_on(AGAIN)
    assert (len(moving.asked), moving.told) == (1, ["stayed"])
    moving.go_on(2)
    assert len(moving.asked) == 2
    assert moving.left == []
    moving.ownership.wish = "handover"
    moving.go_on(REST + 0.4)
    assert moving.told == ["stayed", "moved"]
    assert moving.left


async def test_it_leaves_when_nobody_speaks_or_in_the_end(moving):
    moving.ownership.wish = "handover"
    moving.rests = False
    moving.go_on(LONGEST_WAIT)
    assert moving.left == []
    moving.go_on(0.4)
    assert moving.told[0] == "forced"


async def test_a_successor_that_was_told_of_what_is_true_no_more_does_not_get_the_call(moving):
    moving.mover.want()
    moving.go_on(1)
    moving.ownership.wish = "handover"
    moving.go_on(REST)
    moving.mover.turn_successor_away()
    moving.go_on(READY_SECONDS)
    assert moving.left == [], "its wish is there all the same"
    moving.ownership.wish = None
    moving.go_on(LATEST_WISH + 0.4)
    assert len(moving.asked) == 2
    moving.ownership.wish = "handover"
    moving.go_on(REST + 0.4)
    assert moving.left


async def test_it_leaves_at_once_if_its_worker_ends(moving):
    moving.rests = False
    moving.mover.turn_successor_away()
    moving.ownership.wish = "leave"
    moving.go_on(0.2)
    assert moving.left
    assert moving.asked == []
