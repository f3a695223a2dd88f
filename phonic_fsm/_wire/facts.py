"""What is known about the fields of messages, events and effects, written where they are defined::

    class InputText(_ServerMessage, frozen=True, tag="input_text", omit_defaults=True):
        step_kind: ClassVar[StepKind] = "speech"
        text: Private[str]
        language: Public[str | None] = None

The tools for traces read these facts: redaction keeps what is public, a comparison of two traces
leaves out what is measured and matches ids, ``replay --only`` chooses by the kind. The decoder
reads over them, so they cost nothing when a message arrives.

Every field has a fact, but for what cannot hold anything private: a bool, one of a few fixed
words, and a struct, whose own fields have theirs. A test names each that was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

from msgspec import Struct, structs

StepKind = Literal["speech", "audio", "tool", "reply", "connection", "settings", "chat", "error"]
"""What an event, an effect or a message is about. A type that is about none of these, such as a
timer, has ``None``."""


class Fact(Enum):
    """What a field may hold."""

    ID = "id"
    """It names something. Two runs of one conversation have different ids for the same thing."""
    MEASURED = "measured"
    """A clock, a meter or chance made it. It is another one in every run."""
    PUBLIC = "public"
    """A name, a code, a number or a reason that tells nothing of what was said."""
    PRIVATE = "private"
    """What was said, or what may identify somebody. Of a dict, the keys are public; of a field of
    type ``Any``, nothing is."""
    PRIVATE_JSON = "private_json"
    """Private values in a JSON object that is kept as text."""
    COMPARED = "compared"
    """Private, and the machine compares it: a setting with the value before, say."""
    FUNCTION = "function"
    """A tool in OpenAI's form. The function's name is public, the rest is compared."""


LENGTH_STEP = 8
"""Characters. Redaction rounds the length of a private text up to a multiple of this, because the
length of a word, or of a PIN that is spelt out, would tell too much."""


def public_length(text: str) -> int:
    """How long a private text is (characters) once it is redacted, and before that as well.

    A decision by a text's length must use this one, or it would differ in the redacted trace.
    """
    said = len(text.strip())
    return len(text) - said + -(-said // LENGTH_STEP) * LENGTH_STEP


T = TypeVar("T")

Id = Annotated[T, Fact.ID]
Measured = Annotated[T, Fact.MEASURED]
Public = Annotated[T, Fact.PUBLIC]
Private = Annotated[T, Fact.PRIVATE]
PrivateJson = Annotated[T, Fact.PRIVATE_JSON]
Compared = Annotated[T, Fact.COMPARED]
Function = Annotated[T, Fact.FUNCTION]


class Field(NamedTuple):
    """A field of a message, an event or an effect, for those who meet it as plain JSON."""

    facts: frozenset[Fact]
    structs: Mapping[Any, type[Struct]]
    """The types that its value, or a part of its list, may be of, by their tags."""
    anything: bool
    """Its type is ``Any``."""

    def type_of(self, value: Mapping[str, Any]) -> type[Struct] | None:
        """The type that an object in this field is of, if it is known."""
        return self.structs.get(str(value.get("type"))) or self.structs.get(None)


def field_of(annotation: Any) -> Field:
    """The field that has this annotation."""
    parts = list(_parts(annotation))
    types = [part for part in parts if isinstance(part, type) and issubclass(part, Struct)]
    return Field(
        frozenset(part for part in parts if isinstance(part, Fact)),
        {kind.__struct_config__.tag: kind for kind in types},
        Any in parts,
    )


UNKNOWN = Field(frozenset(), {}, anything=False)
"""A field that this version does not know."""


@cache
def fields_of(kind: type[Struct] | None) -> Mapping[str, Field]:
    """The fields of a type, by the names that they have as JSON; of an unknown type, none."""
    if kind is None:
        return {}
    return {field.encode_name: field_of(field.type) for field in structs.fields(kind)}


def _parts(annotation: Any) -> Iterator[Any]:
    """An annotation's facts and types, through unions and sequences, but not into dicts."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
        yield from _parts(annotation.__origin__)
    elif get_origin(annotation) in (None, dict, Literal):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _parts(part)
