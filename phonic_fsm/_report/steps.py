"""Every step of a call, in columns. A value that comes again is kept once, and named by its number.

A call of an hour has 100,000 steps. Most of them are audio chunks that differ only in their level.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from phonic_fsm._core.context import Context, Settings
from phonic_fsm._core.events import EVENTS
from phonic_fsm._core.table import TABLE, Row
from phonic_fsm._diagram.rows import question, sentence
from phonic_fsm.trace._explain import Explanation, Tried, snapshot
from phonic_fsm.trace._format import Line

KINDS: dict[str, str] = {name: event.step_kind for name, event in EVENTS.items()}
"""What each event is about."""

_NUMBERS = {id(row): number for number, row in enumerate(TABLE)}


_encode = msgspec.json.Encoder().encode


class _Interned:
    """Keeps each value once, under a number."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.values: list[Any] = []

    def known(self, key: Hashable) -> int | None:
        """The number of the value that has this key."""
        return self._numbers.get(key)

    def add(self, key: Hashable, value: Any) -> int:
        number = self._numbers[key] = len(self.values)
        self.values.append(value)
        return number

    def number(self, value: Any) -> int:
        """Of a value whose JSON is its key."""
        key = _encode(value)
        number = self._numbers.get(key)
        return self.add(key, Raw(key)) if number is None else number


class Changes(Struct, array_like=True):
    """For one name in the session's memory: the steps at which it changed, and its new values."""

    steps: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


class TableRow(Struct):
    """A row of the machine's table, in words."""

    target: str | None
    chooses: bool
    """The state follows from what the session remembers."""
    guards: list[str]
    does: list[str]
    because: str


class StepColumns(Struct):
    """Step ``n`` is at index ``n - 1`` of the first four."""

    times: list[int]
    """Microseconds since the step before."""
    events: list[int]
    """Numbers of ``event_values``."""
    effects: list[int]
    """Numbers of ``effect_lists``."""
    paths: list[int]
    """Numbers of ``path_values``."""
    event_values: list[Raw]
    effect_lists: list[list[int]]
    """Numbers of ``effect_values``."""
    effect_values: list[Raw]
    path_values: list[Any]
    """From, to, and the rows that were tried: for each, its number in ``rows`` and its guards'
    answers."""
    rows: list[TableRow]
    context: dict[str, Changes]
    initial: dict[str, Any]
    """What the session remembers before the first step."""
    kinds: dict[str, str]


class Steps:
    """Collects the steps, and makes the columns of them."""

    def __init__(self) -> None:
        self._at = 0
        self._times: list[int] = []
        self._events: list[int] = []
        self._effects: list[int] = []
        self._paths: list[int] = []
        self._event_values, self._effect_values = _Interned(), _Interned()
        self._effect_lists, self._path_values = _Interned(), _Interned()
        self._context: dict[str, Changes] = {}

    def take(self, line: Line, explanation: Explanation | None) -> None:
        at = round(line.t * 1_000_000)
        self._times.append(at - self._at)
        self._at = at
        self._events.append(self._event_values.number(line.event))
        self._effects.append(self._effect_list(line))
        self._paths.append(self._path(line, explanation))
        if explanation is not None:
            for name, value in explanation.remembered.items():
                changes = self._context.setdefault(name, Changes())
                changes.steps.append(line.seq)
                changes.values.append(value)

    def _effect_list(self, line: Line) -> int:
        key = _encode(line.effects)
        known = self._effect_lists.known(key)
        if known is not None:
            return known
        return self._effect_lists.add(key, [*map(self._effect_values.number, line.effects)])

    def _path(self, line: Line, explanation: Explanation | None) -> int:
        # The rows that may be tried follow from where the step begins, and from its event.
        answers = tuple(map(tuple, explanation.answers)) if explanation else ()
        key = (line.source, line.target, line.event["type"], answers)
        known = self._path_values.known(key)
        if known is not None:
            return known
        tried = [*map(_outcome, explanation.tried)] if explanation else []
        return self._path_values.add(key, [line.source, line.target, tried])

    def columns(self) -> StepColumns:
        return StepColumns(
            times=self._times,
            events=self._events,
            effects=self._effects,
            paths=self._paths,
            event_values=self._event_values.values,
            effect_lists=self._effect_lists.values,
            effect_values=self._effect_values.values,
            path_values=self._path_values.values,
            rows=_rows(),
            context=self._context,
            initial=_initial(),
            kinds=KINDS,
        )


def _outcome(tried: Tried) -> tuple[int, tuple[bool, ...]]:
    return _NUMBERS[id(tried.row)], tried.answers


@cache
def _rows() -> list[TableRow]:
    return [_for_readers(row) for row in TABLE]


@cache
def _initial() -> dict[str, Any]:
    settings = Settings(id_seed="")
    return snapshot(Context(settings=settings, config=settings.config))


def _for_readers(row: Row) -> TableRow:
    return TableRow(
        target=row.target and row.target.value,
        chooses=row.choice is not None,
        guards=[question(guard) for guard in row.guards],
        does=[sentence(action) for action in row.actions],
        because=row.because,
    )
