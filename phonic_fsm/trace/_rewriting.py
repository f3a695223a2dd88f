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
from ._reader import RawLine, TraceCutOff, TraceError, TraceReader
from ._redaction import Redaction
from ._runs import AudioRun

_OF_A_HEADER = frozenset(Header.__struct_encode_fields__)
_OF_A_LINE = frozenset(Line.__struct_encode_fields__)
_OF_A_RUN = frozenset(AudioRun.__struct_encode_fields__)


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
            seq = raw.steps[-1].seq
            yield _line(reader, redaction, machine, raw)
        end = reader.end
    except TraceCutOff:
        end = End(end="cut_off", seq=seq)
    if end is not None:
        yield msgspec.to_builtins(end)


def steps_in(line: dict[str, Any]) -> int:
    """How many steps a line of a trace holds."""
    return len(line["bytes"]) if "bytes" in line else int("event" in line)


def _line(
    reader: TraceReader, redaction: Redaction, machine: FedMachine, raw: RawLine
) -> dict[str, Any]:
    fields = raw.fields
    if "event" not in fields:
        return {
            **_known(fields, _OF_A_RUN),
            **_words(reader, redaction, machine, raw),
            **_unknown(redaction, fields, _OF_A_RUN),
        }
    [line] = raw.steps
    event = redaction.event(fields["event"])
    if isinstance(event.get("audio"), dict):
        # The audio files are not redacted, so the redacted trace must not refer to them.
        event["audio"].pop("at", None)
    return {
        **_known(fields, _OF_A_LINE),
        "event": event,
        "effects": _step(reader, machine, line, event),
        **_unknown(redaction, fields, _OF_A_LINE),
    }


def _words(
    reader: TraceReader, redaction: Redaction, machine: FedMachine, raw: RawLine
) -> dict[str, Any]:
    """The words of a run, redacted; nothing if it has none."""
    texts = []
    for line in raw.steps:
        event = redaction.event(line.event)
        _step(reader, machine, line, event)
        if "text" in event:
            texts.append(event["text"])
    if not texts:
        return {}
    spoken = zip(raw.fields["words"], texts, strict=True)
    return {
        "words": [
            [step, text, start, end, *map(redaction.private, unknown)]
            for (step, _, start, end, *unknown), text in spoken
        ]
    }


def _step(
    reader: TraceReader, machine: FedMachine, line: Line, event: dict[str, Any]
) -> list[dict[str, Any]]:
    """The effects of a step whose event is now this one."""
    step = machine.feed(line.seq, event)
    effects = recorded_effects(step)
    recorded = (line.source, line.target, *map(_kind, line.effects))
    if recorded != (step.source.value, step.target.value, *map(_kind, effects)):
        recorded_by = reader.header.package
        advice = (
            "once it is redacted, which is a fault of this package: please report it"
            if recorded_by == __version__
            else f"in this version: redact the trace with the one that recorded it, {recorded_by}"
        )
        raise TraceError(f"{reader.path}: step {line.seq} replays otherwise {advice}")
    return effects


def _kind(effect: dict[str, Any]) -> tuple[Any, Any]:
    message = effect.get("message")
    return effect.get("type"), message.get("type") if isinstance(message, dict) else None


def _known(raw: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name in names}


def _unknown(redaction: Redaction, raw: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: redaction.private(raw[name]) for name in raw if name not in names}
