"""Older traces as they are written today."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import msgspec

from phonic_fsm._core.states import State
from phonic_fsm.trace import ReplayedStep, TraceReader, replay
from phonic_fsm.trace._format import VERSION
from phonic_fsm.trace._runs import Passed, run_of, runs, taken


def written_today(trace: Path, path: Path) -> Path:
    """Write the trace anew, with runs in the place of lines that only pass audio on."""
    lines: list[msgspec.Struct] = []
    for run, together in groupby(replay(trace), _run_of):
        steps = list(together)
        if run is None:
            lines += [one.line for one in steps]
        else:
            kept = [taken(one.line.t, one.step) for one in steps]
            passed = [step for step in kept if isinstance(step, Passed)]
            levels = [one.line.event["audio"].get("dbfs") for one in steps]
            lines += runs(steps[0].line.seq, passed, levels)
    header = msgspec.structs.replace(TraceReader(trace).header, version=VERSION)
    path.write_bytes(msgspec.json.Encoder().encode_lines([header, *lines]))
    return path


def _run_of(replayed: ReplayedStep) -> tuple[bool, State] | None:
    is_in_a_file = "at" in replayed.line.event.get("audio", ())
    return None if is_in_a_file else run_of(taken(replayed.line.t, replayed.step))
