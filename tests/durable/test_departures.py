"""Which calls of a worker that drains are asked to move, in virtual time."""

from __future__ import annotations

from types import SimpleNamespace

from msgspec.structs import replace

from phonic_fsm.durable import Holder, Status
from phonic_fsm.durable._departures import LAST, TURN, Departures


def call(name):
    return Status(name, 1, Holder("here", 1, 0.0, job=name), "held", 0, 0.5)


ONE, TWO, THREE, FOUR = CALLS = [call(name) for name in ("one", "two", "three", "four")]


def worker(*calls, draining=True, drain_timeout=60):
    jobs = [SimpleNamespace(job=SimpleNamespace(id=one.holder.job)) for one in calls]
    return SimpleNamespace(draining=draining, active_jobs=jobs, _drain_timeout=drain_timeout)


def test_as_many_as_may_move_at_once_are_asked_and_each_once():
    departures = Departures(worker(*CALLS), at_once=2)
    assert departures.due(CALLS, 0.0) == [ONE, TWO]
    assert departures.due(CALLS, 0.1) == []


def test_the_next_is_asked_when_one_has_moved_or_ended():
    departures = Departures(worker(*CALLS), at_once=2)
    departures.due(CALLS, 0.0)
    moved = replace(ONE, number=2, holder=Holder("elsewhere", 1, 0.0, job="its successor"))
    ended = replace(TWO, held="ended")
    assert departures.due([moved, TWO, THREE, FOUR], 1.0) == [THREE]
    assert departures.due([moved, ended, THREE, FOUR], 2.0) == [FOUR]


def test_one_that_does_not_get_away_keeps_the_others_for_a_while_only():
    departures = Departures(worker(*CALLS), at_once=2)
    departures.due(CALLS, 0.0)
    assert departures.due(CALLS, TURN - 0.1) == []
    assert departures.due(CALLS, TURN) == [THREE, FOUR]


def test_calls_of_others_and_of_a_worker_that_works_stay():
    assert Departures(worker(ONE), at_once=2).due(CALLS, 0.0) == [ONE]
    assert Departures(worker(*CALLS, draining=False), at_once=2).due(CALLS, 0.0) == []
    dead = [replace(one, held="dead") for one in CALLS]
    assert Departures(worker(*CALLS), at_once=2).due(dead, 0.0) == []


def test_those_that_have_not_moved_in_the_end_are_left():
    departures = Departures(worker(ONE, TWO), at_once=2)
    assert departures.overdue(CALLS, 0.0) == []
    assert departures.overdue(CALLS, 59.9 - LAST) == []
    assert departures.overdue([replace(ONE, held="ended"), *CALLS[1:]], 60 - LAST) == [TWO]
    # The store may have failed when it was to take what they are asked.
    assert departures.overdue(CALLS, 60.0) == [ONE, TWO]


def test_none_is_left_by_a_worker_that_works_or_waits_as_long_as_its_calls_take():
    assert Departures(worker(ONE, draining=False), at_once=2).overdue(CALLS, 0.0) == []
    patient = Departures(worker(ONE, drain_timeout=0), at_once=2)
    assert patient.overdue(CALLS, 0.0) == patient.overdue(CALLS, 3600.0) == []
