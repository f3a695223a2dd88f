"""Traces that the first version recorded are still read, by everything that reads a trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import run

from phonic_fsm._report.overview import measured
from phonic_fsm._report.page import make_report
from phonic_fsm._report.rules import RULES
from phonic_fsm._watch.running import RunningCall
from phonic_fsm.trace import TraceReader
from phonic_fsm.trace._follow import followed

OLD = Path(__file__).parent.parent / "traces" / "old"

FOUND = {"lost_and_begun_afresh": {"outage"}, "tool_call": set()}
"""The rules that find something in each, besides notes."""


@pytest.mark.parametrize("name", FOUND)
def test_an_old_trace_is_measured_shown_and_watched(name):
    path = OLD / f"{name}.jsonl"
    seen = measured(TraceReader(path))
    assert {one.rule for one in seen.findings if one.severity != "note"} == FOUND[name]
    page = make_report(path)
    assert page.problem is None
    assert page.overview.findings[0].title == "The replay diverges"
    watched = RunningCall(followed(path))
    watched.read_on()
    assert (watched.steps, watched.state) == (seen.figures.steps, "closed")
    assert watched.findings(RULES) == seen.findings


def test_a_replay_says_where_an_old_trace_diverges():
    result = run("replay", OLD / "tool_call.jsonl")
    assert result.returncode == 1
    assert "diverged at step 3" in result.stdout
