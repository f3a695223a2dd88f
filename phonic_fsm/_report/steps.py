"""Every step of a call, in columns. A value that comes again is kept once, and named by its number.

A call of an hour has 100,000 steps. Most of them are audio chunks that differ only in their level.
"""

from __future__ import annotations

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

_NONE = Settings(id_seed="")

_NUMBERS = {id(row): number for number, row in enumerate(TABLE)}


class _Interned:
    """Keeps each value once, under a number."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def number(self, value: Any) -> int:
        return self._numbers.setdefault(msgspec.json.encode(value), len(self._numbers))

    def values(self) -> list[Raw]:
        return [Raw(value) for value in self._numbers]


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
    effect_lists: list[Raw]
    """Each a list of numbers of ``effect_values``."""
    effect_values: list[Raw]
    path_values: list[Raw]
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
        self._present: dict[str, Any] = {}

    def take(self, line: Line, explanation: Explanation | None) -> None:
        at = round(line.t * 1_000_000)
        self._times.append(at - self._at)
        self._at = at
        self._events.append(self._event_values.number(line.event))
        effects = [self._effect_values.number(effect) for effect in line.effects]
        self._effects.append(self._effect_lists.number(effects))
        tried = [_outcome(one) for one in explanation.tried] if explanation else []
        self._paths.append(self._path_values.number([line.source, line.target, tried]))
        if explanation is not None:
            self._note_changes(line.seq, explanation.context)

    def _note_changes(self, seq: int, context: dict[str, Any]) -> None:
        present = self._present
        for name, value in context.items():
            if name not in present or present[name] != value:
                changes = self._context.setdefault(name, Changes())
                changes.steps.append(seq)
                changes.values.append(value)
        self._present = context

    def columns(self) -> StepColumns:
        return StepColumns(
            times=self._times,
            events=self._events,
            effects=self._effects,
            paths=self._paths,
            event_values=self._event_values.values(),
            effect_lists=self._effect_lists.values(),
            effect_values=self._effect_values.values(),
            path_values=self._path_values.values(),
            rows=[_for_readers(row) for row in TABLE],
            context=self._context,
            initial=snapshot(Context(settings=_NONE, config=_NONE.config)),
            kinds=KINDS,
        )


def _outcome(tried: Tried) -> tuple[int, tuple[bool, ...]]:
    return _NUMBERS[id(tried.row)], tried.answers


def _for_readers(row: Row) -> TableRow:
    return TableRow(
        target=row.target and row.target.value,
        chooses=row.choice is not None,
        guards=[question(guard) for guard in row.guards],
        does=[sentence(action) for action in row.actions],
        because=row.because,
    )
