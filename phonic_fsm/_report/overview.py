"""One call among many: what the index of calls, ``stats`` and ``replay`` tell of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from msgspec import Struct, structs

from phonic_fsm._runtime.printable import in_unicode
from phonic_fsm.trace._feeding import check
from phonic_fsm.trace._format import Line, PassedAudio
from phonic_fsm.trace._reader import TraceError, TraceReader
from phonic_fsm.trace._runs import AudioRun
from phonic_fsm.trace._stats import Figures, Gauge

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


class Listing(Overview, kw_only=True):
    problem: str = ""
    """Why the trace cannot be read to its end. The overview is of the steps before."""


def overview(reader: TraceReader, rules: Sequence[Rule] = RULES) -> Overview:
    """Read a trace and say what stands out in it. Nothing is replayed.

    Raises:
        TraceError: the trace cannot be read to its end.
    """
    builder = _builder(reader)
    take_all(reader, builder)
    return summed_up(reader, builder.lanes(reader.end), rules)


def listing(reader: TraceReader, rules: Sequence[Rule] = RULES) -> Listing:
    """The same, also of a trace that cannot be read to its end."""
    builder, problem = _builder(reader), ""
    try:
        take_all(reader, builder)
    except TraceError as error:
        problem = str(error)
    lanes = builder.lanes(reader.end)
    seen = summed_up(reader, lanes, rules)
    if problem:
        seen.findings.insert(0, unreadable(problem, builder.steps, lanes.seconds))
    return Listing(**structs.asdict(seen), problem=problem)


def measured(reader: TraceReader, rules: Sequence[Rule] = RULES) -> Measured:
    """The same, and the figures of the call, which takes a little longer.

    Raises:
        TraceError: the trace cannot be read to its end.
    """
    builder, gauge = _builder(reader), Gauge()
    take_all(reader, builder, gauge)
    seen = summed_up(reader, builder.lanes(reader.end), rules)
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


def unreadable(problem: str, step: int, at: float) -> Finding:
    """The finding that the trace cannot be read any further than this step."""
    return Finding(
        rule="divergence",
        title="The file cannot be read further",
        sentence=in_unicode(f"{problem}."),
        step=max(step, 1),
        start=at,
        end=at,
        severity="error",
    )


def _builder(reader: TraceReader) -> LaneBuilder:
    return LaneBuilder(reader.header.settings, redacted=reader.header.redacted)


def take_all(
    reader: TraceReader,
    builder: LaneBuilder,
    gauge: Gauge | None = None,
    *,
    last: int | None = None,
) -> None:
    """Give the steps of a trace to those who make something of them.

    Args:
        last: the last step to give, of a trace that can be read up to there.

    Raises:
        TraceError: the trace cannot be read to its end.
    """
    steps = reader.condensed()
    for step in steps if last is None else _up_to(last, steps):
        if isinstance(step, AudioRun):
            builder.take_run(step)
            if gauge is not None:
                gauge.take_run(step)
        elif isinstance(step, PassedAudio):
            builder.take_audio(step)
            if gauge is not None:
                gauge.take_audio(step)
        else:
            check(reader, step)
            builder.take(step)
            if gauge is not None:
                gauge.take(step)


Condensed = Line | PassedAudio | AudioRun


def _up_to(last: int, steps: Iterator[Condensed]) -> Iterator[Condensed]:
    """The steps up to this one. What comes after it is not read."""
    if not last:
        return
    for step in steps:
        taken = step.last if isinstance(step, AudioRun) else step.seq
        if isinstance(step, AudioRun) and taken > last:
            yield from islice(step.steps(), last - step.seq + 1)
        else:
            yield step
        if taken >= last:
            return
