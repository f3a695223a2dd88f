"""The arrows of the diagram, made from the machine's table, and how often each was the way.

``Taken`` says how often each move was made in recorded calls. A drawing that is given it shows
that too, and marks what was never taken with ``×0``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .._core.states import CONVERSING
from .._core.table import CHOICES, TABLE, Row
from .layout import CONVERSING_BOX

Taken = Mapping[tuple[str, str, str], int]
"""State, event and the state after it → how many times."""

_EVERYWHERE = ("close", "break")
"""Lead from every state to the end: said once, not drawn eight times each."""

_CHOICES = {choice.name: choice for choice in CHOICES.values()}

_CHOOSING = {
    (source.value, row.event): row.choice.name
    for row in TABLE
    if row.choice is not None
    for source in row.sources
}
"""State and event → the choice that the event leads to there."""


class Arrow(NamedTuple):
    """One arrow of the diagram: all moves between the same two states, or into or out of a choice.

    A move that goes through a choice is counted at the arrow into it and at the one out of it.
    """

    source: str
    """A state, a choice, or ``conversing`` for the box that four of the states stand in."""
    target: str
    """A state or a choice."""
    labels: tuple[str, ...]
    """The events; out of a choice, what is the case."""

    def times(self, label: str, taken: Taken) -> int:
        """How often this was the way."""
        if self.source in _CHOICES:
            return sum(
                times
                for (source, event, target), times in taken.items()
                if target == self.target != source and _CHOOSING.get((source, event)) == self.source
            )
        sources = _BOXED if self.source == CONVERSING_BOX else (self.source,)
        choice = _CHOICES.get(self.target)
        targets = [state.value for _, state in choice.branches] if choice else [self.target]
        return sum(
            taken.get((source, label, target), 0)
            for source in sources
            for target in targets
            if source != target
        )

    def counted(self, taken: Taken | None) -> list[str]:
        """The labels, with how often each was the way."""
        if taken is None:
            return list(self.labels)
        return [f"{label} ×{self.times(label, taken)}" for label in self.labels]

    def total(self, taken: Taken) -> int:
        return sum(self.times(label, taken) for label in self.labels)


_BOXED = tuple(state.value for state in CONVERSING)


def arrows() -> list[Arrow]:
    """Every arrow of the diagram; a state that is not left has none to itself."""
    labels: dict[tuple[str, str], dict[str, None]] = {}
    for row in TABLE:
        target = _drawn_target(row)
        if target is None or row.event in _EVERYWHERE:
            continue
        for source in _drawn_sources(row):
            if source != target:
                labels.setdefault((source, target), {})[row.event] = None
    for choice in _CHOICES.values():
        for question, state in choice.branches:
            labels[choice.name, state.value] = {question: None}
    return [Arrow(*ends, tuple(names)) for ends, names in labels.items()]


def thickness(times: int) -> int:
    """Of an arrow that was taken so often: a point more for every ten times as many."""
    return len(str(times))


def moves() -> list[tuple[str, str]]:
    """Every way from one state to another, choices left out; see ``_drawn_sources``."""
    found: dict[tuple[str, str], None] = {}
    for row in TABLE:
        for target in row.targets:
            for source in row.sources:
                as_one = source in CONVERSING and target not in CONVERSING
                if source is not target:
                    found[CONVERSING_BOX if as_one else source.value, target.value] = None
    return list(found)


def _drawn_target(row: Row) -> str | None:
    """The state, or the choice, that the row leads to; ``None`` if it does not move."""
    if row.choice is not None:
        return row.choice.name
    return row.target.value if row.target is not None else None


def _drawn_sources(row: Row) -> Iterator[str]:
    """The row's sources; a move out of all conversing states leaves their box as one."""
    leaves = row.target is not None and row.target not in CONVERSING
    as_one = leaves and set(CONVERSING) <= set(row.sources)
    if as_one:
        yield CONVERSING_BOX
    for source in row.sources:
        if not (as_one and source in CONVERSING):
            yield source.value
