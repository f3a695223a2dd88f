"""Traces of the first version as they are written today."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import msgspec

from phonic_fsm.trace import ReplayedStep, TraceReader, replay
from phonic_fsm.trace._format import VERSION
from phonic_fsm.trace._runs import Kind, kind_of, runs


def written_today(trace: Path, path: Path) -> Path:
    """Write the trace anew, with runs in the place of lines that only pass audio on."""
    lines: list[msgspec.Struct] = []
    for kind, together in groupby(replay(trace), _kind):
        steps = list(together)
        if kind is None:
            lines += [one.line for one in steps]
        else:
            timed = [(one.line.t, one.step, one.line.event["audio"].get("dbfs")) for one in steps]
            lines += runs(steps[0].line.seq, kind, timed)
    header = msgspec.structs.replace(TraceReader(trace).header, version=VERSION)
    path.write_bytes(msgspec.json.Encoder().encode_lines([header, *lines]))
    return path


def _kind(replayed: ReplayedStep) -> Kind | None:
    is_in_a_file = "at" in replayed.line.event.get("audio", ())
    return None if is_in_a_file else kind_of(replayed.step)
