"""Runs: steps in a row that each pass on a chunk of audio, or drop it, and do nothing else.

Nearly all of a call's steps are like this, so a run is one line of a trace::

    {"audio":"pushed","seq":200,"t":5.971804,"state":"speaking",
     "later_us":[0,20012,19981],"bytes":[960,960,960],"dbfs":[-16.4,-16.5,null]}

Runs are made here while a trace is written, and taken apart into steps here while it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub
from typing import Annotated, Literal

from msgspec import Meta, Struct

from .._core.effects import PushAudio
from .._core.machine import Step
from .._core.states import State
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


class AudioRun(Struct, frozen=True, kw_only=True):
    """Steps in a row that each pass on a chunk of audio without text, or drop it, and do nothing
    else. The lists have a value for each step."""

    audio: Passing
    """``pushed``: each step's one effect is a ``push_audio`` with the chunk's audio. ``dropped``:
    no step has an effect."""
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

    def __post_init__(self) -> None:
        if not len(self.later_us) == len(self.bytes) == len(self.dbfs):
            raise ValueError("`later_us`, `bytes` and `dbfs` have not one length")
        if self.later_us[0] != 0:
            raise ValueError("`later_us` does not begin with 0")
        if microseconds(self.t) + sum(self.later_us) > _LONGEST_US:
            raise ValueError("the run is too long")

    @property
    def last(self) -> int:
        """The number of the last step."""
        return self.seq + len(self.bytes) - 1

    def steps(self) -> Iterator[Line]:
        """The steps, each as the line that it would be alone."""
        state = self.state.value
        each = zip(self.times(), self.bytes, self.dbfs, strict=True)
        for seq, (t, length, level) in enumerate(each, self.seq):
            audio = {"bytes": length} if level is None else {"bytes": length, "dbfs": level}
            pushed = {"type": "push_audio", "audio": {"bytes": length}}
            yield Line(
                seq=seq,
                t=t,
                event={"type": "audio_chunk", "audio": audio},
                source=state,
                target=state,
                effects=[pushed] if self.audio == "pushed" else [],
            )

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


Kind = tuple[Passing, State]
"""What the steps of a run have in common."""


def kind_of(step: Step) -> Kind | None:
    """The kind of run that the step can be part of; ``None`` if it does something else as well."""
    event, effects = step.event, step.effects
    if type(event) is not AudioChunk or event.text != "" or event.timings:
        return None
    if step.source is not step.target:
        return None
    if not effects:
        return "dropped", step.source
    if len(effects) == 1 and type(effects[0]) is PushAudio:
        return "pushed", step.source
    return None


Recorded = tuple[float, Step, "float | None"]
"""A step with its time (s) and the level of its audio (dBFS)."""


def runs(seq: int, kind: Kind, steps: Sequence[Recorded]) -> Iterator[AudioRun]:
    """The runs of steps of this kind; ``seq`` is the number of the first."""
    audio, state = kind
    times = [microseconds(t) for t, _, _ in steps]
    later = [0, *map(sub, times[1:], times)]
    lengths = [len(step.event.audio or b"") for _, step, _ in steps]  # type: ignore[union-attr]
    levels = [level for _, _, level in steps]
    for first in range(0, len(steps), MOST_STEPS):
        these = slice(first, first + MOST_STEPS)
        later[first] = 0
        yield AudioRun(
            audio=audio,
            seq=seq + first,
            t=times[first] / 1e6,
            state=state,
            later_us=later[these],
            bytes=lengths[these],
            dbfs=levels[these],
        )
