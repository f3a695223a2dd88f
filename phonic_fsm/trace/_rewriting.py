"""Redacts a trace after it was recorded.

Fields that this version does not know are kept, with every value redacted. Effects are made anew by
the machine, so unknown fields of effects are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from .._core.context import Settings
from .._version import __version__
from ._feeding import FedMachine
from ._format import End, Header, Line, recorded_effects
from ._reader import TraceCutOff, TraceError, TraceReader
from ._redaction import Redaction

_OF_A_HEADER = frozenset(Header.__struct_encode_fields__)
_OF_A_LINE = frozenset(Line.__struct_encode_fields__)


def redacted(reader: TraceReader) -> Iterator[dict[str, Any]]:
    """The lines of the redacted trace. If the trace is cut off, the last line says so.

    Raises:
        TraceError: the trace cannot be read, or the machine of this version does not do what the
            trace says, so that the redacted trace would be another one.
    """
    redaction = Redaction(reader.header.settings)
    machine = FedMachine(reader.path, redaction.settings)
    header = reader.raw_header
    yield {
        **_known(header, _OF_A_HEADER),
        "settings": redaction.struct(Settings, header["settings"]),
        "redacted": True,
        **_unknown(redaction, header, _OF_A_HEADER),
    }
    seq = 0
    end = None
    try:
        for raw in reader.raw():
            seq = raw["seq"]
            yield _line(reader, redaction, machine, raw)
        end = reader.end
    except TraceCutOff:
        end = End(end="cut_off", seq=seq)
    if end is not None:
        yield msgspec.to_builtins(end)


def _line(
    reader: TraceReader, redaction: Redaction, machine: FedMachine, raw: dict[str, Any]
) -> dict[str, Any]:
    event = redaction.event(raw["event"])
    if isinstance(event.get("audio"), dict):
        # The audio files are not redacted, so the redacted trace must not refer to them.
        event["audio"].pop("at", None)
    step = machine.feed(raw["seq"], event)
    effects = recorded_effects(step)
    if _course(raw) != (step.source.value, step.target.value, *map(_kind, effects)):
        recorded_by = reader.header.package
        advice = (
            "once it is redacted, which is a fault of this package: please report it"
            if recorded_by == __version__
            else f"in this version: redact the trace with the one that recorded it, {recorded_by}"
        )
        raise TraceError(f"{reader.path}: step {raw['seq']} replays otherwise {advice}")
    return {
        **_known(raw, _OF_A_LINE),
        "event": event,
        "effects": effects,
        **_unknown(redaction, raw, _OF_A_LINE),
    }


def _course(raw: dict[str, Any]) -> tuple[Any, ...]:
    """The part of a step that redaction must not change."""
    return (raw["from"], raw["to"], *map(_kind, raw["effects"]))


def _kind(effect: dict[str, Any]) -> tuple[Any, Any]:
    message = effect.get("message")
    return effect.get("type"), message.get("type") if isinstance(message, dict) else None


def _known(raw: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name in names}


def _unknown(redaction: Redaction, raw: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: redaction.private(raw[name]) for name in raw if name not in names}
