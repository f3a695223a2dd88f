"""Traces that somebody has made to hold up a command, to mislead it or to write to a terminal."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from support.commands import run
from support.record_traces import TRACES
from support.recorded import lines_of

from phonic_fsm.trace import TraceError, TraceReader, replay
from phonic_fsm.trace._follow import GrowingTrace, _Tail
from phonic_fsm.trace._format import LONGEST_LINE
from phonic_fsm.trace._reader import READ_BYTES

TOOL_CALL = TRACES / "tool_call.jsonl"


def written(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def assert_is_one_line(result, says):
    """As of every mistake, but what was read before may have been printed."""
    assert result.returncode == 2, result
    [line] = result.stderr.splitlines()
    assert says in line


# -- size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_a_line_without_end_is_refused_before_it_is_read_whole(suffix, tmp_path):
    header = TOOL_CALL.read_bytes().split(b"\n")[0]
    path = tmp_path / f"endless{suffix}"
    content = header + b'\n{"seq":1,' + b" " * (LONGEST_LINE + 2**20)
    path.write_bytes(gzip.compress(content, 1) if suffix.endswith(".gz") else content)
    says = "a line has more than 64 MiB"
    for command in ("replay", "stats"):
        assert_is_one_line(run(command, path), says)
    with pytest.raises(TraceError, match=says):
        list(TraceReader(path))


def test_a_line_of_many_reads_is_put_together(tmp_path):
    lines = lines_of(TOOL_CALL)
    lines[5]["later"] = "x" * 500_000
    path = written(tmp_path / "long.jsonl", lines)
    zipped = path.with_suffix(".jsonl.gz")
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    for one in (path, zipped):
        assert len(list(TraceReader(one))) == len(lines) - 1


def test_a_step_of_too_many_values_is_refused_and_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("phonic_fsm.trace._reader.MOST_VALUES", 5_000)
    lines = lines_of(TOOL_CALL)
    lines[5]["later"] = [0] * 20_000
    with pytest.raises(TraceError, match="line 6 is not a step: More than 5000 values"):
        list(TraceReader(written(tmp_path / "many.jsonl", lines)))


# -- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1e15, -1e15, 1e300, 10**18])
def test_an_impossible_number_is_no_traceback_in_any_command(number, tmp_path):
    lines = lines_of(TOOL_CALL)
    [chunk] = [line["event"]["audio"] for line in lines[1:] if "audio" in line["event"]]
    chunk["bytes"] = number
    path = written(tmp_path / "audio.jsonl", lines)
    lines = lines_of(TOOL_CALL)
    lines[4]["t"] = number
    times = written(tmp_path / "times.jsonl", lines)
    for trace, says in ((path, "audio.jsonl: step "), (times, "times.jsonl: line ")):
        for command in (("replay",), ("stats",), ("report", "--out", tmp_path / "page.html")):
            assert_is_one_line(run(command[0], trace, *command[1:]), says)


def test_a_number_is_no_bool(tmp_path):
    lines = lines_of(TOOL_CALL)
    effect, name, was = next(
        (effect, name, value)
        for line in lines[1:]
        for effect in line["effects"]
        for name, value in effect.items()
        if isinstance(value, bool)
    )
    effect[name] = int(was)
    path = written(tmp_path / "number.jsonl", lines)
    [difference] = [step.difference for step in replay(path) if step.difference is not None]
    assert repr((difference.expected, difference.got)) == repr((int(was), was))
    assert run("replay", path).returncode == 1
    assert run("diff", path, TOOL_CALL).returncode == 1


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("event", "type"), [1]),
        (("event", "parameters"), 5),
        (("event",), {}),
        (("effects", 0, "type"), {}),
    ],
    ids=str,
)
def test_what_is_no_step_is_no_traceback_in_any_command(where, value, tmp_path):
    lines = lines_of(TOOL_CALL)
    line = next(line for line in lines[1:] if line["event"]["type"] == "tool_call")
    part = line
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    path = written(tmp_path / "no_step.jsonl", lines)
    for command in (
        ("diff", path, TOOL_CALL, "--times"),
        ("scenario", path),
        ("redact", path, tmp_path / "out.jsonl"),
    ):
        assert_is_one_line(run(*command), f"{path.name}: ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_trace_that_is_waited_for(tmp_path):
    os.mkfifo(path := tmp_path / "pipe.jsonl")
    (tmp_path / "call.jsonl").write_bytes(TOOL_CALL.read_bytes())
    assert_is_one_line(run("replay", path), "this is no file, but a pipe")
    assert run("stats", tmp_path).returncode == 0


def test_a_packed_trace_that_grows_is_unpacked_bit_by_bit(tmp_path):
    header, rest = TOOL_CALL.read_bytes().split(b"\n", 1)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(header + b"\n"))
    trace = GrowingTrace(path)
    assert list(trace.more()) == []
    with path.open("ab") as file:
        file.write(gzip.compress(rest) + bytes(64))
    assert len(list(trace.more())) == rest.count(b"\n")
    tail = _Tail(path)
    with path.open("wb") as file:
        file.write(gzip.compress(bytes(20 * READ_BYTES)))
    assert max(map(len, tail._unpacked(path.read_bytes()))) == READ_BYTES
    path.write_bytes(gzip.compress(b"x" * (LONGEST_LINE + 2**20), 1))
    with pytest.raises(TraceError, match="a line has more than 64 MiB"):
        GrowingTrace(path)


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ev\x1b[2Jil\x07", "ev\udcff\u202eil"], ids=ascii)
def test_no_command_prints_a_files_name_as_it_is(name, tmp_path):
    (path := tmp_path / f"{name}.jsonl").write_bytes(TOOL_CALL.read_bytes())
    directory = tmp_path / f"{name}.traces"
    directory.mkdir()
    (directory / f"{name}.jsonl").write_bytes(TOOL_CALL.read_bytes())
    (directory / f"{name}2.jsonl").write_bytes(TOOL_CALL.read_bytes()[:-9])
    out, page = tmp_path / f"{name}.out.jsonl", tmp_path / f"{name}.html"
    for command in (
        ("replay", path),
        ("replay", directory),
        ("replay", f"{path}.missing"),
        ("stats", path, directory),
        ("diff", path, TRACES / "say.jsonl"),
        ("diff", path, f"{path}.missing"),
        ("diff", path, TRACES / "say.jsonl", "--html", tmp_path / f"{name}.diff.html"),
        ("redact", path, out),
        ("redact", path, out),
        ("report", path, "--out", page),
        ("report", directory, "--out", tmp_path / f"{name}.pages"),
        ("report", path, "--out", f"{path}/missing/page.html"),
        ("scenario", path, "--out", out),
        ("simulate", path),
        ("demo", "--out", path),
    ):
        result = run(*command)
        printed = result.stdout + result.stderr
        assert all(c.isprintable() or c == "\n" for c in printed), (command, printed)
        assert "Traceback" not in printed
