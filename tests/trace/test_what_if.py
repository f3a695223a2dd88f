"""A recorded call with something changed: what the machine would have done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import assert_is_one_line_and_exit_2, run
from support.record_traces import TRACES
from support.written_traces import Told, assistant, caller, opening, tool, write

from phonic_fsm._core.events import GenerateReply, ReplyOverdue
from phonic_fsm.trace._reader import TraceReader
from phonic_fsm.trace._what_if import ChangeError, WhatIf, parse_change, what_if


def otherwise(path: Path, *changes: str) -> list[WhatIf]:
    """The steps that come out otherwise."""
    steps = what_if(TraceReader(path), [parse_change(change) for change in changes])
    return [step for step in steps if not step.is_same]


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """A turn (steps 6 to 12), a tool, and its answer."""
    told = [
        *opening(),
        *caller(2.0, 3.0),
        *assistant(3.5, "Let me look."),
        *tool(4.0, 6.0),
        *assistant(6.5, "Sunny."),
    ]
    return write(tmp_path / "call.jsonl", told, close=9.0)


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_without_a_change_nothing_comes_out_otherwise(path):
    assert otherwise(path) == []


def test_an_event_that_is_dropped_is_missing(call):
    lost = [line.seq for line in TraceReader(call) if line.event["type"] == "tool_call"]
    steps = otherwise(call, f"drop {lost[0]}")
    assert [step.event["type"] for step in steps][:2] == [
        "update_chat_ctx",
        "tool_call_output_processed",
    ]
    assert all(step.recorded is not None for step in steps)
    assert lost[0] not in [step.recorded.seq for step in steps if step.recorded]


def test_an_event_that_is_delayed_comes_between_others(call):
    started = next(
        line for line in TraceReader(call) if line.event["type"] == "assistant_started_speaking"
    )
    steps = otherwise(call, f"delay {started.seq} 0.15")
    late = next(step for step in steps if step.recorded and step.recorded.seq == started.seq)
    assert late.t == pytest.approx(started.t + 0.15)
    assert steps.index(late) > 0, "the audio came before the turn's beginning"


def test_an_event_that_is_edited_has_another_field(call):
    said = next(line for line in TraceReader(call) if line.event["type"] == "input_text")
    [step] = otherwise(call, f"edit {said.seq} text=Goodbye.")
    assert step.event["text"] == "Goodbye."
    assert "Goodbye." in str(step.effects)


def test_a_timer_runs_out_when_its_setting_says_so(tmp_path):
    told: list[Told] = [*opening(), (1.0, GenerateReply("reply_1")), (6.0, ReplyOverdue())]
    path = write(tmp_path / "call.jsonl", told, close=30.0)
    [asked, *timers, _] = otherwise(path, "option reply_timeout=4")
    assert asked.event["type"] == "generate_reply"
    assert [(step.event["type"], step.t, step.recorded) for step in timers] == [
        ("reply_overdue", 3.0, None),
        ("reply_overdue", 5.0, None),
    ]


def test_a_timer_that_is_given_more_time_does_not_run_out_as_recorded(tmp_path):
    told: list[Told] = [
        *opening(),
        (1.0, GenerateReply("reply_1")),
        (6.0, ReplyOverdue()),
        *assistant(8.0, "Yes."),
    ]
    path = write(tmp_path / "call.jsonl", told, close=9.0)
    steps = otherwise(path, "option reply_timeout=60")
    assert "reply_overdue" not in [step.event["type"] for step in steps]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("remove 3", "'remove 3' is no change: write drop STEP"),
        ("drop", "is no change"),
        ("drop 99", "there is no step 99: the trace has 18"),
        ("edit 7 words=1", "step 7, user_finished_speaking, has no field 'words'"),
        ("edit 8 text=1", "step 8, text: Expected `str`, got `int`"),
        ("option patience=1", "there is no setting 'patience': there are id_seed"),
        ("option config.patience=1", "there is no setting 'config.patience'"),
        ("option reply_timeout=soon", "option reply_timeout: Expected `float`, got `str`"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(change, says, call):
    with pytest.raises(ChangeError):
        otherwise(call, change)
    assert_is_one_line_and_exit_2(run("replay", call, "--what-if", change), says=says)


def test_the_command_shows_what_comes_out_otherwise_beside_the_recording(call):
    result = run("replay", call, "--what-if", "drop 6", columns=100)
    assert result.returncode == 0
    assert "… 5 steps as recorded" in result.stdout
    assert "recorded: listening → ready" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("out otherwise; it ends in closed")
    same = run("replay", call, "--what-if", "option turn_timeout=10")
    assert same.stdout.splitlines()[-1] == "nothing comes out otherwise; it ends in closed"


def test_the_command_prints_json(call):
    lines = run("replay", call, "--what-if", "drop 6", "--json").stdout.splitlines()
    steps = [json.loads(line) for line in lines]
    assert [step["as_recorded"] for step in steps[:6]] == [True] * 5 + [False]


def test_it_stands_alone(call):
    result = run("replay", call, "--what-if", "drop 6", "--until", 5)
    assert_is_one_line_and_exit_2(result, says="--what-if cannot be used with --until")
