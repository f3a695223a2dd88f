"""Feeds the recorded events of a trace to a fresh machine.

Replaying, comparing, redacting and explaining a trace all go through here, so that all of them
refuse the same traces. A trace that was changed by hand, or damaged, may hold an event that no
session has ever given its machine; such a trace is unreadable from that line on.
Whoever reads steps that no machine takes checks them here, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from .._core.context import Context, Settings
from .._core.effects import EFFECTS
from .._core.events import Event
from .._core.machine import SessionMachine, Step
from ._explain import Explainer, Explanation
from ._format import Line, RecordedPushAudio, event_from
from ._reader import TraceError, TraceReader

_RECORDED: dict[Any, type[Any]] = {**EFFECTS, "push_audio": RecordedPushAudio}
"""What a trace holds of each effect."""


def recorded_event_of(path: Path, seq: int, recorded: dict[str, Any]) -> Event:
    """The event that the step with this number holds.

    Raises:
        TraceError: it is no event; the message names the step and the bad field.
    """
    try:
        return event_from(recorded)
    except (msgspec.ValidationError, ValueError) as error:
        raise TraceError(f"{path}: step {seq} holds no event: {error}") from error


def check(reader: TraceReader, line: Line) -> None:
    """Raise ``TraceError`` if the line, which no machine has taken, holds no step."""
    recorded_event_of(reader.path, line.seq, line.event)
    try:
        for effect in line.effects:
            msgspec.convert(effect, _RECORDED.get(effect["type"], dict[str, Any]))
    except (msgspec.ValidationError, ValueError, KeyError, TypeError) as error:
        problem = f"{reader.path}: step {line.seq} is none: {error}"
        raise TraceError(problem) from error


def checked(reader: TraceReader) -> Iterator[Line]:
    """The steps as they are recorded. Raises what iteration and ``check`` raise."""
    for line in reader:
        check(reader, line)
        yield line


class FedMachine:
    """The machine of one trace. ``path`` is for messages."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._machine = SessionMachine(settings)
        self._explainer = Explainer(self._machine)

    @property
    def context(self) -> Context:
        """What the session remembers after the last event."""
        return self._machine.context

    def feed(self, seq: int, recorded: dict[str, Any]) -> Step:
        """Take the event of the step with this number.

        Raises:
            TraceError: it is no event, or the machine cannot take it.
        """
        event = recorded_event_of(self._path, seq, recorded)
        try:
            return self._machine.step(event)
        except Exception as error:
            raise self._refusal(seq, error) from error

    def feed_and_explain(self, seq: int, recorded: dict[str, Any]) -> tuple[Step, Explanation]:
        """The same as ``feed``, and why the step came out as it did."""
        event = recorded_event_of(self._path, seq, recorded)
        try:
            return self._explainer.take(event)
        except Exception as error:
            raise self._refusal(seq, error) from error

    def _refusal(self, seq: int, error: Exception) -> TraceError:
        # The machine is pure, so whatever it raises comes from the event or from those before it.
        problem = f"{type(error).__name__}: {error}"
        return TraceError(
            f"{self._path}: step {seq}: the machine cannot take this event ({problem})"
        )
