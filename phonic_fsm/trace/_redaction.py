"""Replaces what was said, and whatever else may be private, with placeholders.

A redacted trace still replays. Only settings and events are redacted; a second machine then takes
the redacted events, and its effects go into the trace. So placeholders keep what the machine
decides by: blank text stays blank, what it compares stays equal or different, and a prompt with
template variables keeps its braces.

What a field may hold is said where the field is defined (``_wire.facts``). A field that this
version does not know is private: what Phonic or a later version adds is redacted.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, structs

from .._core.context import Settings
from .._core.events import EVENTS, Event
from .._core.machine import SessionMachine, Step
from .._wire.facts import Fact, Field, Public, field_of, fields_of, public_length
from .._wire.server import AudioChunk
from ._format import event_from

_PRIVATE_FACTS = {Fact.PRIVATE, Fact.PRIVATE_JSON, Fact.COMPARED, Fact.FUNCTION}

_TAG = field_of(Public[str])
"""The name of a struct's type."""


class Redaction:
    """Redacts one session."""

    def __init__(self, settings: Settings) -> None:
        self._numbers: dict[str | int | float, int] = {}
        redacted = self.struct(Settings, msgspec.to_builtins(settings))
        self.settings = msgspec.convert(redacted, Settings)
        self._machine = SessionMachine(self.settings)

    def step(self, event: Event) -> Step:
        """The step that the machine takes for the redacted event."""
        if isinstance(event, AudioChunk):
            # No other event is frequent, and no other holds bytes.
            return self._machine.step(structs.replace(event, text=event.text and _said(event.text)))
        return self._machine.step(event_from(self.event(msgspec.to_builtins(event))))

    def event(self, recorded: dict[str, Any]) -> dict[str, Any]:
        """A recorded event, redacted."""
        return self.struct(EVENTS.get(str(recorded.get("type"))), recorded)

    def struct(self, kind: type[Struct] | None, value: dict[str, Any]) -> dict[str, Any]:
        """A value of this type as plain JSON, redacted field by field."""
        fields = {**fields_of(kind), "type": _TAG}
        return {
            name: self._field(fields[name], part) if name in fields else self.private(part)
            for name, part in value.items()
        }

    def _field(self, field: Field, value: Any) -> Any:
        private = field.facts & _PRIVATE_FACTS
        if isinstance(value, dict) and (kind := field.type_of(value)):
            return self.struct(kind, value)
        if not private:
            return self._public(field, value)
        if field.anything and value is not None:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            return _said(text)
        if Fact.PRIVATE_JSON in private and isinstance(value, str):
            return self._arguments(value)
        if Fact.FUNCTION in private:
            return self._function(value)
        return self.private(value, compared=Fact.COMPARED in private)

    def _public(self, field: Field, value: Any) -> Any:
        """A public field's value; of an object, only what is measured is public."""
        if isinstance(value, (list, tuple)):
            return [self._field(field, part) for part in value]
        if isinstance(value, dict):
            measured = Fact.MEASURED in field.facts
            return {
                name: part if measured and isinstance(part, (int, float)) else self.private(part)
                for name, part in value.items()
            }
        return value

    def private(self, value: Any, *, compared: bool = False) -> Any:
        """The value with every text and number in it redacted. The names of fields stay."""
        if isinstance(value, dict):
            return {key: self.private(part, compared=compared) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.private(part, compared=compared) for part in value]
        if isinstance(value, str):
            return self._told_apart(value) if compared else _said(value)
        if isinstance(value, bool):
            return value if compared else False
        if isinstance(value, (int, float)):
            return self._number(value) if compared else 0
        return value

    def _function(self, schema: Any) -> Any:
        """A tool in OpenAI's form: ``type`` and the function's ``name`` stay."""
        if not isinstance(schema, dict):
            return self.private(schema, compared=True)
        redacted = {}
        for name, part in schema.items():
            if name == "function":
                redacted[name] = self._function(part)
            elif name in ("type", "name") and isinstance(part, str):
                redacted[name] = part
            else:
                redacted[name] = self.private(part, compared=True)
        return redacted

    def _arguments(self, text: str) -> str:
        """A tool call's arguments. If they are JSON, the placeholder is JSON, too."""
        try:
            arguments = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return _said(text)
        return msgspec.json.encode(self.private(arguments)).decode()

    def _told_apart(self, text: str) -> str:
        """A placeholder that only this text has, but for white space around it, which stays."""
        said = text.strip()
        if not said:
            return text
        before, after = text.split(said, 1)
        braces = " {{…}}" if "{{" in said else ""
        return f"{before}{_said(said)} #{self._number(said)}{braces}{after}"

    def _number(self, value: str | int | float) -> int:
        return self._numbers.setdefault(value, len(self._numbers) + 1)


def _said(text: str) -> str:
    """Blocks of about the text's length. White space around it stays, so that words do not join."""
    said = text.strip()
    if not said:
        return text
    before, after = text.split(said, 1)
    return before + "█" * public_length(said) + after
