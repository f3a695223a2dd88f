"""Traces of the first version as they are written today."""

from __future__ import annotations

from pathlib import Path

import msgspec

from phonic_fsm.trace import Line, TraceReader, replay
from phonic_fsm.trace._format import VERSION
from phonic_fsm.trace._runs import Gathering, passing


def written_today(trace: Path, path: Path) -> Path:
    """Write the trace anew, with runs in the place of lines that only pass audio on."""
    gathering = Gathering()
    for replayed in replay(trace):
        line = replayed.line
        audio = passing(replayed.step) if _is_without_a_file(line) else None
        if audio is None:
            gathering.add(line)
        else:
            dbfs = line.event["audio"].get("dbfs")
            gathering.add_chunk(line.seq, line.t, replayed.step, audio, dbfs)
    header = msgspec.structs.replace(TraceReader(trace).header, version=VERSION)
    path.write_bytes(msgspec.json.Encoder().encode_lines([header, *gathering.lines]))
    return path


def _is_without_a_file(line: Line) -> bool:
    return "at" not in line.event.get("audio", ())
