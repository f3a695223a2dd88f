"""Makes a trace's lines from steps: numbers them, measures levels, and takes secrets out.

Only the writer's thread uses this module.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec import Struct

from .._audio.formats import WIRE_FORMATS
from .._core.context import Settings
from .._core.events import Event
from .._core.machine import Step
from .._core.states import State
from .._runtime.secrets import Secrets
from .._version import __version__
from .._wire.config import DEFAULT_FORMAT
from .._wire.server import AudioChunk
from ._format import (
    LONGEST_LINE,
    NAME,
    VERSION,
    End,
    EndReason,
    Header,
    levels,
    recorded_effect,
    recorded_event,
)
from ._masking import Masking
from ._redaction import Redaction

_encode = msgspec.json.Encoder().encode

Place = Callable[[bytes], "float | None"]
"""Where a chunk's audio begins in a file beside the trace (s); ``None`` if there is no file."""


class _RecordedStep(Struct, frozen=True, rename={"source": "from", "target": "to"}):
    seq: int
    t: float
    event: object
    source: State
    target: State
    effects: list[object]


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
        return self._line(
            Header(
                trace=NAME,
                version=VERSION,
                package=__version__,
                started=started.isoformat(timespec="milliseconds"),
                settings=self._settings,
                redacted=self._redacted,
            )
        )

    def of(self, steps: list[tuple[float, Step]], place: Place = nowhere) -> list[bytes]:
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
        lines = [
            self._step(t, step, level, place(chunk) if chunk else None)
            for (t, step), level, chunk in zip(steps, found, audio, strict=True)
        ]
        if max(map(len, lines), default=0) > LONGEST_LINE:
            raise ValueError(f"a step has more than {LONGEST_LINE // 2**20} MiB")
        return lines

    def end(self, reason: EndReason) -> bytes:
        """The last line of a trace that ends before its session does."""
        return _encode(End(end=reason, seq=self.steps)) + b"\n"

    def _step(self, t: float, step: Step, level: float | None, at: float | None) -> bytes:
        self.steps += 1
        told = self._told(step)
        return self._line(
            _RecordedStep(
                self.steps,
                round(t, 6),
                recorded_event(told.event, level, at),
                told.source,
                told.target,
                [recorded_effect(effect) for effect in told.effects],
            )
        )

    def _line(self, line: Header | _RecordedStep) -> bytes:
        data = _encode(line)
        if self._secrets.are_in(data):
            data = _encode(self._secrets.out_of(line))
        return data + b"\n"

    def _samples(self, event: Event) -> bytes:
        """The event's audio, without a last sample that is not whole; empty for other events."""
        audio = (event.audio or b"") if isinstance(event, AudioChunk) else b""
        size = self._wire_format.sample_bytes
        return audio[: len(audio) // size * size]
