"""What a step is about: the kinds that ``replay --only`` chooses by."""

from __future__ import annotations

from typing import Any, get_args

from .._core.effects import EFFECTS
from .._core.events import EVENTS
from .._wire.client import ClientMessage
from .._wire.facts import StepKind
from ._format import Line

_OF_EVENTS_AND_EFFECTS: dict[str, StepKind | None] = {
    name: kind.step_kind for name, kind in (*EVENTS.items(), *EFFECTS.items())
}
_OF_MESSAGES: dict[str, StepKind | None] = {
    str(kind.__struct_config__.tag): kind.step_kind for kind in get_args(ClientMessage)
}

STATE = "state"
"""The kind of every step that leaves a state, whatever else it is about."""

KINDS: tuple[str, ...] = (STATE, *get_args(StepKind))


def kinds_of(line: Line) -> frozenset[str]:
    """Every kind that the step is of, by its event or any of its effects."""
    kinds: set[str] = {kind for value in (line.event, *line.effects) if (kind := kind_of(value))}
    return frozenset(kinds | {STATE} if line.source != line.target else kinds)


def kind_of(value: dict[str, Any]) -> StepKind | None:
    """The kind of one recorded event or effect; a message that is sent has the message's kind."""
    if value.get("type") == "send" and isinstance(message := value.get("message"), dict):
        return _OF_MESSAGES.get(str(message.get("type")))
    return _OF_EVENTS_AND_EFFECTS.get(str(value.get("type")))


def only_passes_audio(line: Line) -> bool:
    """Whether the step is an audio chunk that is played or dropped, and nothing else."""
    return (
        line.event.get("type") == "audio_chunk"
        and line.source == line.target
        and all(effect.get("type") in ("push_text", "push_audio") for effect in line.effects)
    )


def words_of(line: Line) -> str:
    """The text of an audio chunk."""
    return str(line.event.get("text") or "")


def bytes_of(line: Line) -> int:
    """How much audio a chunk holds (bytes)."""
    audio = line.event.get("audio")
    length = audio.get("bytes") if isinstance(audio, dict) else None
    return length if isinstance(length, int) else 0
