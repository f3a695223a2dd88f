"""The page of two calls side by side: what differs, and how long things took in each."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from phonic_fsm._runtime.printable import in_unicode
from phonic_fsm.trace._diff import ComparedStep
from phonic_fsm.trace._format import Line
from phonic_fsm.trace._reader import TraceReader

from .document import document
from .numbers import duration


class _Side(Struct):
    name: str
    about: str


class _Step(Struct, array_like=True):
    """One side of a row."""

    number: int
    at: float
    source: str
    target: str
    event: dict[str, Any]


class _Row(Struct, array_like=True):
    one: _Step | None
    other: _Step | None
    differences: list[tuple[str, Any, Any]]
    differs: bool


class _Time(Struct):
    what: str
    one: float
    """Seconds."""
    other: float
    row: int
    """The row of the step with which it begins."""
    differs: bool
    told: str
    """In words, which side took longer, and by how much."""


class _Data(Struct):
    """The data of the page, under the names that ``web/`` uses."""

    sides: list[_Side]
    timed: bool
    times: list[_Time]
    rows: list[_Row]


class Comparison:
    """Takes the compared steps and gives the page."""

    def __init__(self, one: TraceReader, other: TraceReader | None, *, times: bool) -> None:
        """Without another trace, the other side is what this version's machine does."""
        machine = _Side("This version's machine", "given the same events")
        sides = [_side(one), _side(other) if other is not None else machine]
        self._data = _Data(sides, times, [], [])
        self._name = " and ".join(side.name for side in sides)

    def take(self, step: ComparedStep) -> None:
        row = len(self._data.rows)
        self._data.rows.append(
            _Row(
                _step(step.expected),
                _step(step.got),
                [(found.where, found.expected, found.got) for found in step.differences],
                step.differs,
            )
        )
        for time in step.times:
            by = duration(abs(time.got - time.expected))
            longer = "longer" if time.got > time.expected else "shorter"
            told = f"{by} {longer}" if time.differs else "about the same"
            self._data.times.append(
                _Time(time.what, time.expected, time.got, row, time.differs, told)
            )

    def html(self) -> str:
        return document(
            "comparison.html",
            name=self._name,
            styles=("page.css", "comparison.css"),
            scripts=("dom.js", "comparison.js"),
            data=self._data,
        )


def _side(reader: TraceReader) -> _Side:
    header = reader.header
    return _Side(in_unicode(reader.path.name), f"{header.started} by phonic-fsm {header.package}")


def _step(line: Line | None) -> _Step | None:
    if line is None:
        return None
    return _Step(line.seq, line.t, line.source, line.target, line.event)
