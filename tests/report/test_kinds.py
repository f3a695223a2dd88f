"""Calls that went wrong, each in its own way: what is found in them, with which cause, and that
nothing else is called an error. In calls in which nothing is wrong, nothing is found but notes."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec
import pytest
from support.commands import run
from support.kinds import HEALTHY, WRONG, Kind
from support.record_kinds import KINDS, NAMES, record
from support.record_traces import TRACES

from phonic_fsm._core.events import CallerAudio
from phonic_fsm._report.findings import Finding
from phonic_fsm._report.lanes import LaneBuilder
from phonic_fsm._report.overview import overview
from phonic_fsm._report.page import make_report
from phonic_fsm._report.rules import RULES
from phonic_fsm._runtime.uplink import CHUNK_MS
from phonic_fsm.testing import assert_replays
from phonic_fsm.trace import TraceReader, measure

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "traces"

EVERY_TRACE = sorted([*KINDS.glob("*.jsonl"), *TRACES.glob("*.jsonl"), *EXAMPLES.glob("*.jsonl")])


@cache
def found_in(trace: Path) -> list[Finding]:
    return overview(TraceReader(trace)).findings


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: f"{kind.trace}, {kind.rule}")
def test_what_goes_wrong_is_found_with_its_cause(kind: Kind):
    found = found_in(KINDS / f"{kind.trace}.jsonl")
    told = [(one.rule, one.severity) for one in found if re.fullmatch(kind.title, one.title)]
    assert told == [(kind.rule, kind.severity)], found


@pytest.mark.parametrize("trace", sorted({kind.trace for kind in WRONG}))
def test_no_other_error_is_found(trace):
    found = found_in(KINDS / f"{trace}.jsonl")
    expected = [kind.rule for kind in WRONG if kind.trace == trace and kind.severity == "error"]
    assert [one.rule for one in found if one.severity == "error"] == expected


@pytest.mark.parametrize("trace", HEALTHY)
def test_nothing_is_found_in_a_healthy_call_but_notes(trace):
    found = found_in(KINDS / f"{trace}.jsonl")
    assert [one for one in found if one.severity != "note"] == []


def test_every_kind_is_recorded():
    names = {kind.trace for kind in WRONG} | set(HEALTHY)
    assert names == set(NAMES) == {path.stem for path in KINDS.glob("*.jsonl")}
    assert len({kind.trace for kind in WRONG} - set(HEALTHY)) > 32
    assert len(HEALTHY) > 12


@pytest.mark.parametrize("trace", sorted(NAMES))
def test_a_redacted_call_tells_the_same_but_what_its_words_told(trace, tmp_path):
    redacted = tmp_path / "redacted.jsonl"
    assert run("redact", KINDS / f"{trace}.jsonl", redacted).returncode == 0
    told = [(one.rule, one.severity) for one in found_in(KINDS / f"{trace}.jsonl")]
    kept = [one for one in told if one[0] not in ("echo", "tool-called-again", "repeated")]
    assert [(one.rule, one.severity) for one in found_in(redacted)] == kept


def test_a_recorded_call_shows_each_rule():
    """The page about findings names it; it is made from the rules and the same table."""
    assert {kind.rule for kind in WRONG} == {rule.name for rule in RULES}


@pytest.mark.parametrize("trace", sorted(NAMES))
def test_a_recorded_kind_replays(trace):
    assert_replays(KINDS / f"{trace}.jsonl")


@pytest.mark.parametrize("trace", EVERY_TRACE, ids=lambda path: path.stem)
def test_the_account_of_the_callers_audio_balances(trace):
    """What came was sent, dropped, or waits; a chunk may be on its way."""
    waited = 0
    for event in (line.event for line in TraceReader(trace)):
        if event["type"] == "take_over":
            waited = 0  # it was lost with the process
        elif event["type"] == "caller_audio":
            told = msgspec.convert(event, CallerAudio)
            kept = told.waiting_ms - waited
            waited = told.waiting_ms
            assert abs(told.received_ms - told.sent_ms - told.dropped_ms - kept) <= CHUNK_MS


@pytest.mark.parametrize("trace", EVERY_TRACE, ids=lambda path: path.stem)
def test_every_outage_that_is_counted_is_shown(trace):
    reader = TraceReader(trace)
    builder = LaneBuilder(reader.header.settings)
    for line in reader:
        builder.take(line)
    lost = [link for link in builder.lanes().connection if link.kind == "lost"]
    assert len(lost) == len(measure(reader).outages)


@pytest.mark.parametrize("trace", EVERY_TRACE, ids=lambda path: path.stem)
def test_a_recorded_call_becomes_a_page(trace):
    assert make_report(trace).problem is None


@pytest.mark.parametrize("trace", EVERY_TRACE, ids=lambda path: path.stem)
def test_a_finding_is_well_formed(trace):
    severities = {rule.name: rule.severities for rule in RULES}
    for one in found_in(trace):
        assert one.severity in severities[one.rule]
        assert one.title
        assert one.sentence.endswith(".")
        assert 0 <= one.start <= one.end
        assert one.step >= 1


@pytest.mark.anyio
async def test_a_kind_can_be_recorded(tmp_path):
    trace = tmp_path / "config_refused.jsonl"
    await record("config_refused", trace)
    (found,) = found_in(trace)
    assert found.title.startswith("Phonic refuses the config")
