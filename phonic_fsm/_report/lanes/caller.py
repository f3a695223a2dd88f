"""When the caller spoke, what was said, and what came of the caller's audio."""

from __future__ import annotations

import math

import msgspec
from msgspec import structs

from phonic_fsm._core.events import CommitAudio, name_of
from phonic_fsm.trace._format import Line
from phonic_fsm.trace._turns import (
    EARLIER,
    NO_ANSWER_DUE,
    Levels,
    begins_push_to_talk,
    ends_push_to_talk,
    was_committed,
)

from .effects import effect_types, gate_set
from .span import Span, ended, until

LIKE_SPEECH = 15
"""Decibels. What is so much softer than the loudest of what Phonic understood may be a noise."""

PAUSE = 0.7
"""Sounds with a shorter pause between them belong together (s)."""

_COMMIT = name_of(CommitAudio)


class CallerSpeech(Span, kw_only=True):
    text: str = ""
    silent: float | None = None
    """When the caller had stopped making any sound, if the levels of the caller's audio tell it."""
    committed: bool = False
    """Whether it was the agent that ended it, with push-to-talk."""


class CallerAudio(Span, kw_only=True):
    """What came of the caller's audio in each second of the stretch, and what became of it."""

    received_ms: int = 0
    dbfs: float | None = None
    """``None`` for digital silence, and where nothing came."""
    peak: float | None = None
    levels: tuple[int, ...] = ()
    """Of each tenth of the first second (dBFS). The seconds after it were like its loudest."""
    sent_ms: int = 0
    filled_ms: int = 0
    dropped_ms: int = 0
    overflowed_ms: int = 0
    waiting_ms: int = 0
    rate: int = 0
    channels: int = 0


class CallerLane:
    def __init__(self) -> None:
        self.speeches: list[CallerSpeech] = []
        self.audio: list[CallerAudio] = []
        self.typed = False
        self.excused: list[float] = []
        self.withdrawn: list[Span] = []
        self._levels = Levels()
        self.pressed: list[Span] = []
        """With push-to-talk, while the caller is heard, who is muted otherwise."""

    def take(self, line: Line) -> None:
        speeches, effects, kind = self.speeches, effect_types(line), line.event["type"]
        if "emit_speech_started" in effects and not was_committed(line):
            speeches.append(CallerSpeech(step=line.seq, start=line.t, end=math.inf))
        if "emit_speech_stopped" in effects and speeches and speeches[-1].end == math.inf:
            speeches[-1].end = line.t
        self._take_push_to_talk(line)
        for addition in line.event.get("added", ()):
            self.typed |= addition["item"].get("role") == "user"
        if kind in NO_ANSWER_DUE:
            self.excused.append(line.t)
        if kind == "input_cancelled" and speeches:
            start = speeches[-1].start
            self.withdrawn.append(Span(step=line.seq, start=start, end=line.t))
        if "emit_transcript" in effects and speeches:
            text = str(line.event.get("text", ""))
            speeches[-1].text = f"{speeches[-1].text} {text}".strip()

    def _take_push_to_talk(self, line: Line) -> None:
        opened, muted = self._opened, gate_set(line) == "muted"
        begins = begins_push_to_talk(line) and not muted
        commits = line.event["type"] == _COMMIT  # which is sent later if Phonic is away
        if ends_push_to_talk(line):
            self._commit(line, opened)
        if opened is not None and (begins or commits or muted):
            opened.end = line.t
            if muted and not commits:
                self.excused.append(line.t)  # the agent has withdrawn the turn
        if begins:
            self.pressed.append(Span(step=line.seq, start=line.t, end=math.inf))

    def _commit(self, line: Line, opened: Span | None) -> None:
        """The caller's turn ends here, whatever Phonic takes for its end."""
        speeches = self.speeches
        since = math.inf if opened is None else opened.start
        if speeches and speeches[-1].end >= since:
            speeches[-1].end = line.t
            speeches[-1].committed = True
        elif opened is not None:
            # Phonic says nothing of it, or says it later.
            turn = CallerSpeech(step=opened.step, start=opened.start, end=line.t, committed=True)
            speeches.append(turn)

    def take_audio(self, line: Line) -> None:
        """Take a step that tells of a second of the caller's audio."""
        audio = self.audio
        self._levels.add(line.t, line.event)
        # The event is about the second before it.
        start = max(0.0, line.t - 1)
        if audio:
            audio[-1].end = start = max(start, audio[-1].start)
        span = {"step": line.seq, "start": start, "end": math.inf}
        audio.append(msgspec.convert({**line.event, **span}, CallerAudio))

    def turns(self, now: float) -> list[CallerSpeech]:
        """The caller's turns up to now, each with the end of its sound."""
        return [
            structs.replace(turn, silent=self._levels.last_sound(turn.start - EARLIER, turn.end))
            for turn in ended(self.speeches, now)
        ]

    def uncommitted(self, now: float) -> Span | None:
        """With push-to-talk, since when the caller is heard whose turn was not committed."""
        return None if self._opened is None else until(self._opened, now)

    @property
    def _opened(self) -> Span | None:
        return self.pressed[-1] if self.pressed and self.pressed[-1].end == math.inf else None

    def sounds(self, now: float) -> list[Span]:
        """Where the caller's audio was as loud as what Phonic understood.

        Empty where that cannot be told: Phonic understood nothing, or there is as loud a noise.
        """
        understood = [
            level
            for turn in ended(self.speeches, now)
            if turn.text
            for *_, level in self._levels.between(turn.start, turn.end)
        ]
        loud = max(understood, default=0) - LIKE_SPEECH
        if not understood or self._levels.noise(now) >= loud:
            return []
        sounds = self._levels.sounds(loud, PAUSE, now)
        return [Span(step=1, start=start, end=end) for start, end in sounds]
