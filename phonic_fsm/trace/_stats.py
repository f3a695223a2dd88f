"""Measures a call in one pass over its recorded lines. Nothing is replayed.

Each field of ``Figures`` says what is counted, and from which line to which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field

from .._core.effects import OpenGeneration, PrepareGeneration, SetAudioGate
from .._core.events import Interrupt, name_of
from .._core.states import CONVERSING, State
from .._wire.server import (
    AssistantChoseNotToRespond,
    InputCancelled,
    InterruptedResponse,
    UserStartedSpeaking,
)
from ._format import Line, PassedAudio, RecordedPushAudio

OPEN_STATES = frozenset(state.value for state in CONVERSING)
"""The states, as a trace names them, in which the conversation is open."""

CUT_SHORT_BY = frozenset(map(name_of, (UserStartedSpeaking, InterruptedResponse, Interrupt)))
"""The events by which somebody cuts an answer short."""

NO_ANSWER_DUE = frozenset(map(name_of, (InputCancelled, AssistantChoseNotToRespond)))
"""The events after which the caller's turn gets no answer."""

SET_AUDIO_GATE = name_of(SetAudioGate)

GENERATION_OPENED = frozenset(map(name_of, (OpenGeneration, PrepareGeneration)))
"""The effects that open a generation."""


class Figures(Struct, kw_only=True):
    """One call in numbers. Durations are seconds of the trace's own clock."""

    time_to_ready: float | None = None
    """From the first step until the conversation is open; ``None`` where it never was."""
    response_latencies: list[float] = field(default_factory=list)
    """Per turn, from ``user_finished_speaking`` to the first audio of a generation that was opened
    after it. A turn that stays unanswered until the caller speaks again has none."""
    tool_durations: list[float] = field(default_factory=list)
    """Per call, from ``tool_call`` until its output is given; interrupted calls have none."""
    interruptions: int = 0
    """Answers that were cut off, by the caller or by ``interrupt()``, once something of them had
    come."""
    outages: list[float] = field(default_factory=list)
    """Per lost connection of an open conversation, from the loss until a conversation is open
    again, the session is closed, or the trace ends."""
    dropped_audio_ms: int = 0
    """Of the caller's audio, lost in outages: all but the newest 2 s of what is said while a
    conversation is resumed, and the newest 10 s until a fresh one is open; everything if none is
    open again. A trace holds no audio of the caller, so this is what a caller's stream without
    pauses loses."""
    seconds: float = 0.0
    """From the first step to the last."""
    steps: int = 0


def measure(lines: Iterable[Line]) -> Figures:
    """Measure a trace, in one pass over its lines.

    Raises:
        TraceError: as the lines do.
    """
    gauge = Gauge()
    for line in lines:
        gauge.take(line)
    return gauge.finished()


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The percentile, interpolated between the two nearest values; ``None`` without values."""
    return float(np.percentile(values, percent)) if values else None


class Gauge:
    """Measures line by line, and remembers what the next line needs."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._began: float | None = None
        self._now = 0.0
        self._finished_at: float | None = None
        """When the caller finished speaking, until the answer is heard."""
        self._answering = False
        """Whether audio that comes now is the answer to the caller."""
        self._called_at: dict[str, float] = {}
        self._heard = False
        """Whether text or audio of the present generation has come."""
        self._cut_off: Any = None
        """The id of the answer whose interruption was counted last."""
        self._lost_at: float | None = None
        self._kept = self._keeps = 0.0
        """Seconds of the caller's audio that are kept in the present outage, and that may be."""

    def take_audio(self, passed: PassedAudio) -> None:
        """Take a step in its condensed form."""
        self._count(passed.t)
        for effect in passed.effects:
            self._heard = True
            if isinstance(effect, RecordedPushAudio):
                self._note_audio()

    def take(self, line: Line) -> None:
        self._count(line.t)
        event = line.event.get("type")
        if event != "audio_chunk":
            self._take_event(event, line)
        if line.source != line.target:
            self._move(line)
        for effect in line.effects:
            self._take_effect(effect, event)

    def _count(self, t: float) -> None:
        if self._lost_at is not None:
            self._kept = min(self._kept + t - self._now, self._keeps)
        self._now = t
        self._figures.steps += 1
        if self._began is None:
            self._began = t

    def finished(self) -> Figures:
        if self._began is not None:
            self._figures.seconds = _seconds(self._now - self._began)
        self._end_outage(restored=True)
        return self._figures

    def _take_event(self, event: Any, line: Line) -> None:
        if event in NO_ANSWER_DUE or event == "user_started_speaking":
            self._finished_at = None
        elif event == "user_finished_speaking" and line.effects:
            self._finished_at = line.t
            self._answering = False
        elif event == "assistant_started_speaking":
            self._answering = True
        elif event == "tool_call" and line.effects:
            self._called_at[str(line.event.get("tool_call_id"))] = line.t
        elif event == "tool_call_interrupted":
            self._called_at.pop(str(line.event.get("tool_call_id")), None)
        elif event == "update_chat_ctx":
            for call_id in _answered_calls(line.event):
                called_at = self._called_at.pop(call_id, None)
                if called_at is not None:
                    self._figures.tool_durations.append(_seconds(line.t - called_at))

    def _move(self, line: Line) -> None:
        conversing = line.target in OPEN_STATES
        if conversing and self._figures.time_to_ready is None and self._began is not None:
            self._figures.time_to_ready = _seconds(line.t - self._began)
        if line.source in OPEN_STATES and line.target == State.reconnecting.value:
            self._lost_at, self._kept = line.t, 0.0
        elif conversing or line.target == State.closed.value:
            self._end_outage(restored=conversing)

    def _end_outage(self, *, restored: bool) -> None:
        if self._lost_at is None:
            return
        seconds = _seconds(self._now - self._lost_at)
        self._lost_at = None
        self._figures.outages.append(seconds)
        lost = max(seconds - self._kept, 0.0) if restored else seconds
        self._figures.dropped_audio_ms += round(lost * 1000)

    def _take_effect(self, effect: dict[str, Any], event: Any) -> None:
        kind = effect.get("type")
        if kind == "push_audio":
            self._heard = True
            self._note_audio()
        elif kind == "push_text":
            self._heard = True
        elif kind == SET_AUDIO_GATE:
            self._keeps = float(effect.get("keep_ms", 0)) / 1000
        elif kind in GENERATION_OPENED:
            self._heard = False
            self._answering = True
        elif kind == "close_generation":
            if effect.get("interrupted") and self._heard and event in CUT_SHORT_BY:
                self._count_interruption(effect.get("response_id"))
        elif kind == "correct_message":
            # Audio comes ahead of its playback. If the caller cuts off an answer that has ended on
            # the wire, only this effect shows it.
            self._count_interruption(effect.get("id"))

    def _note_audio(self) -> None:
        if self._answering and self._finished_at is not None:
            latency = _seconds(self._now - self._finished_at)
            self._figures.response_latencies.append(latency)
            self._finished_at = None

    def _count_interruption(self, answer: Any) -> None:
        if answer != self._cut_off:
            self._cut_off = answer
            self._figures.interruptions += 1


def _seconds(difference: float) -> float:
    """Rounded to the microsecond, which is as exact as a trace's clock."""
    return round(difference, 6)


def _answered_calls(event: dict[str, Any]) -> Iterator[str]:
    """The ids of the calls whose outputs an ``update_chat_ctx`` brings."""
    added = event.get("added")
    for addition in added if isinstance(added, list) else ():
        item = addition.get("item") if isinstance(addition, dict) else None
        if isinstance(item, dict) and item.get("type") == "function_call_output":
            yield str(item.get("call_id"))
