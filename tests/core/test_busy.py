"""Phonic is busy (HTTP 429) while calls that it has cut off come back."""

from __future__ import annotations

import pytest
from support.machines import conversing

from phonic_fsm._core import effects, events, timers
from phonic_fsm._core.context import Settings
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._core.states import State
from phonic_fsm._wire import server as phonic

TURNED_AWAY = events.ConnectFailed("HTTP 429", chance=0.5, busy=True)


def connected():
    return conversing(Settings(id_seed="seed", max_retries=3))


def pause(step):
    [timer] = [e for e in step.effects if isinstance(e, effects.StartTimer)]
    assert timer.event == timers.RETRY_DUE
    return timer.seconds


def connects(step):
    return [effect.resume for effect in step.effects if isinstance(effect, effects.Connect)]


def test_a_call_waits_for_room_longer_than_conn_options_allow():
    machine = connected()
    machine.step(events.ConnectionClosed(1012))
    for _ in range(timers.MOST_REFUSALS):
        machine.step(TURNED_AWAY)
        assert machine.state is State.reconnecting
        assert connects(machine.step(events.RetryDue())) == ["conv_1"]
    machine.step(phonic.ConversationReconnected())
    assert machine.state is State.ready


def test_the_times_over_which_calls_come_back_grow():
    machine = connected()
    machine.step(events.ConnectionClosed(1012))
    pauses = [pause(machine.step(TURNED_AWAY)) for _ in range(3)]
    assert pauses == [pytest.approx(spread * 0.55) for spread in (4.0, 8.0, 8.0)]


def test_who_owes_an_answer_comes_back_twice_as_soon():
    idle, owing = connected(), connected()
    owing.step(phonic.AssistantStartedSpeaking())
    for machine in (idle, owing):
        machine.step(events.ConnectionClosed(1012))
    assert 2 * pause(owing.step(TURNED_AWAY)) == pause(idle.step(TURNED_AWAY))


def test_a_pause_that_phonic_asks_for_comes_on_top():
    machine = connected()
    machine.step(events.ConnectionClosed(1012))
    asked = events.ConnectFailed("HTTP 429", retry_after=5.0, chance=0.5, busy=True)
    assert pause(machine.step(asked)) == pytest.approx(5.0 + 2.2)


def test_whoever_was_turned_away_begins_afresh_after_a_pause():
    """All calls that were cut off together give the conversation up at the same time."""
    machine = connected()
    machine.step(events.ConnectionClosed(1012))
    machine.step(TURNED_AWAY)
    given_up = machine.step(events.GraceOver())
    assert machine.state is State.connecting
    assert connects(given_up) == []
    assert pause(given_up) > 0
    assert connects(machine.step(events.RetryDue())) == [None]
    machine.step(TURNED_AWAY)
    assert machine.state is State.connecting, "a fresh conversation waits for room, too"


def test_a_call_is_turned_away_a_bounded_number_of_times():
    machine = connected()
    machine.step(events.ConnectionClosed(1012))
    for _ in range(timers.MOST_REFUSALS + 10):
        machine.step(TURNED_AWAY)
        machine.step(events.RetryDue())
    assert machine.state is State.closed


def test_a_new_call_counts_each_refusal_as_an_attempt():
    machine = SessionMachine(Settings(id_seed="seed", max_retries=3))
    machine.step(events.Open())
    for _ in range(4):
        machine.step(TURNED_AWAY)
    assert machine.state is State.closed
