"""Explains a step: the rows that the machine tried, and what the session remembers afterwards.

A trace does not hold this. A replay knows it: the machine tells what its guards answered, and its
memory is at hand.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import Struct

from .._core.context import Call, Context
from .._core.events import Event, name_of
from .._core.machine import Answers, SessionMachine, Step
from .._core.table import Row, rows_for
from .._wire.facts import Fact, Field, fields_of

_rows_for = cache(rows_for)


class Tried(Struct, frozen=True):
    """A row of the table that was tried."""

    row: Row
    answers: tuple[bool, ...]
    """What its guards said, in their order, up to the first no."""


class Explanation(Struct, frozen=True):
    tried: tuple[Tried, ...]
    """In the order of the table; the last one was taken."""
    context: dict[str, Any]
    """The session's memory after the step, see ``snapshot``."""


def explain(machine: SessionMachine, event: Event) -> tuple[Step, Explanation]:
    """Have the machine take the event, and note what led it."""
    answers: Answers = []
    step = machine.step(event, answers)
    rows = _rows_for(step.source, name_of(event))
    tried = tuple(Tried(row, tuple(said)) for row, said in zip(rows, answers, strict=False))
    return step, Explanation(tried, snapshot(machine.context))


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
    shown: dict[str, Any] = {}
    for name, field in _SHOWN.items():
        value = getattr(context, name)
        part = field.structs.get(None)
        if part is None:
            shown[name] = _plain(field, value)
            continue
        identity, *others = fields_of(part).items()
        shown[name] = None if value is None else getattr(value, identity[0])
        for inner, inner_field in others:
            plain = None if value is None else _plain(inner_field, getattr(value, inner))
            shown[f"{name}.{inner}"] = plain
    return shown


_SHOWN = {name: field for name, field in fields_of(Context).items() if name not in LEFT_OUT}


def _plain(field: Field, value: Any) -> Any:
    if isinstance(value, Call):
        return f"{value.name}: {value.phase}"
    if isinstance(value, Struct):
        return value.__struct_config__.tag
    if isinstance(value, list):
        return [_plain(field, item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(field, part) for key, part in value.items()}
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, str) and Fact.PRIVATE in field.facts:
        return len(value)
    return value
