"""The queries of docs/duckdb.md, over the recorded traces."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.runs import written_today

from phonic_fsm._core.states import CONVERSING
from phonic_fsm.trace import Line, TraceReader

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "duckdb.md").read_text(encoding="utf-8")
MYSTERY = ROOT / "examples" / "traces" / "mystery.jsonl"
TRACES = sorted((ROOT / "tests" / "traces").glob("*.jsonl"))
MAKE_CALLS, *QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
BARGE_IN = ("user_started_speaking", "interrupted_response", "interrupt")
OUTPUTS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> duckdb.DuckDBPyConnection:
    """The page's ``calls``, of the recorded traces, every other one compressed."""
    directory = tmp_path_factory.mktemp("traces")
    for number, path in enumerate(TRACES):
        if number % 2:
            shutil.copy(path, directory)
        else:
            with gzip.open(directory / f"{path.name}.gz", "wb") as file:
                file.write(path.read_bytes())
    database = duckdb.connect()
    assert "'traces/**/*.jsonl*'" in MAKE_CALLS
    database.execute(MAKE_CALLS.replace("traces/**", f"{directory.as_posix()}/**"))
    return database


@pytest.fixture(scope="module")
def calls(database) -> dict[str, dict[str, Any]]:
    """The rows of ``calls`` by their traces' names."""
    found = database.execute("FROM calls")
    columns = [column[0] for column in found.description]
    rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    return {Path(row["trace"]).name.removesuffix(".gz"): row for row in rows}


def test_every_trace_is_a_row(calls):
    assert sorted(calls) == [path.name for path in TRACES]


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_the_figures_are_those_of_the_trace(path, calls):
    lines = list(TraceReader(path))
    row = calls[path.name]
    assert row["steps"] == len(lines)
    assert row["seconds"] == pytest.approx(lines[-1].t - lines[0].t)
    assert row["time_to_ready"] == approximately(time_to_ready(lines))
    assert row["response_latencies"] == pytest.approx(response_latencies(lines))
    assert row["tool_durations"] == pytest.approx(tool_durations(lines))
    assert row["interruptions"] == interruptions(lines)
    assert row["outages"] == pytest.approx(outages(lines))


def test_a_trace_with_runs_gives_the_same_figures(tmp_path):
    written_today(MYSTERY, tmp_path / "today.jsonl")
    shutil.copy(MYSTERY, tmp_path / "before.jsonl")
    database = duckdb.connect()
    database.execute(MAKE_CALLS.replace("traces/**", tmp_path.as_posix()))
    before, today = database.execute("SELECT * EXCLUDE trace FROM calls").fetchall()
    assert str(today) == str(before)


def test_the_recorded_traces_have_something_of_everything(calls):
    for figure in ("response_latencies", "tool_durations", "interruptions", "outages"):
        assert any(row[figure] for row in calls.values()), figure
    assert any(row["time_to_ready"] is None for row in calls.values())


@pytest.mark.parametrize(("query", "output"), list(zip(QUERIES, OUTPUTS, strict=True)))
def test_the_pages_queries_give_what_it_shows(query, output, database):
    found = database.execute(query)
    assert [column[0] for column in found.description] == output.splitlines()[0].split()
    assert len(found.fetchall()) == len(output.splitlines()) - 1


# -- the same figures, one at a time -------------------------------------------------------------


def approximately(seconds: float | None) -> Any:
    return None if seconds is None else pytest.approx(seconds)


def time_to_ready(lines: list[Line]) -> float | None:
    moves = (line.t for line in lines if line.source != line.target and line.target in CONVERSING)
    ready = next(moves, None)
    return None if ready is None else ready - lines[0].t


def happenings(lines: list[Line]):
    """Events and effects in their order: time, type and fields."""
    for line in lines:
        yield line.t, line.event["type"], {**line.event, "mattered": bool(line.effects)}
        for effect in line.effects:
            yield line.t, effect["type"], {**effect, "cause": line.event["type"]}


def response_latencies(lines: list[Line]) -> list[float]:
    latencies, asked, opened = [], None, False
    for t, kind, fields in happenings(lines):
        if kind == "user_finished_speaking" and fields["mattered"]:
            asked, opened = t, False
        elif kind in ("user_started_speaking", "input_cancelled", "assistant_chose_not_to_respond"):
            asked = None
        elif kind in ("assistant_started_speaking", "open_generation"):
            opened = True
        elif kind == "push_audio" and opened and asked is not None:
            latencies.append(t - asked)
            asked = None
    return latencies


def tool_durations(lines: list[Line]) -> list[float]:
    durations, called = [], {}
    for t, kind, fields in happenings(lines):
        if kind == "tool_call" and fields["mattered"]:
            called[fields["tool_call_id"]] = t
        elif kind == "tool_call_interrupted":
            called.pop(fields["tool_call_id"], None)
        elif kind == "update_chat_ctx":
            items = [addition["item"] for addition in fields["added"]]
            outputs = [item for item in items if item["type"] == "function_call_output"]
            answered = [item["call_id"] for item in outputs if item["call_id"] in called]
            durations += [t - called.pop(call_id) for call_id in answered]
    return durations


def interruptions(lines: list[Line]) -> int:
    answers, heard = [], False
    for _, kind, fields in happenings(lines):
        if kind == "open_generation":
            heard = False
        elif kind in ("push_text", "push_audio"):
            heard = True
        elif kind == "correct_message":
            answers.append(fields["id"])
        elif kind == "close_generation" and fields["interrupted"] and fields["cause"] in BARGE_IN:
            answers += [fields["response_id"]] if heard else []
    return len(dict.fromkeys(answers))


def outages(lines: list[Line]) -> list[float]:
    found, lost = [], None
    for line in lines:
        if line.source == line.target:
            continue
        if line.target == "reconnecting":
            lost = line.t
        elif lost is not None and (line.target in CONVERSING or line.target == "closed"):
            found.append(line.t - lost)
            lost = None
    return found if lost is None else [*found, lines[-1].t - lost]
