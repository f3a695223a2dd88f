"""``phonic-fsm load``: what it refuses. ``tests/room/test_load.py`` lets it call a worker."""

from __future__ import annotations

from typing import Any

import pytest
from support.commands import assert_is_one_line_and_exit_2, run

from phonic_fsm._load.advice import advice
from phonic_fsm._load.caller import Heard
from phonic_fsm._load.figures import NAMES, Limit, figures
from phonic_fsm._load.plan import Plan

KEY: dict[str, Any] = {
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a-secret-of-at-least-32-characters",
}
NOWHERE = "ws://127.0.0.1:9"  # the port "discard": nobody listens


def test_another_host_is_called_only_when_it_is_named():
    result = run("load", **KEY, LIVEKIT_URL="wss://calls.example.com")
    assert_is_one_line_and_exit_2(result, says="--url wss://calls.example.com")


def test_a_key_is_needed():
    result = run("load", LIVEKIT_URL="", LIVEKIT_API_KEY="", LIVEKIT_API_SECRET="")
    assert_is_one_line_and_exit_2(result, says="LIVEKIT_API_SECRET")


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("lateness.p98=1", "no figure is named 'lateness.p98'"),
        ("latency.p95", "write latency.p95=1.5"),
        ("latency.p95=fast", "write latency.p95=1.5"),
        ("latency.p95=nan", "write latency.p95=1.5"),
        ("worker.cpu=5", "--worker-pid"),
    ],
)
def test_a_limit_that_cannot_be_checked_is_refused(limit, says):
    result = run("load", "--fail-on", limit, **KEY, LIVEKIT_URL=NOWHERE)
    assert_is_one_line_and_exit_2(result, says=says)


def test_a_process_that_is_not_there_is_refused():
    result = run("load", "--worker-pid", 2**22 + 1, **KEY, LIVEKIT_URL=NOWHERE)
    assert_is_one_line_and_exit_2(result, says="no process")


def test_a_server_that_does_not_answer_is_named():
    result = run("load", **KEY, LIVEKIT_URL=NOWHERE)
    assert_is_one_line_and_exit_2(result, says=NOWHERE)
    assert KEY["LIVEKIT_API_SECRET"] not in result.stderr


@pytest.mark.parametrize("how", ["LIVEKIT_URL", "--url"])
@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("wss://me:s3cret@calls.example.com", "must hold no credentials"),
        ("ws://me:s3cret@127.0.0.1:99999", "must hold no credentials"),
        ("ws://127.0.0.1:9/?token=s3cret", "LiveKit at ws://127.0.0.1:9/: "),
        ("ws://[::1/s3cret", "cannot be read"),
    ],
)
def test_an_address_with_a_secret_is_not_shown(address, says, how):
    if how == "--url":
        result = run("load", "--url", address, **KEY)
    else:
        result = run("load", **KEY, LIVEKIT_URL=address)
    assert_is_one_line_and_exit_2(result, says=says)
    assert "s3cret" not in result.stderr


def plan(**given):
    usual = {"rooms": 10, "ramp": 5.0, "turns": 3, "barge_in": 0.25, "hang_up": 0.2}
    return Plan(**{**usual, "patience": 1.0, "greets": True, **given})


def test_shares_are_spread_evenly():
    ten = plan()
    everybody = [(caller, turn) for caller in range(10) for turn in range(3)]
    assert sum(ten.barges_in(*one) for one in everybody) == 5, "a quarter of 20 later questions"
    assert [one[0] for one in everybody if ten.hangs_up(*one)] == [4, 9]
    assert not any(plan(barge_in=0.0, hang_up=0.0).barges_in(*one) for one in everybody)
    assert [ten.calls_at(caller) for caller in (0, 1, 9)] == [0.0, 0.5, 4.5]


def test_figures_are_those_of_all_calls():
    answered = Heard(
        goes_on=False, agent_joined=True, first_voice=1.0, latencies=[0.5, 0.7], barge_ins=1
    )
    deaf = Heard(goes_on=False)
    refused = Heard(goes_on=False, was_refused=True)
    running = Heard(first_voice=3.0, latencies=[0.9], unanswered=1)
    found = figures([answered, deaf, refused, running], cpu=9.5, megabytes=60.0)
    assert tuple(found) == NAMES
    assert (found["rooms"], found["refused"]) == (4, 1)
    assert (found["no_agent"], found["never_heard"]) == (1, 1)
    assert (found["asked"], found["unanswered"], found["latency.p50"]) == (4, 1, 0.7)
    assert (found["first_voice.max"], found["worker.cpu"]) == (3.0, 9.5)


REFUSED = Heard(was_refused=True)
ALONE = Heard(goes_on=False)
CUT_OFF = Heard()
MET = Heard(agent_joined=True, goes_on=False)
HERE = "ws://127.0.0.1:7880"
PHONIC = "ws://127.0.0.1:8765"


@pytest.mark.parametrize(
    ("calls", "name", "uncalled", "says"),
    [
        ([], None, PHONIC, ""),
        ([REFUSED], None, PHONIC, ""),
        ([ALONE, REFUSED], None, PHONIC, f"connected to {HERE}, and has it no agent_name?"),
        ([ALONE], "clerk", None, f"connected to {HERE}, and is its agent_name 'clerk'?"),
        ([MET, ALONE], None, PHONIC, f"is the worker's PHONIC_BASE_URL {PHONIC}?"),
        ([MET, ALONE, ALONE, REFUSED], None, None, "joined 2 of 3 rooms"),
        ([MET, REFUSED], None, None, ""),
        ([CUT_OFF, REFUSED], None, None, "no agent joined any room"),
        ([MET, CUT_OFF], None, None, ""),
        ([MET, CUT_OFF, ALONE], None, None, "joined 1 of 2 rooms"),
    ],
)
def test_what_calls_lack_is_said(calls, name, uncalled, says):
    advised = advice(calls, HERE, name, uncalled)
    assert says in advised
    assert bool(advised) == bool(says)


def test_what_could_not_be_measured_breaks_a_limit():
    nothing = figures([Heard(goes_on=False)])
    assert "could not be measured" in Limit.read("latency.p95=1").broken_by(nothing)
    assert (
        Limit.read("never_heard=0").broken_by(nothing) == "never_heard is 1, and may be 0 at most"
    )
    assert Limit.read("never_heard=1").broken_by(nothing) == ""
