"""What was said, and whatever else may be private, as placeholders; and it still replays.

Only what comes in is redacted: settings and events. A machine of its own then takes the redacted
events, and what it does is the redacted trace, exact to the last effect. Placeholders therefore
keep what the machine decides by: text that is blank stays so, settings that differ stay
different, a prompt with template variables keeps its braces.

A field is private unless it is named here: what Phonic or a later version adds is redacted.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from .._core.context import Settings
from .._core.events import Event
from .._core.machine import SessionMachine, Step
from .._wire.server import AudioChunk
from ._format import event_from

TOLD = frozenset(
    """
    type id call_id tool_call_id conversation_id request_id id_seed after removed role name
    tool_name tools language code reason problem message_type conversation_item_role
    endpoint_method endpoint_called_at execution_mode
    agent project model voice_id additional_voice_ids input_format output_format background_noise
    default_language additional_languages multilingual_mode intelligence_level phonic_model
    mcp_servers observability_integrations
    """.split()  # noqa: SIM905 - a line a subject
)
"""Fields whose text stays."""

STRUCTURE = frozenset(
    """
    event settings config error warning tool tools tool_schema function added item items
    changed unsent audio timings
    """.split()  # noqa: SIM905 - a line a subject
)
"""Fields whose parts are looked at one by one. In any other object all values are redacted."""

SETTINGS = frozenset(("settings", "config", "instructions", "tools", "external_id"))
"""Fields that the machine compares with what it had: different values stay different."""

ANY_JSON = frozenset(("output", "response_body"))
"""Fields that hold what a tool returned: even the names in it may be private."""

ROUNDED_TO = 8
"""Lengths are rounded up to a multiple of this many characters: the length of a word, or of a
PIN that is spelt out, would tell too much. It divides the length at which prompts cut outputs."""


class Redaction:
    """One session, as it would have gone had only placeholders been said."""

    def __init__(self, settings: Settings) -> None:
        self._numbers: dict[str | int | float, int] = {}
        redacted = self.value("settings", msgspec.to_builtins(settings))
        self.settings = msgspec.convert(redacted, Settings)
        self._machine = SessionMachine(self.settings)

    def step(self, event: Event) -> Step:
        """The step that the redacted event makes."""
        if isinstance(event, AudioChunk):
            # The one event that is frequent, and the one that holds bytes.
            return self._machine.step(structs.replace(event, text=event.text and _said(event.text)))
        redacted = self.value("event", msgspec.to_builtins(event))
        return self._machine.step(event_from(redacted))

    def value(self, field: str, value: Any, *, setting: bool = False) -> Any:
        """A field's JSON value, redacted."""
        setting = setting or field in SETTINGS
        if isinstance(value, dict) and field in STRUCTURE:
            return {key: self.value(key, part, setting=setting) for key, part in value.items()}
        if isinstance(value, (list, tuple)) and field in STRUCTURE | TOLD:
            return [self.value(field, part, setting=setting) for part in value]
        if isinstance(value, str) and field in TOLD:
            return value
        if isinstance(value, (bool, int, float)):
            return value
        if field in ANY_JSON and value is not None:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            return _said(text)
        if field == "arguments" and isinstance(value, str):
            return self._arguments(value)
        return self.private(value, setting=setting)

    def private(self, value: Any, *, setting: bool = False) -> Any:
        """The value with every text and number in it redacted; names of fields stay."""
        if isinstance(value, dict):
            return {key: self.private(part, setting=setting) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.private(part, setting=setting) for part in value]
        if isinstance(value, str):
            return self._setting(value) if setting else _said(value)
        if isinstance(value, bool):
            return value if setting else False
        if isinstance(value, (int, float)):
            return self._number(value) if setting else 0
        return value

    def _arguments(self, text: str) -> str:
        """A tool call's arguments: JSON stays JSON."""
        try:
            arguments = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return _said(text)
        return msgspec.json.encode(self.private(arguments)).decode()

    def _setting(self, text: str) -> str:
        """A placeholder that only this text has."""
        if not text.strip():
            return text
        braces = " {{…}}" if "{{" in text else ""
        return f"{_said(text).strip()} #{self._number(text)}{braces}"

    def _number(self, value: str | int | float) -> int:
        return self._numbers.setdefault(value, len(self._numbers) + 1)


def _said(text: str) -> str:
    """Blocks of about the text's length. White space around it stays, so that words stay words."""
    said = text.strip()
    if not said:
        return text
    before, after = text.split(said, 1)
    return before + "█" * (-(-len(said) // ROUNDED_TO) * ROUNDED_TO) + after
