"""What a guard decides by what it sees, in virtual time."""

from __future__ import annotations

from msgspec.structs import replace

from phonic_fsm.durable import Holder, Status
from phonic_fsm.durable._judge import AGAIN, ARRIVAL, LATEST_ARRIVAL, Judge, patience
from phonic_fsm.durable._store import STILL_SECONDS

GONE = Status("gone", 1, Holder("here", 1, 0.0), "dead", 1, 0.5)
SILENT = Status("silent", 1, Holder("elsewhere", 1, 0.0), "dead", 1, 3.5, is_silent=True)
STILL = Status("still", 1, Holder("here", 2, 0.0), "still", 1, 3.5, is_silent=True)


def beats(age):
    return replace(SILENT, held="held", beat_age=age, is_silent=False)


def listening():
    """A judge that has seen heartbeats for long enough, and the time."""
    judge = Judge()
    assert judge.due([], 0.0) == []
    assert judge.due([beats(0.5)], STILL_SECONDS) == []
    return judge, STILL_SECONDS


def test_who_falls_silent_is_dead():
    judge, now = listening()
    now += STILL_SECONDS
    assert judge.due([replace(SILENT, beat_age=3.2)], now) == [replace(SILENT, beat_age=3.2)]


def test_a_guard_that_begins_believes_no_silence_yet():
    judge = Judge()
    assert judge.due([GONE, SILENT, STILL], 100.0) == [GONE]
    assert judge.due([SILENT, STILL], 100.0 + STILL_SECONDS - 0.1) == []
    assert judge.due([SILENT, STILL], 100.0 + STILL_SECONDS) == [SILENT, STILL]


def test_owners_may_beat_again_once_the_store_is_back():
    judge, now = listening()
    judge.look_in_vain()
    back = now + 20.0
    assert judge.due([GONE, SILENT], back) == [GONE], "a process that is gone will not beat"
    assert judge.due([beats(0.2)], back + 1.0) == []
    assert judge.due([SILENT], back + 1.0 + STILL_SECONDS) == [SILENT]


def test_owners_may_beat_again_where_the_store_has_lost_heartbeats():
    """A replica has taken its place between two looks, or a clock was set."""
    judge, now = listening()
    assert judge.due([replace(SILENT, beat_age=60.0)], now + 0.25) == []
    assert judge.due([beats(0.1)], now + 0.5) == []
    assert judge.due([replace(SILENT, beat_age=3.35)], now + 0.25 + STILL_SECONDS + 0.5) != []


def test_heartbeats_that_grow_old_by_themselves_are_not_lost():
    judge, now = listening()
    for age in (1.0, 2.0, 2.9):
        assert judge.due([beats(age)], now + age - 0.5) == []
    # A look takes its time, too, and LiveKit may have been slow.
    assert judge.due([replace(SILENT, beat_age=8.0)], now + 7.0) != []


def test_a_call_is_looked_at_again_after_a_while():
    judge, now = listening()
    assert judge.due([GONE], now) == [GONE]
    assert judge.due([GONE], now + AGAIN - 0.1) == []
    assert judge.due([GONE], now + AGAIN) == [GONE]


def test_later_successors_may_take_longer():
    """The death, and how old it is when each of the successors is sent that never arrive."""
    sent, age = [], 0.5
    while age < 60:
        sent.append(age)
        age += patience(replace(GONE, beat_age=age))
    assert sent == [0.5, 5.5, 11.0, 22.0, 37.0, 52.0]
    assert patience(GONE) == ARRIVAL
    assert patience(replace(GONE, beat_age=3600.0)) == LATEST_ARRIVAL
