"""Measures a call in one pass over its recorded lines. Nothing is replayed.

Each field of ``Figures`` says what is counted, and from which line to which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct, field

from .._core.events import Interrupt, name_of
from .._core.states import State
from .._wire.server import InterruptedResponse, UserStartedSpeaking
from ._format import Line, PassedAudio, RecordedPushAudio
from ._lost_audio import OPEN_STATES, LostAudio
from ._runs import AudioRun
from ._turns import GENERATION_OPENED, ToolRun, Turn, TurnBuilder

CUT_SHORT_BY = frozenset(map(name_of, (UserStartedSpeaking, InterruptedResponse, Interrupt)))
"""The events by which somebody cuts an answer short."""


class Figures(Struct, kw_only=True):
    """One call in numbers. Durations are seconds of the trace's own clock."""

    time_to_ready: float | None = None
    """From the first step until the conversation is open; ``None`` where it never was."""
    response_latencies: list[float] = field(default_factory=list)
    """Per turn, from the caller's last sound to the first audio of a generation that was opened
    after the end of the turn. Where the levels of the caller's audio do not tell of the last sound,
    it is from the end of the turn: ``user_finished_speaking``, or the commit (push-to-talk). A turn
    that stays unanswered until the caller speaks again has none."""
    turns: list[Turn] = field(default_factory=list)
    """The turns with everything that this time was spent on."""
    tool_durations: list[float] = field(default_factory=list)
    """Per call, for how long LiveKit ran the tool, if that was observed, else from ``tool_call``
    until its output is given; interrupted calls have none."""
    tool_waits: list[float] = field(default_factory=list)
    """Per call that was observed, from ``tool_call`` until LiveKit ran the tool: it plays first
    what the assistant has said."""
    interruptions: int = 0
    """Answers that were cut off, by the caller or by ``interrupt()``, once something of them had
    come."""
    outages: list[float] = field(default_factory=list)
    """Per lost connection of an open conversation, from the loss until a conversation is open
    again, the session is closed, or the trace ends."""
    dropped_audio_ms: int = 0
    """Of the caller's audio, lost in outages, as it was measured. Without ``caller_audio`` events,
    it is calculated for a stream without pauses: all but the newest 2 s of what is said while a
    conversation is resumed, and the newest 10 s until a fresh one is open. If none is open again,
    it is the whole outage."""
    dropped_audio_is_measured: bool = False
    """Whether the trace has ``caller_audio`` events."""
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
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place % 1)


class Gauge:
    """Measures line by line, and remembers what the next line needs."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._began: float | None = None
        self._now = 0.0
        self._turns = TurnBuilder()
        self._heard = False
        """Whether text or audio of the present generation has come."""
        self._cut_off: Any = None
        """The id of the answer whose interruption was counted last."""
        self._lost_at: float | None = None
        self._lost_audio = LostAudio()

    def take_audio(self, passed: PassedAudio) -> None:
        """Take a step in its condensed form."""
        self._count(passed.t)
        for effect in passed.effects:
            self._heard = True
            if isinstance(effect, RecordedPushAudio):
                self._turns.take_audio(passed.t)

    def take_run(self, run: AudioRun) -> None:
        """Take many steps at once."""
        self._count(run.t)
        self._now = run.until
        self._figures.steps += len(run.bytes) - 1
        if run.audio == "pushed":
            self._heard = True
            self._turns.take_audio(run.t)

    def take(self, line: Line) -> None:
        self._count(line.t)
        self._turns.take(line)
        event = line.event.get("type")
        if event != "audio_chunk" or line.source != line.target:
            self._lost_audio.take(line)
            self._take_event(event, line)
        if line.source != line.target:
            self._move(line)
        for effect in line.effects:
            self._take_effect(effect, event)

    def _count(self, t: float) -> None:
        self._now = t
        self._figures.steps += 1
        if self._began is None:
            self._began = t

    def finished(self) -> Figures:
        if self._began is not None:
            self._figures.seconds = _seconds(self._now - self._began)
        self._end_outage()
        figures, turns = self._figures, self._turns.turns()
        figures.turns = turns
        figures.response_latencies = [t.latency for t in turns if t.latency is not None]
        figures.dropped_audio_is_measured = self._lost_audio.is_measured
        figures.dropped_audio_ms = sum(round(lost * 1000) for lost in self._lost_audio.seconds)
        return figures

    def _take_event(self, event: Any, line: Line) -> None:
        if event == "update_chat_ctx":
            for call_id in answered_calls(line.event):
                run = self._turns.given(call_id, line.t)
                if run is not None:
                    self._time(run, line.t)

    def _time(self, run: ToolRun, given: float) -> None:
        if run.began is not None:
            self._figures.tool_waits.append(_seconds(run.began - run.called))
            self._figures.tool_durations.append(_seconds((run.ended or given) - run.began))
        else:
            self._figures.tool_durations.append(_seconds(given - run.called))

    def _move(self, line: Line) -> None:
        conversing = line.target in OPEN_STATES
        if conversing and self._figures.time_to_ready is None and self._began is not None:
            self._figures.time_to_ready = _seconds(line.t - self._began)
        if line.source in OPEN_STATES and line.target == State.reconnecting.value:
            self._lost_at = line.t
        elif conversing or line.target == State.closed.value:
            self._end_outage()

    def _end_outage(self) -> None:
        if self._lost_at is None:
            return
        seconds = _seconds(self._now - self._lost_at)
        self._lost_at = None
        self._figures.outages.append(seconds)

    def _take_effect(self, effect: dict[str, Any], event: Any) -> None:
        kind = effect.get("type")
        if kind in ("push_audio", "push_text"):
            self._heard = True
        elif kind in GENERATION_OPENED:
            self._heard = False
        elif kind == "close_generation":
            if effect.get("interrupted") and self._heard and event in CUT_SHORT_BY:
                self._count_interruption(effect.get("response_id"))
        elif kind == "correct_message":
            # Audio comes ahead of its playback. If the caller cuts off an answer that has ended on
            # the wire, only this effect shows it.
            self._count_interruption(effect.get("id"))

    def _count_interruption(self, answer: Any) -> None:
        if answer != self._cut_off:
            self._cut_off = answer
            self._figures.interruptions += 1


def _seconds(difference: float) -> float:
    """Rounded to the microsecond, which is as exact as a trace's clock."""
    return round(difference, 6)


def answered_calls(event: dict[str, Any]) -> Iterator[str]:
    """The ids of the calls whose outputs an ``update_chat_ctx`` brings."""
    added = event.get("added")
    for addition in added if isinstance(added, list) else ():
        item = addition.get("item") if isinstance(addition, dict) else None
        if isinstance(item, dict) and item.get("type") == "function_call_output":
            yield str(item.get("call_id"))
