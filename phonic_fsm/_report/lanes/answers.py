"""The assistant's answers as they came: announced, empty, stalled, not read, not wanted any more.

When the caller heard them is ``hearing``'s.
"""

from __future__ import annotations

import math
from typing import Literal

from phonic_fsm._core import events
from phonic_fsm._core.effects import PushText
from phonic_fsm._core.events import name_of
from phonic_fsm._core.states import State
from phonic_fsm._wire.server import AssistantEndedConversation
from phonic_fsm.trace._format import AudioLength, Line, PassedAudio
from phonic_fsm.trace._runs import AudioRun
from phonic_fsm.trace._turns import GENERATION_OPENED

from .effects import messages_sent, warnings
from .hearing import PAUSE, Hearing
from .span import Span
from .trouble import Trouble

_ENDED = name_of(AssistantEndedConversation)
_TURN_OVERDUE = name_of(events.TurnOverdue)
_NOT_TAKEN = name_of(events.AudioNotTaken)

_CHANGES = frozenset(
    map(
        name_of,
        (
            events.UpdateInstructions,
            events.UpdateTools,
            events.UpdateOptions,
            events.UpdateToolChoice,
            events.UpdateSession,
            events.ChangesDue,
        ),
    )
)
"""The events that change settings, and that tell Phonic of them."""

_CutBy = Literal["interrupt", "reset", "length"]


class Dropped(Span, kw_only=True):
    """Audio of the assistant that came and was not wanted any more."""

    by: _CutBy
    """What had cut the turn off: ``interrupt()``, a reset that told Phonic of changes, or its own
    length."""


class AnswerLane:
    def __init__(self, bytes_per_second: int) -> None:
        """The assistant's audio has so many bytes in each second."""
        self.hearing = Hearing()
        self.announced: list[Span] = []
        self.open: list[Span] = []
        self.empty: list[Span] = []
        self.stalled: list[Span] = []
        self.untaken: list[Trouble] = []
        self.untaken_messages: set[str] = set()
        """The messages whose audio LiveKit did not read."""
        self.cut_by_reset: set[str] = set()
        """The messages that changed settings have cut off, as they are told by a reset."""
        self.discarded: list[Dropped] = []
        self._cut_by: _CutBy | None = None
        """What has cut off the turn of which more may come."""
        self.goodbye: float | None = None
        self._bytes_per_second = bytes_per_second
        self._opened: Line | None = None
        """The step that opened the generation, while the generation is empty."""
        self._generation = ""
        self._sounds = False
        """Whether audio of the open generation has come."""

    def take_audio(self, passed: PassedAudio) -> None:
        text, pushed = "", False
        for effect in passed.effects:
            if isinstance(effect, PushText):
                text = effect.text
            else:
                pushed = True
        event = passed.event
        self._take_chunk(passed, event.audio, event.text, text, pushed)

    def take_run(self, run: AudioRun) -> None:
        if run.audio == "dropped":
            return  # without text, that is background sound
        self._begin_to_sound(run.seq, run.t)
        self._opened = None
        per_second = self._bytes_per_second
        seconds = [length / per_second for length in run.bytes]
        chunks = zip(run.times(), seconds, run.dbfs, run.texts(), strict=True)
        self.hearing.play_on(run.seq, self._generation, chunks)

    def take(self, line: Line) -> None:
        text, pushed = "", False
        for effect in line.effects:
            kind = effect["type"]
            if kind == "push_text":
                text = effect["text"]
            elif kind == "push_audio":
                pushed = True
            elif kind in GENERATION_OPENED:
                self._generation = effect["response_id"]
                self._opened = line
            elif kind in ("push_function_call", "emit_dtmf"):
                self._opened = None
            elif kind == "close_generation":
                self._close(line, interrupted=effect.get("interrupted", False))
        event = line.event["type"]
        self._note_cut(line)
        if event == "audio_chunk":
            part = line.event["audio"]
            audio = AudioLength(part["bytes"], part.get("dbfs"), part.get("at"))
            self._take_chunk(line, audio, line.event.get("text"), text, pushed)
        elif event == "assistant_started_speaking" and line.target == State.speaking.value:
            self.announced.append(Span(step=line.seq, start=line.t, end=math.inf))
        elif event in ("user_started_speaking", "interrupt", "close"):
            self.hearing.cut_off(line.t)
        elif event == _ENDED:
            self.goodbye = line.t
        elif event == _TURN_OVERDUE and warnings(line):
            speeches = self.hearing.speeches
            since = min(speeches[-1].end, line.t) if speeches else line.t
            self.stalled.append(Span(step=line.seq, start=since, end=line.t))
        elif event == _NOT_TAKEN:
            for text in warnings(line):
                self.untaken_messages.add(line.event["response_id"])
                self.untaken.append(Trouble.of(line, text, "error"))

    def _note_cut(self, line: Line) -> None:
        if line.event["type"] == "interrupt":
            self._cut_by = "interrupt"
        elif "reset" in messages_sent(line):
            self._cut_by = "reset"
        elif line.event["type"] == "audio_chunk" and warnings(line):
            self._cut_by = "length"

    def take_over(self, gone: float) -> None:
        """Note that since then (s) no process had the call: nothing was heard or awaited."""
        self.hearing.cut_off(gone)
        self._end_announcement(gone)
        if self._sounds:
            self._sounds = False
            self.open[-1].end = gone

    def _close(self, line: Line, *, interrupted: bool) -> None:
        has_begun = bool(self.announced) and self.announced[-1].end == math.inf
        self._end_announcement(line.t)
        if self._sounds:
            self._sounds = False
            self.open[-1].end = line.t
        if interrupted:
            # LiveKit plays what has come, unless it is told to stop.
            if line.event["type"] in _CHANGES:
                self.cut_by_reset.add(self._generation)
        elif self._opened is not None and has_begun:
            # One that Phonic has not begun tells LiveKit that no answer comes, or is overdue.
            begin = self._opened
            self.empty.append(Span(step=begin.seq, start=begin.t, end=line.t))
        self._opened = None

    def _take_chunk(
        self,
        step: Line | PassedAudio,
        audio: AudioLength,
        said: str | None,
        text: str,
        pushed: bool,
    ) -> None:
        """Note what came in a chunk, and what of it was passed on: the text, the audio, or both."""
        if pushed:
            self._begin_to_sound(step.seq, step.t)
        if pushed or text:
            self._opened = None
            self.hearing.play(
                step.seq,
                step.t,
                self._generation,
                audio.bytes / self._bytes_per_second if pushed else 0.0,
                text=text,
                dbfs=audio.dbfs,
                source=audio.at if pushed else None,
            )
        elif audio.bytes and said and self._cut_by:
            self._discard(step, audio.bytes / self._bytes_per_second, self._cut_by)

    def _begin_to_sound(self, step: int, at: float) -> None:
        if not self._sounds:
            self._sounds = True
            self._end_announcement(at)
            self.open.append(Span(step=step, start=at, end=math.inf))

    def _end_announcement(self, at: float) -> None:
        if self.announced and self.announced[-1].end == math.inf:
            self.announced[-1].end = at

    def _discard(self, step: Line | PassedAudio, seconds: float, by: _CutBy) -> None:
        discarded = self.discarded
        if discarded and discarded[-1].by == by and step.t - discarded[-1].end < PAUSE:
            discarded[-1].end += seconds
        else:
            discarded.append(Dropped(step=step.seq, start=step.t, end=step.t + seconds, by=by))
