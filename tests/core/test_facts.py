"""Every event, effect and message says what it is about, and each of its fields what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, get_args

import pytest
from msgspec import Struct, inspect, structs

from phonic_fsm._core.context import Settings
from phonic_fsm._core.effects import EFFECTS
from phonic_fsm._core.events import EVENTS, Event
from phonic_fsm._wire.client import ClientMessage
from phonic_fsm._wire.facts import Fact, Private, StepKind, fields_of

TYPES: dict[str, type[Struct]] = {
    **{f"event {name}": kind for name, kind in EVENTS.items()},
    **{f"effect {name}": kind for name, kind in EFFECTS.items()},
    **{f"message {kind.__struct_config__.tag}": kind for kind in get_args(ClientMessage)},
}

TOGETHER = ({Fact.ID, Fact.COMPARED},)
"""The facts that one field may have at once."""


def forgotten(kind: type[Struct]) -> list[str]:
    """The fields of a type, and of the types in it, that do not say what they hold."""
    found = []
    for within in types_in(inspect.type_info(kind)):
        for field in structs.fields(within):
            facts = set(fields_of(within)[field.encode_name].facts)
            one = len(facts) == 1 or facts in TOGETHER
            if not one and (facts or holds_more_than_words(inspect.type_info(field.type))):
                found.append(f"{within.__name__}.{field.name}")
    return found


def types_in(info: inspect.Type) -> Iterator[type[Struct]]:
    match info:
        case inspect.StructType(cls=cls, fields=fields):
            yield cls
            for field in fields:
                yield from types_in(field.type)
        case inspect.UnionType(types=types):
            for kind in types:
                yield from types_in(kind)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            yield from types_in(item)
        case inspect.Metadata(type=kind):
            yield from types_in(kind)


def holds_more_than_words(info: inspect.Type) -> bool:
    """Whether a value can be other than a bool, a fixed word or a struct."""
    match info:
        case inspect.UnionType(types=types):
            return any(map(holds_more_than_words, types))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return holds_more_than_words(item)
        case inspect.Metadata(type=kind):
            return holds_more_than_words(kind)
        case inspect.LiteralType() | inspect.StructType():
            return False
        case inspect.BoolType() | inspect.NoneType():
            return False
    return info != inspect.type_info(type(None))


@pytest.mark.parametrize("name", TYPES)
def test_it_says_what_it_is_about(name: str) -> None:
    kind: Any = TYPES[name]
    assert kind.step_kind in (None, *get_args(StepKind)), f"{name} has no step_kind"


@pytest.mark.parametrize("name", [*TYPES, "settings"])
def test_each_field_says_what_it_holds(name: str) -> None:
    kind = TYPES.get(name, Settings)
    assert forgotten(kind) == [], "each needs a fact: see phonic_fsm/_wire/facts.py"


def test_only_what_steps_of_all_kinds_have_is_of_none() -> None:
    of_none = {name for name, kind in TYPES.items() if vars(kind)["step_kind"] is None}
    assert of_none == {"effect send", "effect start_timer", "effect stop_timer", "effect log"}


def test_a_name_means_one_kind_of_step() -> None:
    assert not EVENTS.keys() & EFFECTS.keys()
    assert len(EVENTS) == len(get_args(Event))


class Forgetful(Struct):
    step_kind: ClassVar[StepKind] = "chat"
    text: str
    said: Private[str]
    level: float | None = None
    parts: list[dict[str, str]] = []
    final: bool = False


def test_a_field_without_a_fact_is_named() -> None:
    assert forgotten(Forgetful) == ["Forgetful.text", "Forgetful.level", "Forgetful.parts"]
