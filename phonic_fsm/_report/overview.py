"""One call among many: what the index of calls, ``stats`` and ``replay`` tell of it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

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


class Measured(Overview, kw_only=True):
    figures: Figures


def overview(reader: TraceReader, rules: Sequence[Rule] = RULES) -> Overview:
    """Read a trace and say what stands out in it. Nothing is replayed.

    Raises:
        TraceError: the trace cannot be read to its end.
    """
    return summed_up(reader, _lanes(reader, None), rules)


def measured(reader: TraceReader, rules: Sequence[Rule] = RULES) -> Measured:
    """The same, and the figures of the call, which takes a little longer.

    Raises:
        TraceError: the trace cannot be read to its end.
    """
    gauge = Gauge()
    seen = summed_up(reader, _lanes(reader, gauge), rules)
    return Measured(**structs.asdict(seen), figures=gauge.finished())


def summed_up(reader: TraceReader, lanes: Lanes, rules: Sequence[Rule] = RULES) -> Overview:
    """The overview of a trace that has been read."""
    return Overview(
        started=reader.header.started,
        seconds=lanes.seconds,
        state=lanes.states[-1].state if lanes.states else "",
        end=lanes.end,
        findings=findings(lanes, rules),
    )


def _lanes(reader: TraceReader, gauge: Gauge | None) -> Lanes:
    builder = LaneBuilder(reader.header.settings, redacted=reader.header.redacted)
    for step in reader.condensed():
        if isinstance(step, PassedAudio):
            builder.take_audio(step)
            if gauge is not None:
                gauge.take_audio(step)
        else:
            check(reader, step)
            builder.take(step)
            if gauge is not None:
                gauge.take(step)
    return builder.lanes(reader.end)
