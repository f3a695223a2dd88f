"""Explains a step: the rows that the machine tried, and what the session remembers afterwards.

A trace does not hold this. A replay knows it: the machine tells what its guards answered, and its
memory is at hand.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

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
    for name, is_private, within in _SHOWN:
        value = getattr(context, name)
        if within is None:
            shown[name] = _plain(value, is_private)
            continue
        identity, others = within
        shown[name] = None if value is None else getattr(value, identity)
        for full_name, inner, inner_is_private in others:
            shown[full_name] = (
                None if value is None else _plain(getattr(value, inner), inner_is_private)
            )
    return shown


class _Shown(NamedTuple):
    """A name in the session's memory, and how it is shown."""

    name: str
    is_private: bool
    within: tuple[str, list[tuple[str, str, bool]]] | None
    """Of a struct: the field that stands for it, and the others: the name that each is shown under,
    its own, and whether it is private."""


def _shown(name: str, field: Field) -> _Shown:
    part = field.structs.get(None)
    if part is None:
        return _Shown(name, Fact.PRIVATE in field.facts, None)
    identity, *others = fields_of(part).items()
    return _Shown(
        name,
        False,
        (
            identity[0],
            [(f"{name}.{inner}", inner, Fact.PRIVATE in own.facts) for inner, own in others],
        ),
    )


_SHOWN = [_shown(name, field) for name, field in fields_of(Context).items() if name not in LEFT_OUT]


def _plain(value: Any, is_private: bool) -> Any:
    kind = type(value)
    # A page shows the memory after each of 100,000 steps, and most of it is one of these.
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
