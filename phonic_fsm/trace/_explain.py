"""Explains a step: the rows that the machine tried, and what the session remembers afterwards.

A trace does not hold this. A replay knows it: the machine tells what its guards answered, and its
memory is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from operator import attrgetter, is_not
from typing import Any, NamedTuple

from msgspec import NODEFAULT, Struct, structs

from .._core.context import Call, Context
from .._core.events import Event, name_of
from .._core.machine import Answers, SessionMachine, Step
from .._core.table import Row, rows_for
from .._wire.facts import Fact, fields_of


class Tried(Struct, frozen=True):
    """A row of the table that was tried."""

    row: Row
    answers: tuple[bool, ...]
    """What its guards said, in their order, up to the first no."""


class Explanation(Struct, frozen=True):
    step: Step
    answers: Answers
    """What the guards of the rows that were tried said, in the order of the table."""
    remembered: dict[str, Any]
    """What the session remembers otherwise than before the step, see ``snapshot``. Of the first
    step that is all of it."""

    @property
    def tried(self) -> tuple[Tried, ...]:
        """In the order of the table; the last one was taken."""
        rows = rows_for(self.step.source, name_of(self.step.event))
        answers = map(tuple, self.answers)
        return tuple(Tried(row, said) for row, said in zip(rows, answers, strict=False))


class Explainer:
    """Has a machine take events, and notes what led it."""

    def __init__(self, machine: SessionMachine) -> None:
        self._machine = machine
        self._memory = _Memory()

    def take(self, event: Event) -> tuple[Step, Explanation]:
        answers: Answers = []
        step = self._machine.step(event, answers)
        return step, Explanation(step, answers, self._memory.changes(self._machine.context))


LEFT_OUT = frozenset(
    ("settings", "state", "effects", "ids", "config", "instructions", "tools", "history")
)
"""What a snapshot does not hold of a session's memory: a step shows the state and the effects
anyway, and the rest is long and seldom the reason for anything."""


def snapshot(context: Context) -> dict[str, Any]:
    """What a session remembers, as plain values under the context's own names.

    It is flat, so that what a step leaves alone can be told from what it changes: ``generation``
    stands as its id, and ``generation.seconds`` beside it. Private text stands as the number of
    its characters, a message as its type.
    """
    return _Memory().changes(context)


class _Memory:
    """The snapshot of a context, kept up to date. Most steps change a value or two of it."""

    def __init__(self) -> None:
        self._values: list[Any] = [_UNSEEN] * len(_SHOWN)
        """As the context has them."""
        self._plain: dict[str, Any] = {}

    def changes(self, context: Context) -> dict[str, Any]:
        """The values that are not as they were when this was asked for last."""
        former, values = self._values, _values_of(context)
        self._values = values
        changed, plain = {}, self._plain
        for place in compress(_PLACES, map(is_not, values, former)):
            name, is_private, _ = _SHOWN[place]
            shows = _plain(values[place], is_private)
            if name not in plain or plain[name] != shows:
                plain[name] = changed[name] = shows
        return changed


_UNSEEN = object()


class _Shown(NamedTuple):
    """A value in the session's memory, and how it is shown."""

    name: str
    is_private: bool
    grows: bool
    """It is a list and the like, which changes and stays the same object."""


def _shown(kind: type[Struct], within: str = "") -> Iterator[_Shown]:
    fields = structs.fields(kind)
    for place, (field, facts) in enumerate(zip(fields, fields_of(kind).values(), strict=True)):
        part = facts.structs.get(None)
        if not within and field.name in LEFT_OUT:
            continue
        if part is not None:
            yield from _shown(part, field.name)
        elif within and place == 0:
            yield _Shown(within, is_private=False, grows=False)
        else:
            yield _Shown(
                f"{within}.{field.name}" if within else field.name,
                Fact.PRIVATE in facts.facts,
                field.default_factory is not NODEFAULT,
            )


_SHOWN = list(_shown(Context))
_PLACES = range(len(_SHOWN))
_GROWING = [place for place in _PLACES if _SHOWN[place].grows]

_FIELDS = {name: field for name, field in fields_of(Context).items() if name not in LEFT_OUT}
_fields_of_context = attrgetter(*_FIELDS)
_PARTS = [
    (place, len(fields_of(part)))
    for place, field in enumerate(_FIELDS.values())
    if (part := field.structs.get(None)) is not None
]
"""Structs within the memory: the place of each, and the number of its fields."""


def _values_of(context: Context) -> list[Any]:
    """One for each of what is shown. Two that are the same object show the same."""
    values = list(_fields_of_context(context))
    for place, count in reversed(_PARTS):
        part = values[place]
        values[place : place + 1] = (None,) * count if part is None else structs.astuple(part)
    for place in _GROWING:
        if values[place]:
            values[place] = values[place].copy()
    return values


def _plain(value: Any, is_private: bool) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is str:
        return len(value) if is_private else value
    if kind is float:
        return round(value, 3)
    if kind is list:
        return [_plain(item, is_private) for item in value]
    if kind is dict:
        return {key: _plain(part, is_private) for key, part in value.items()}
    if kind is set:
        return sorted(value)
    if kind is Call:
        return f"{value.name}: {value.phase}"
    if isinstance(value, Struct):
        return value.__struct_config__.tag
    return value
