"""``phonic-fsm stats``: one trace, many, and those that cannot be read."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from support import processes
from support.commands import PHONIC_FSM, assert_is_one_line_and_exit_2, run
from support.written_traces import assistant, caller, opening, tool, write

from phonic_fsm._cli.traces import FEW, find_traces
from phonic_fsm._core.events import ConnectionClosed
from phonic_fsm.trace import TraceReader, measure


def call(path: Path, latency: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = [*opening(), *caller(2.0, 3.0), *assistant(2.9 + latency, "Hi."), *tool(9.0, 10.0)]
    return write(path, told, close=20.0)


def cells(text: str) -> dict[str, list[str]]:
    """The table's rows by their first two words."""
    return {" ".join(line.split()[:2]): line.split()[2:] for line in text.splitlines() if line}


def test_one_trace(tmp_path):
    result = run("stats", call(tmp_path / "call.jsonl", 0.4))
    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout.startswith("1 trace, 0:00:20 in all, 15 steps\n")
    table = cells(result.stdout)
    assert table["response latency"] == ["1", "0.400", "0.400", "0.400"]
    assert table["tool duration"] == ["1", "1.000", "1.000", "1.000"]
    assert table["outage 0"] == []
    assert "longest in" not in result.stdout
    assert "\nend at 20.000 s, step 15: The session was closed" in result.stdout
    assert "\nerror at " in result.stdout


def test_many_are_told_by_how_many_each_thing_is_true_of(tmp_path):
    for number in range(3):
        call(tmp_path / f"{number}.jsonl", 0.4)
    write(tmp_path / "killed.jsonl", opening())
    text = run("stats", tmp_path).stdout
    ended = "3 by aclose(), called by the agent's code or by LiveKit; 1 without an end"
    assert f"\nended           {ended}\n" in text
    assert f"\nerror           silence in 3 traces, such as {tmp_path / '0.jsonl'}\n" in text
    assert f"\nwarning         not-closed in {tmp_path / 'killed.jsonl'}\n" in text


def test_one_without_an_end_says_so(tmp_path):
    text = run("stats", write(tmp_path / "killed.jsonl", opening())).stdout
    assert "\nno end: the trace stops before it\n" in text


def test_a_directory_is_searched_to_its_depth(tmp_path):
    for number, latency in enumerate((0.2, 1.2, 0.4)):
        call(tmp_path / "a" / str(number) / "call.jsonl", latency)
    (tmp_path / "a" / "notes.txt").write_text("no trace")
    result = run("stats", tmp_path, columns=40)
    assert result.stdout.startswith("3 traces, 0:01:00 in all, 45 steps\n")
    *figures, where = cells(result.stdout)["response latency"]
    assert figures == ["3", "0.400", "1.120", "1.200"]
    assert where == str(tmp_path / "a" / "1" / "call.jsonl")


def test_compressed_traces_are_found_and_nothing_twice(tmp_path):
    names = ("b.jsonl.gz", "a.jsonl", "c.json", "d.wav")
    for name in names:
        (tmp_path / name).touch()
    found = find_traces([tmp_path, tmp_path / "a.jsonl", tmp_path / "c.json"])
    assert [path.name for path in found] == ["a.jsonl", "b.jsonl.gz", "c.json"]


def test_a_trace_that_cannot_be_read_is_told_and_left_out(tmp_path):
    call(tmp_path / "good.jsonl", 0.4)
    (tmp_path / "bad.jsonl").write_text("\x1b[2J no trace\n")
    result = run("stats", tmp_path)
    assert result.returncode == 0
    assert "1 trace, 0:00:20 in all, 15 steps; 1 not readable" in result.stdout
    (told,) = result.stderr.splitlines()
    assert "bad.jsonl: line 1 is not a trace's header" in told
    assert "\x1b" not in told


def test_where_nothing_can_be_read_that_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_text("x\n")
    (tmp_path / "b.jsonl").write_text("y\n")
    result = run("stats", tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == "phonic-fsm: not one trace can be read"
    assert_is_one_line_and_exit_2(run("stats", tmp_path / "a.jsonl"), says="line 1 is not")


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_name_that_leads_to_no_trace_is_an_error(name, tmp_path):
    (tmp_path / "empty").mkdir()
    says = {"nowhere": "No such file", "empty": "no *.jsonl or *.jsonl.gz in this directory"}
    assert_is_one_line_and_exit_2(run("stats", tmp_path / name), says=says[name])


def test_json_is_a_line_per_trace_and_the_summary(tmp_path):
    good = call(tmp_path / "good.jsonl", 0.4)
    (tmp_path / "worse.jsonl").write_text("x\n")
    result = run("stats", tmp_path, "--json")
    first, second, last = map(json.loads, result.stdout.splitlines())
    figures = measure(TraceReader(good))
    assert first["trace"] == str(good)
    assert first["response_latencies"] == figures.response_latencies == [0.4]
    assert (second["trace"], "problem" in second) == (str(tmp_path / "worse.jsonl"), True)
    summary = last["summary"]
    assert (summary["traces"], summary["unreadable"], summary["steps"]) == (1, 1, 15)
    assert summary["response_latency"] == {"count": 1, "p50": 0.4, "p95": 0.4, "max": 0.4}
    assert summary["outage"] == {"count": 0, "p50": None, "p95": None, "max": None}


def test_many_traces_are_shared_among_processes_and_come_in_order(tmp_path):
    for number in range(FEW + 10):
        call(tmp_path / f"{number:03}.jsonl", 0.1 + number / 10)
    (tmp_path / "050.jsonl").write_text("x\n")
    *traces, last = map(json.loads, run("stats", tmp_path, "--json").stdout.splitlines())
    assert [Path(trace["trace"]).name for trace in traces] == [
        *(f"{number:03}.jsonl" for number in range(FEW + 10)),
        "050.jsonl",
    ]
    assert [trace.get("response_latencies") for trace in traces[:3]] == [[0.1], [0.2], [0.3]]
    assert last["summary"]["unreadable"] == 1


def test_calls_that_never_opened_and_audio_that_was_lost_are_told(tmp_path):
    write(tmp_path / "a.jsonl", opening()[:4])
    write(tmp_path / "b.jsonl", [*opening(), (10.0, ConnectionClosed(1006))], close=14.0)
    text = run("stats", tmp_path).stdout
    assert "\nnever ready     1 trace\n" in text
    assert "\naudio lost      at most 4.0 s of the caller's, in outages\n" in text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_the_bar_is_on_stderr_and_the_figures_are_on_stdout(tmp_path):
    import pty

    for number in range(3):
        call(tmp_path / f"{number}.jsonl", 0.4)
    screen, terminal = pty.openpty()
    result = processes.run(
        *(*PHONIC_FSM, "stats", "--json", tmp_path),
        stderr=terminal,
        env={"TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(terminal)
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 4
    assert b"3/3" in os.read(screen, 65536)
    os.close(screen)
