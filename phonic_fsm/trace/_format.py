"""What each line of a trace holds. ``docs/trace-format.md`` describes it for users.

The first line is a header, every other line one step, or a run of steps that only pass audio on
(``runs``)::

    {"trace":"phonic-fsm","version":3,"package":"0.1.0","started":"…","settings":{…}}
    {"seq":1,"t":0.0012,"event":{"type":"open"},"from":"connecting","to":"connecting","effects":[…]}

``t`` is seconds since the recording began. Events and effects carry their fields as the core has
them, but audio stands as its length (and, in events, its level), never as samples. A trace that
ends before its session does says why in a last line, an ``End``.

What a trace must not hold is taken out before a line is made (``masking``, ``redaction``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from .._core.context import Settings
from .._core.effects import Effect, PushAudio, PushText
from .._core.events import EVENTS, Event
from .._core.machine import Step
from .._wire import codec
from .._wire.facts import Private
from .._wire.server import AudioChunk

VERSION = 3
"""Raised whenever a reader of the former version could misread a trace."""

READABLE = (1, 2, VERSION)
"""The versions that are read. In the first, each chunk of audio was a line of its own, and in the
second each with text."""

NAME = "phonic-fsm"

DEEPEST = 2 * codec.DEEPEST
"""The most levels that a line may be nested. It may hold a message, which has its own limit."""

MOST_VALUES = 1_000_000
"""The most values in a line. It may hold a message more than once, and all settings."""

LONGEST_LINE = 64 * 2**20
"""The most bytes of a line."""

LONGEST_AUDIO = 2**20
"""The most bytes of audio in one step, as in a message. A replay makes that much silence."""


LONGEST_CALL = 1e8
"""Seconds, three years: a later time was never on the clock of a session."""


class Header(Struct, frozen=True, kw_only=True):
    """The first line of a trace: what wrote it, when, and the session's settings."""

    trace: str
    version: int
    package: str
    """Version of this package."""
    started: str
    """ISO 8601, UTC."""
    settings: Settings
    redacted: bool = False
    """Whether placeholders stand for what was said and whatever else may be private."""


class Line(Struct, frozen=True, kw_only=True):
    """One step, with events and effects as plain JSON values."""

    seq: int
    t: Annotated[float, Meta(ge=0, le=LONGEST_CALL)]
    event: dict[str, Any]
    source: str = field(name="from")
    target: str = field(name="to")
    effects: list[dict[str, Any]]


EndReason = Literal["size_limit", "overrun", "cut_off"]


class End(Struct, frozen=True, kw_only=True):
    """The last line of a trace that ends before its session does."""

    end: EndReason
    """``size_limit``: the trace reached its largest size. ``overrun``: the disk could not keep up.
    ``cut_off``: the trace that was redacted is cut off here."""
    seq: int
    """The number of the last step."""


class AudioLength(Struct, frozen=True, omit_defaults=True, gc=False):
    """Stands for audio."""

    bytes: Annotated[int, Meta(ge=0, le=LONGEST_AUDIO)]
    """In the session's wire format."""
    dbfs: float | None = None
    """RMS level relative to full scale, rounded to 0.1 dB; ``None`` for digital silence."""
    at: float | None = None
    """Where it begins in the file with the assistant's audio (s), if there is such a file."""


class RecordedAudioChunk(
    Struct, frozen=True, tag="audio_chunk", tag_field="type", omit_defaults=True, gc=False
):
    audio: AudioLength
    text: Private[str | None] = ""
    timings: dict[str, float] | None = None


class RecordedPushAudio(Struct, frozen=True, tag="push_audio", tag_field="type", gc=False):
    audio: AudioLength


class PassedAudio(Struct, frozen=True, kw_only=True, gc=False):
    """A step that plays an audio chunk, or drops it, and does nothing else.

    Nearly all of a call's steps are like this. Read as a ``Line`` each takes twice the time.
    """

    seq: int
    t: Annotated[float, Meta(ge=0, le=LONGEST_CALL)]
    event: RecordedAudioChunk
    source: str = field(name="from")
    target: str = field(name="to")
    effects: list[PushText | RecordedPushAudio]


def same_in_json(one: Any, other: Any) -> bool:
    """Whether two values, neither of them an object or a list, are the same in JSON.

    In Python, 0 is equal to False.
    """
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def recorded_event(event: Event, level: float | None = None, at: float | None = None) -> object:
    """An event as a trace holds it; ``level`` (dBFS) and ``at`` (s) are those of its audio."""
    if isinstance(event, AudioChunk):
        length = AudioLength(len(event.audio or b""), level, at)
        return RecordedAudioChunk(length, event.text, event.timings)
    return event


def recorded_effect(effect: Effect) -> object:
    """An effect as a trace holds it."""
    if isinstance(effect, PushAudio):
        return RecordedPushAudio(AudioLength(len(effect.audio)))
    return effect


def recorded_effects(step: Step) -> list[dict[str, Any]]:
    """A step's effects as the plain JSON values that a trace holds."""
    effects: list[dict[str, Any]] = msgspec.to_builtins([*map(recorded_effect, step.effects)])
    return effects


def event_from(recorded: dict[str, Any]) -> Event:
    """The event that a line holds. Its audio is silence of the recorded length.

    Raises:
        msgspec.ValidationError: it is no event; the message has the path to the bad value.
    """
    if recorded.get("type") == "audio_chunk":
        length = msgspec.convert(recorded.get("audio"), AudioLength).bytes
        recorded = {**recorded, "audio": bytes(length)}
    # One type is found in a tenth of the time that the union of all takes.
    kind = EVENTS.get(str(recorded.get("type")), Event)
    event: Event = msgspec.convert(recorded, kind, builtin_types=(bytes,))
    return event
