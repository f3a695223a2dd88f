"""One call among many: what the index of calls, ``stats`` and ``replay`` tell of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from phonic_fsm.trace._format import PassedAudio
from phonic_fsm.trace._reader import TraceReader
from phonic_fsm.trace._stats import Figures, Gauge

from .call import check
from .end import End
from .findings import Finding
from .lanes import LaneBuilder, Lanes
from .rules import RULES, Rule, findings


class Overview(Struct, kw_only=True):
    started: str
    """ISO 8601, UTC."""
    seconds: float
    state: str
    """The state that the last step leads to; empty without a step."""
    end: End | None
    findings: list[Finding]
    figures: Figures


def overview(reader: TraceReader, rules: Sequence[Rule] = RULES) -> Overview:
    """Read a trace and say what stands out in it. Nothing is replayed.

    Raises:
        TraceError: the trace cannot be read to its end.
    """
    builder = LaneBuilder(reader.header.settings, redacted=reader.header.redacted)
    gauge = Gauge()
    for step in reader.condensed():
        if isinstance(step, PassedAudio):
            builder.take_audio(step)
            gauge.take_audio(step)
        else:
            check(reader, step)
            builder.take(step)
            gauge.take(step)
    lanes = builder.lanes()
    return summed_up(reader, lanes, gauge.finished(), findings(lanes, rules))


def summed_up(
    reader: TraceReader, lanes: Lanes, figures: Figures, found: Iterable[Finding]
) -> Overview:
    """The overview of a trace that has been read."""
    return Overview(
        started=reader.header.started,
        seconds=lanes.seconds,
        state=lanes.states[-1].state if lanes.states else "",
        end=lanes.end,
        findings=list(found),
        figures=figures,
    )
