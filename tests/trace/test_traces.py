"""Recorded sessions: each replays exactly, and what it does is written down for review."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from support.record_traces import SCENARIOS, TRACES, record

from phonic_fsm._cli.text import brief
from phonic_fsm._core.states import ALL
from phonic_fsm._core.table import TABLE
from phonic_fsm.trace import Header, TraceError, TraceReader, replay

RECORDED = sorted(TRACES.glob("*.jsonl"))


def transcript(path: Path) -> str:
    """The trace as lines that a person can review: nothing drawn by chance, nothing timed."""
    seed = TraceReader(path).header.settings.id_seed
    lines = []
    for step in replay(path):
        line = step.line
        assert step.difference is None, f"step {line.seq}: {step.difference}"
        moved = f"{line.source} → {line.target}" if line.source != line.target else line.source
        lines.append(f"{brief(line.event, 90)}  [{moved}]")
        lines += [f"    {brief(effect, 110)}" for effect in line.effects]
    text = "\n".join(lines).replace(seed, "")
    return re.sub(r'(?<="item_)\w+|(?<=seconds=)0\.0\d+', "…", text)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_trace_replays_and_reads_as_reviewed(path, snapshot):
    assert transcript(path) == snapshot


def test_every_scenario_is_recorded():
    assert {path.stem for path in RECORDED} == set(SCENARIOS)
    assert len(RECORDED) >= 15


def test_the_recorded_traces_go_through_every_state():
    seen = {step.line.target for path in RECORDED for step in replay(path)}
    assert seen == {state.value for state in ALL}


def test_the_recorded_traces_take_most_rows_that_do_something():
    events = {step.line.event["type"] for path in RECORDED for step in replay(path)}
    missing = {row.event for row in TABLE if row.actions} - events
    assert missing <= {
        "answer_unclaimed",
        "answer_overdue",
        "audio_not_taken",
        "break",
        "calls_dropped",
        "cancel_reply",
        "checkpoint",
        "echo_over",
        "grace_over",
        "lease_lost",
        "state_overdue",
        "take_over",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["tool_call", "lost_and_resumed"])
async def test_a_session_recorded_now_replays(name, tmp_path):
    path = tmp_path / "now.jsonl"
    await record(name, path)
    assert [step.difference for step in replay(path)].count(None) > 5


def changed(path: Path, tmp_path: Path, change) -> Path:
    """A copy of a trace in which one line was changed."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    copy = tmp_path / path.name
    copy.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return copy


def moved_elsewhere(lines):
    lines[5]["to"] = "listening"


def another_effect(lines):
    number = next(n for n, line in enumerate(lines) if n and line["effects"])
    lines[number]["effects"][0]["type"] = "disconnect"


def one_effect_less(lines):
    number = next(n for n, line in enumerate(lines) if n and line["effects"])
    lines[number]["effects"].pop()


def another_event(lines):
    lines[5]["event"] = {"type": "assistant_ended_conversation"}


@pytest.mark.parametrize(
    "change", [moved_elsewhere, another_effect, one_effect_less, another_event]
)
def test_a_changed_trace_diverges_where_it_was_changed(change, tmp_path):
    original = TRACES / "normal_turn.jsonl"
    path = changed(original, tmp_path, change)
    lines = zip(original.read_text().splitlines(), path.read_text().splitlines(), strict=True)
    differing = next(
        number for number, (a, b) in enumerate(lines) if json.loads(a) != json.loads(b)
    )
    *same, last = replay(path)
    assert last.difference is not None
    assert last.line.seq == differing
    assert all(step.difference is None for step in same)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"\x00\xff\x13binary", "line 1 is not a trace's header"),
        (b'{"some":"json"}\n', "line 1 is not a trace's header"),
        (b'{"trace":"other","version":1}\n', "a trace of 'other'"),
        (b'{"trace":"phonic-fsm","version":99}\n', "version 99 is not known"),
    ],
)
def test_what_is_no_trace_is_refused_with_a_reason(content, problem, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=problem):
        list(replay(path))


def test_a_line_that_is_cut_off_is_named(tmp_path):
    whole = (TRACES / "normal_turn.jsonl").read_bytes()
    path = tmp_path / "cut.jsonl"
    path.write_bytes(whole[: whole.index(b"\n", 2_000) + 10])
    with pytest.raises(TraceError, match=r"line \d+ is cut off \(\d+ steps before it are whole\)"):
        list(replay(path))


def test_a_step_that_is_missing_is_named(tmp_path):
    path = changed(TRACES / "normal_turn.jsonl", tmp_path, lambda lines: lines.pop(4))
    with pytest.raises(TraceError, match="step 5 stands where step 4 should"):
        list(replay(path))


def test_unknown_fields_of_a_later_version_are_read_over(tmp_path):
    def add(lines):
        lines[0]["later"] = lines[3]["later"] = {"a": 1}

    path = changed(TRACES / "normal_turn.jsonl", tmp_path, add)
    assert all(step.difference is None for step in replay(path))


def test_a_header_holds_no_secret():
    for path in RECORDED:
        assert b"recording-key" not in path.read_bytes()
        assert "api_key" not in msgspec.to_builtins(TraceReader(path).header)
        assert isinstance(TraceReader(path).header, Header)
