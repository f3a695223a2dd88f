"""Runs: steps in a row that each pass on a chunk of audio, or drop it, and do nothing else.

Nearly all of a call's steps are like this, so a run is one line of a trace::

    {"audio":"pushed","seq":200,"t":5.971804,"state":"speaking",
     "later_us":[0,20012,19981],"bytes":[960,960,960],"dbfs":[-16.4,-16.5,null],
     "words":[[0,"Good ",1.2,1.22],[2,"morning",1.24,1.26]]}

Runs are made here while a trace is written, and taken apart into steps here while it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub
from typing import Annotated, Any, Literal, Union

from msgspec import Meta, Struct

from .._core.effects import Effect, PushAudio, PushText
from .._core.machine import Step
from .._core.states import State
from .._wire.facts import Private
from .._wire.server import AudioChunk
from ._format import (
    LONGEST_AUDIO,
    LONGEST_CALL,
    Line,
)

MOST_STEPS = 1_000
"""The most steps of a run: 20 s of audio."""

Passing = Literal["pushed", "dropped"]

_LONGEST_US = int(LONGEST_CALL * 1e6)

_Microseconds = Annotated[int, Meta(ge=0, le=_LONGEST_US)]
_Bytes = Annotated[int, Meta(ge=0, le=LONGEST_AUDIO)]
_Length = Meta(min_length=1, max_length=MOST_STEPS)


class Words(Struct, frozen=True, array_like=True, gc=False):
    """What is spoken in one of a run's chunks. In JSON it is a list."""

    step: Annotated[int, Meta(ge=0, lt=MOST_STEPS)]
    """Which of the run's steps has it; 0 is the first."""
    text: Annotated[Private[str], Meta(min_length=1)]
    start: float
    """From when it is spoken, in seconds of the generation's audio."""
    end: float


class AudioRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Steps in a row that each pass on a chunk of audio with its text, or drop one without text,
    and do nothing else. The lists but for ``words`` have a value for each step."""

    audio: Passing
    """``pushed``: each step's effects are a ``push_text`` with the chunk's text, if it has any, and
    a ``push_audio`` with its audio. ``dropped``: no step has an effect."""
    seq: int
    """The number of the first step."""
    t: Annotated[float, Meta(ge=0, le=LONGEST_CALL)]
    """When it was taken (s)."""
    state: State
    """The state of the session, which the steps do not change."""
    later_us: Annotated[list[_Microseconds], _Length]
    """How much later each step was taken than the one before it (µs); 0 for the first."""
    bytes: Annotated[list[_Bytes], _Length]
    """Of each chunk's audio, in the session's wire format."""
    dbfs: Annotated[list[float | None], _Length]
    """The RMS level of each; ``None`` for digital silence."""
    words: list[Words] = []
    """What is spoken, in order. Chunks without text have none."""

    def __post_init__(self) -> None:
        if not len(self.later_us) == len(self.bytes) == len(self.dbfs):
            raise ValueError("`later_us`, `bytes` and `dbfs` have not one length")
        if self.later_us[0] != 0:
            raise ValueError("`later_us` does not begin with 0")
        if microseconds(self.t) + sum(self.later_us) > _LONGEST_US:
            raise ValueError("the run is too long")
        if self.words:
            steps = [words.step for words in self.words]
            if steps != sorted({*steps}) or steps[-1] >= len(self.bytes):
                raise ValueError("`words` are not of steps of the run, in order")
            if self.audio == "dropped":
                raise ValueError("`words` of chunks that are dropped")

    @property
    def last(self) -> int:
        """The number of the last step."""
        return self.seq + len(self.bytes) - 1

    def steps(self) -> Iterator[Line]:
        """The steps, each as the line that it would be alone."""
        state = self.state.value
        spoken = {words.step: words for words in self.words}
        each = zip(self.times(), self.bytes, self.dbfs, strict=True)
        for number, (t, length, level) in enumerate(each):
            audio = {"bytes": length} if level is None else {"bytes": length, "dbfs": level}
            event: dict[str, Any] = {"type": "audio_chunk", "audio": audio}
            effects: list[dict[str, Any]] = []
            if (words := spoken.get(number)) is not None:
                event["text"] = text = words.text
                effects.append(
                    {"type": "push_text", "text": text, "start": words.start, "end": words.end}
                )
            if self.audio == "pushed":
                effects.append({"type": "push_audio", "audio": {"bytes": length}})
            yield Line(
                seq=self.seq + number,
                t=t,
                event=event,
                source=state,
                target=state,
                effects=effects,
            )

    def texts(self) -> list[str]:
        """The text of each step's chunk, empty for one without."""
        texts = [""] * len(self.bytes)
        for words in self.words:
            texts[words.step] = words.text
        return texts

    def times(self) -> list[float]:
        """When each step was taken (s)."""
        began = microseconds(self.t)
        return [(began + later) / 1e6 for later in accumulate(self.later_us)]

    @property
    def until(self) -> float:
        """When the last step was taken (s)."""
        return (microseconds(self.t) + sum(self.later_us)) / 1e6


def microseconds(t: float) -> int:
    """A time (s), to the microsecond: as exact as the clock of a trace."""
    return round(t * 1e6)


class Passed(Struct, frozen=True, gc=False):
    """A step that can be part of a run, and its time: as little of it as its line needs.

    Many wait to be written. What is not kept of them is used again by the next ones, and what has
    no part in garbage collection does not cause one.
    """

    t: float
    """Seconds."""
    event: AudioChunk
    state: State
    pushed: bool
    text: PushText | None

    def step(self) -> Step:
        """The whole step."""
        effects: list[Effect] = [] if self.text is None else [self.text]
        if self.pushed:
            effects.append(PushAudio(self.event.audio or b""))
        return Step(self.event, self.state, self.state, effects)


Taken = Union[Passed, tuple[float, Step]]
"""A step that was taken, with its time (s)."""


def taken(t: float, step: Step) -> Taken:
    """What is kept of a step that was taken then (s), until it is written."""
    event, state, effects = step.event, step.source, step.effects
    if type(event) is not AudioChunk or event.timings or state is not step.target:
        return t, step
    if event.text == "":
        if not effects:
            return Passed(t, event, state, False, None)
        if len(effects) == 1 and type(effects[0]) is PushAudio:
            return Passed(t, event, state, True, None)
    elif len(effects) == 2:
        text, audio = effects
        if type(text) is PushText and text.text == event.text and type(audio) is PushAudio:
            return Passed(t, event, state, True, text)
    return t, step


def run_of(step: Taken) -> tuple[bool, State] | None:
    """What the steps of one run have in common; ``None`` if the step can be part of none."""
    return (step.pushed, step.state) if isinstance(step, Passed) else None


def runs(seq: int, steps: Sequence[Passed], levels: Sequence[float | None]) -> Iterator[AudioRun]:
    """The runs of these steps, which are all in one state and either passed on or dropped.

    ``seq`` is the number of the first, and ``levels`` are those of their audio (dBFS).
    """
    for first in range(0, len(steps), MOST_STEPS):
        these = steps[first : first + MOST_STEPS]
        times = [microseconds(step.t) for step in these]
        yield AudioRun(
            audio="pushed" if these[0].pushed else "dropped",
            seq=seq + first,
            t=times[0] / 1e6,
            state=these[0].state,
            later_us=[0, *map(sub, times[1:], times)],
            bytes=[len(step.event.audio or b"") for step in these],
            dbfs=[*levels[first : first + MOST_STEPS]],
            words=[
                Words(number, step.text.text, step.text.start, step.text.end)
                for number, step in enumerate(these)
                if step.text is not None
            ],
        )
