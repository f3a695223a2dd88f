"""One call among many: read in the condensed form, and while it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.record_traces import TRACES
from support.runs import written_today

from phonic_fsm._report.lanes import LaneBuilder
from phonic_fsm._report.overview import measured, overview
from phonic_fsm.trace import TraceError, TraceReader, measure
from phonic_fsm.trace._format import PassedAudio
from phonic_fsm.trace._runs import AudioRun

MYSTERY = Path(__file__).parent.parent.parent / "examples" / "traces" / "mystery.jsonl"
CALLS = [*sorted(TRACES.glob("*.jsonl")), MYSTERY]


def by_name(path: Path) -> str:
    return path.stem


def built(path: Path) -> LaneBuilder:
    reader = TraceReader(path)
    builder = LaneBuilder(reader.header.settings)
    for line in reader:
        builder.take(line)
    return builder


@pytest.mark.parametrize("path", CALLS, ids=by_name)
def test_condensed_steps_tell_what_whole_ones_do(path, tmp_path):
    for trace in (path, written_today(path, tmp_path / "call.jsonl")):
        reader = TraceReader(trace)
        builder = LaneBuilder(reader.header.settings)
        for step in reader.condensed():
            if isinstance(step, AudioRun):
                builder.take_run(step)
            elif isinstance(step, PassedAudio):
                builder.take_audio(step)
            else:
                builder.take(step)
        whole = built(trace)
        assert builder.steps == whole.steps
        assert builder.lanes() == whole.lanes()
        assert builder.heard == whole.heard
        assert measured(reader).figures == measure(reader)


def test_nearly_all_steps_are_condensed():
    steps = list(TraceReader(MYSTERY).condensed())
    assert sum(isinstance(step, PassedAudio) for step in steps) > 0.9 * len(steps)


@pytest.mark.parametrize("path", CALLS, ids=by_name)
def test_lanes_may_be_asked_for_after_every_step(path):
    reader = TraceReader(path)
    builder = LaneBuilder(reader.header.settings)
    for line in reader:
        builder.take(line)
        assert builder.lanes().seconds == line.t
    assert builder.lanes() == built(path).lanes()


@pytest.mark.parametrize(
    ("there", "instead"),
    [(b'"bytes":960', b'"bytes":-1'), (b'"t":', b'"t":-'), (b'"seq":', b'"seq":1')],
)
def test_a_condensed_step_is_checked_like_any_other(tmp_path, there, instead):
    lines = MYSTERY.read_bytes().splitlines(keepends=True)
    lines[120] = lines[120].replace(there, instead, 1)
    path = tmp_path / "call.jsonl"
    path.write_bytes(b"".join(lines))
    with pytest.raises(TraceError, match=r"line 121|step 120"):
        overview(TraceReader(path))
