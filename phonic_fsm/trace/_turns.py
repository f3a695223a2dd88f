"""The caller's turns: from the last sound to what is heard of the answer, in one pass."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from .._core.effects import OpenGeneration, PrepareGeneration
from .._core.events import SILENT, CommitAudio, is_flat, name_of
from .._wire.client import Mute, Unmute
from .._wire.server import AssistantChoseNotToRespond, Dtmf, InputCancelled
from ._format import Line

NO_ANSWER_DUE = frozenset(map(name_of, (InputCancelled, AssistantChoseNotToRespond, Dtmf)))
"""The events after which no spoken answer to the caller's turn is due: it is taken back, the
assistant chooses not to respond, or dials."""

_COMMIT, _MUTE, _UNMUTE = map(name_of, (CommitAudio, Mute, Unmute))

GENERATION_OPENED = frozenset(map(name_of, (OpenGeneration, PrepareGeneration)))
"""The effects that open a generation."""

SPEECH_RANGE = 20
"""Decibels. What is so much softer than the loudest speech of a turn is no speech any more."""

THUMP = 3
"""Tenths of a second. A knock on the microphone, which may be much louder than speech, is no
longer."""

SOFTEST = -60
"""dBFS. Nobody would hear a word below."""

EARLIER = 1.0
"""Seconds. So long before Phonic noticed it, the caller may have begun to speak."""


class ToolRun(Struct, kw_only=True):
    """One tool call. All moments are seconds on the trace's clock."""

    call_id: str
    name: str
    called: float
    began: float | None = None
    """When LiveKit began to run it, if that was observed. Before, it plays the line in front."""
    ended: float | None = None
    """When it was done, if that was observed."""
    given: float | None = None
    """When LiveKit gave its output."""


class Answer(Struct, kw_only=True):
    """What the assistant said in one go."""

    first_audio: float
    played: float | None = None
    """When LiveKit's output began to play it, if that was observed."""
    timings: dict[str, float] | None = None
    """How long each part of its preparation took (ms), as Phonic says."""


class Turn(Struct, kw_only=True):
    """A turn of the caller's, until the caller speaks again."""

    step: int
    """At which it was over: Phonic said that the caller has finished, or with push-to-talk, the
    turn was committed."""
    endpoint: float
    """When that was (s)."""
    committed: bool = False
    """Whether it was committed."""
    silent: float | None = None
    """When the caller had stopped making any sound, by the levels of the caller's audio."""
    tools: list[ToolRun] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def begin(self) -> float:
        """From when on the caller waits."""
        return self.endpoint if self.silent is None else self.silent

    @property
    def ending(self) -> str:
        """What the silent caller waits for first, in words."""
        if self.committed:
            return "until the turn was committed"
        return "until Phonic noticed the end of the turn"

    @property
    def latency(self) -> float | None:
        """Until the first audio of an answer came; ``None`` without one."""
        return round(self.answers[0].first_audio - self.begin, 6) if self.answers else None


def begins_push_to_talk(line: Line) -> bool:
    """Whether the caller is heard from this step on, and was not before."""
    return line.event.get("type") != _COMMIT and _UNMUTE in _sent(line)


def ends_push_to_talk(line: Line) -> bool:
    """Whether the step commits the caller's turn, so that Phonic answers it."""
    return line.event.get("type") == _COMMIT and _MUTE in _sent(line)


def was_committed(line: Line) -> bool:
    """Whether the turn that begins with this step, as Phonic says, was committed before."""
    return any(effect.get("committed") is True for effect in line.effects)


def _sent(line: Line) -> Iterator[Any]:
    """The types of the messages that the step sends."""
    for effect in line.effects:
        message = effect.get("message")
        if isinstance(message, dict):
            yield message.get("type")


class TurnBuilder:
    """Takes the steps and gives the turns."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._spoken_from: list[float] = []
        """When the caller began each turn, as Phonic says."""
        self._turn: Turn | None = None
        """The one that is being answered."""
        self._began = 0.0
        self._answering = False
        """Whether audio that comes now belongs to an answer to it."""
        self._answer: Answer | None = None
        self._runs: dict[str, ToolRun] = {}
        """The tool calls that have no output yet."""
        self._levels = Levels()

    def take(self, line: Line) -> None:
        """Take a step, other than of audio that is only passed on."""
        event, kind, t = line.event, line.event.get("type"), line.t
        if kind == "user_started_speaking":
            self._begin(line)
        elif kind in NO_ANSWER_DUE:
            self._drop()
        elif kind == "user_finished_speaking" and line.effects:
            if self._turn is None or not self._turn.committed:
                self._end(Turn(step=line.seq, endpoint=t))
        elif kind == "assistant_started_speaking":
            self._answering = True
        elif kind == "caller_audio":
            self._levels.add(t, event)
        elif kind == "playback_started":
            if self._answer is not None and self._answer.played is None:
                self._answer.played = t
        elif ends_push_to_talk(line):
            if self._turn is not None and not self._turn.answers and not self._turn.tools:
                self._drop()  # Phonic had taken a pause for its end
            self._end(Turn(step=line.seq, endpoint=t, committed=True))
        elif begins_push_to_talk(line):
            self._turn, self._began = None, t
        else:
            self._take_tool(line, kind)
        for effect in line.effects:
            if effect.get("type") in GENERATION_OPENED:
                self._answering, self._answer = True, None
            elif effect.get("type") == "push_audio":
                self.take_audio(t)
        if self._answer is not None and event.get("timings"):
            self._answer.timings = event["timings"]

    def take_audio(self, t: float) -> None:
        """Audio of the assistant is passed on."""
        if self._answer is None and self._answering and self._turn is not None:
            self._answer = Answer(first_audio=t)
            self._turn.answers.append(self._answer)

    def turns(self) -> list[Turn]:
        """All turns so far."""
        for turn, began in zip(self._turns, self._spoken_from, strict=True):
            turn.silent = self._levels.last_sound(began - EARLIER, turn.endpoint)
        return self._turns

    def _begin(self, line: Line) -> None:
        """The caller begins to speak, as Phonic says. It may say so after the commit."""
        if not was_committed(line):
            self._turn, self._began = None, line.t

    def _end(self, turn: Turn) -> None:
        self._turn = turn
        self._turns.append(turn)
        self._spoken_from.append(min(self._began, turn.endpoint))
        self._answering, self._answer = False, None

    def _drop(self) -> None:
        if self._turn is not None and not self._turn.answers:
            self._turns.pop()
            self._spoken_from.pop()
        self._turn = None

    def _take_tool(self, line: Line, kind: Any) -> None:
        event = line.event
        if kind == "tool_call" and line.effects:
            call_id = str(event.get("tool_call_id"))
            run = ToolRun(call_id=call_id, name=str(event.get("tool_name")), called=line.t)
            self._runs[call_id] = run
            if self._turn is not None:
                self._turn.tools.append(run)
        elif kind in ("tool_started", "tool_ended"):
            run_of = self._runs.get(str(event.get("call_id")))
            if run_of is not None and kind == "tool_started":
                run_of.began = line.t
            elif run_of is not None:
                run_of.ended = line.t
        elif kind == "tool_call_interrupted":
            self._runs.pop(str(event.get("tool_call_id")), None)

    def given(self, call_id: str, t: float) -> ToolRun | None:
        """The output of a call is given: the call, if none was before."""
        run = self._runs.pop(call_id, None)
        if run is not None:
            run.given = t
        return run


class Levels:
    """How loud the caller was, from the seconds that are told of.

    A second that is not told of was flat, and like the one told of before it.
    """

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._seconds: list[list[int]] = []

    def add(self, t: float, event: dict[str, Any]) -> None:
        """Add the second that ends at ``t``."""
        levels = event.get("levels")
        if levels:
            self._ends.append(t)
            self._seconds.append(levels)

    def last_sound(self, begin: float, end: float) -> float | None:
        """When the last sound ended, between these times. ``None`` if the levels do not tell:
        there are none, or the sound went on."""
        parts = [part for part in self.between(begin, end) if part[1] <= end]
        heard = sorted(level for *_, level in parts if level > SOFTEST)
        loudest = heard[-1 - min(len(heard) // 10, THUMP)] if heard else SOFTEST
        speech = max(loudest - SPEECH_RANGE, SOFTEST)
        last = max((until for _, until, level in parts if level > speech), default=None)
        if last is None or not parts or last == parts[-1][1]:
            return None
        return round(last, 3)

    def noise(self, now: float) -> int:
        """The level (dBFS) that the caller's room is always at: a tenth of the call is no louder.
        Digital silence is no room."""
        lasted: dict[int, float] = {}
        for t, following, levels in self._with_following(now):
            if (softest := min(levels)) > SILENT:
                lasted[softest] = lasted.get(softest, 0.0) + max(following - t, 0.0) + 1
        rest = sum(lasted.values()) / 10
        for level in sorted(lasted):
            rest -= lasted[level]
            if rest <= 0:
                return level
        return SILENT

    def sounds(self, least: float, pause: float, now: float) -> list[list[float]]:
        """From when until when it was that loud (dBFS) or louder, where no pause is longer (s)."""
        sounds: list[list[float]] = [[-math.inf, -math.inf]]
        for t, following, levels in self._with_following(now):
            if max(levels) < least:
                continue
            share = 1 / max(len(levels), 10)
            for place, level in enumerate(levels):
                if level >= least:
                    start = t - 1 + place * share
                    if start - sounds[-1][1] > pause:
                        sounds.append([start, start + share])
                    else:
                        sounds[-1][1] = max(sounds[-1][1], start + share)
            if following > t and is_flat(levels) and t - sounds[-1][1] <= pause:
                sounds[-1][1] = following
        return sounds[1:]

    def _with_following(self, now: float) -> Iterator[tuple[float, float, list[int]]]:
        """Each second that is told of: its end, the beginning of the next one, and its levels."""
        following = [*(t - 1 for t in self._ends[1:]), now]
        return zip(self._ends, following, self._seconds, strict=False)

    def between(self, begin: float, end: float) -> Iterator[tuple[float, float, int]]:
        """From when, until when, and the level (dBFS)."""
        first = max(bisect_left(self._ends, begin) - 1, 0)
        for number in range(first, len(self._ends)):
            t, levels = self._ends[number], self._seconds[number]
            share = 1 / max(len(levels), 10)
            for place, level in enumerate(levels):
                start = t - 1 + place * share
                if start >= begin:
                    yield start, start + share, level
            if t >= end:
                return
            following = self._ends[number + 1] - 1 if number + 1 < len(self._ends) else end
            if following > t and is_flat(levels):
                yield t, min(following, end), max(levels)
