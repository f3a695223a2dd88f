"""Makes a trace's lines from steps: numbers them, measures levels, and takes secrets out.

Only the writer's thread uses this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from .._audio.formats import WIRE_FORMATS
from .._core.context import Settings
from .._core.effects import PushAudio
from .._core.events import Event
from .._core.machine import Step
from .._core.states import State
from .._runtime.secrets import Secrets
from .._version import __version__
from .._wire.codec import encode
from .._wire.config import DEFAULT_FORMAT
from .._wire.server import AudioChunk
from ._format import (
    LONGEST_LINE,
    NAME,
    VERSION,
    AudioLength,
    End,
    EndReason,
    Header,
    RecordedAudioChunk,
    RecordedPushAudio,
    levels,
    recorded_effect,
    recorded_event,
)
from ._masking import Masking
from ._redaction import Redaction

_encode = msgspec.json.Encoder().encode_lines

_STEP_BYTES = 500
"""What a step takes beside its texts and its audio."""


def size_of(step: Step) -> int:
    """About how many bytes a step takes until its line is written."""
    event = step.event
    if isinstance(event, AudioChunk) and not event.timings:
        return _STEP_BYTES + len(event.audio or b"") + len(event.text or "")
    try:
        # Its effects tell what the event holds once or twice more; to encode them takes too long.
        return _STEP_BYTES + 3 * len(encode(event))
    except Exception:  # noqa: BLE001 - the writer will say what cannot be written
        return _STEP_BYTES


# Nearly all steps of a call pass a chunk of audio on, and nothing else. What they have in common is
# encoded once.


@lru_cache(maxsize=4096)
def chunk(length: int, level: float | None) -> Raw:
    """The event of a chunk without text."""
    return Raw(msgspec.json.encode(RecordedAudioChunk(AudioLength(length, level))))


@lru_cache(maxsize=64)
def pushed(length: int) -> Raw:
    """The effects of a step that passes on so many bytes of audio, and nothing else."""
    return Raw(msgspec.json.encode([RecordedPushAudio(AudioLength(length))]))


Place = Callable[[bytes], "float | None"]
"""Where a chunk's audio begins in a file beside the trace (s); ``None`` if there is no file."""


class _RecordedStep(Struct, frozen=True, gc=False, rename={"source": "from", "target": "to"}):
    seq: int
    t: float
    event: object
    source: State
    target: State
    effects: object


def nowhere(_: bytes) -> None:
    """The place of audio that is not kept."""


class StepLines:
    """The lines of one session."""

    def __init__(
        self, settings: Settings, secrets: Secrets, *, redact: bool = False, steps: int = 0
    ) -> None:
        """``steps`` have been written before."""
        self.steps = steps
        """How many have been written."""
        self._secrets = secrets
        self._wire_format = WIRE_FORMATS[settings.config.output_format or DEFAULT_FORMAT]
        self._redacted = redact
        self._told: Callable[[Step], Step]
        """Makes a copy of a step in which secrets are masked, or everything private is redacted."""
        if redact:
            redaction = Redaction(settings)
            self._settings = redaction.settings
            self._told = lambda step: redaction.step(step.event)
        else:
            masking = Masking(secrets)
            self._settings = masking.settings(settings)
            self._told = masking.step

    def header(self, started: datetime) -> bytes:
        """The first line; ``started`` is when the trace's clock began."""
        header = Header(
            trace=NAME,
            version=VERSION,
            package=__version__,
            started=started.isoformat(timespec="milliseconds"),
            settings=self._settings,
            redacted=self._redacted,
        )
        return self._without_secrets([header])

    def of(self, steps: list[tuple[float, Step]], place: Place = nowhere) -> bytes:
        """The lines of steps, each with its time (s since the trace began).

        Raises:
            ValueError: a line would be longer than a reader takes.
        """
        audio = [self._samples(step.event) for _, step in steps]
        found: list[float | None] = [None] * len(steps)
        if any(audio):
            joined, decode = b"".join(audio), self._wire_format.decode
            found = levels(
                decode(joined) if decode else joined,
                [len(chunk) // self._wire_format.sample_bytes for chunk in audio],
            )
        lines = self._without_secrets(
            [
                self._step(t, step, level, place(samples) if samples else None)
                for (t, step), level, samples in zip(steps, found, audio, strict=True)
            ]
        )
        if len(lines) > LONGEST_LINE and max(map(len, lines.split(b"\n"))) >= LONGEST_LINE:
            raise ValueError(f"a step has more than {LONGEST_LINE // 2**20} MiB")
        return lines

    def end(self, reason: EndReason) -> bytes:
        """The last line of a trace that ends before its session does."""
        return _encode([End(end=reason, seq=self.steps)])

    def _step(self, t: float, step: Step, level: float | None, at: float | None) -> _RecordedStep:
        self.steps += 1
        told = self._told(step)
        event, effects = told.event, told.effects
        return _RecordedStep(
            self.steps,
            round(t, 6),
            chunk(len(event.audio or b""), level)
            if type(event) is AudioChunk and at is None and event.text == "" and not event.timings
            else recorded_event(event, level, at),
            told.source,
            told.target,
            pushed(len(effects[0].audio))
            if len(effects) == 1 and type(effects[0]) is PushAudio
            else [recorded_effect(effect) for effect in effects],
        )

    def _without_secrets(self, lines: Sequence[Header | _RecordedStep]) -> bytes:
        data = _encode(lines)
        # Looked for in all lines at once: for each alone, that would be a fifth of the work.
        if self._secrets.are_in(data):
            data = _encode([self._secrets.out_of(line) for line in lines])
        return data

    def _samples(self, event: Event) -> bytes:
        """The event's audio, without a last sample that is not whole; empty for other events."""
        if type(event) is not AudioChunk or not event.audio:
            return b""
        rest = len(event.audio) % self._wire_format.sample_bytes
        return event.audio[:-rest] if rest else event.audio
