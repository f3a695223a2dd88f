"""Makes a trace's lines from steps: numbers them, measures levels, and takes secrets out.

Only the writer's thread uses this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from .._wire.codec import encode
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
from ._runs import Gathering, passing

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
        self._redaction = Redaction(settings) if redact else None
        self._masking = Masking(secrets)
        redaction = self._redaction
        self._settings = redaction.settings if redaction else self._masking.settings(settings)

    def header(self, started: datetime) -> bytes:
        """The first line; ``started`` is when the trace's clock began."""
        header = Header(
            trace=NAME,
            version=VERSION,
            package=__version__,
            started=started.isoformat(timespec="milliseconds"),
            settings=self._settings,
            redacted=self._redaction is not None,
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
        gathering = Gathering()
        for (t, step), level, samples in zip(steps, found, audio, strict=True):
            at = place(samples) if samples else None
            self._add(gathering, t, step, level, at)
        lines = self._without_secrets(gathering.lines)
        if len(lines) > LONGEST_LINE and max(map(len, lines.split(b"\n"))) >= LONGEST_LINE:
            raise ValueError(f"a step has more than {LONGEST_LINE // 2**20} MiB")
        return lines

    def end(self, reason: EndReason) -> bytes:
        """The last line of a trace that ends before its session does."""
        return _encode([End(end=reason, seq=self.steps)])

    def _add(
        self, gathering: Gathering, t: float, step: Step, level: float | None, at: float | None
    ) -> None:
        self.steps += 1
        told = step if self._redaction is None else self._redaction.step(step.event)
        if at is None and (audio := passing(told)) is not None:
            gathering.add_chunk(self.steps, t, told, audio, level)
            return
        if self._redaction is None:
            told = self._masking.step(step)
        gathering.add(
            _RecordedStep(
                self.steps,
                round(t, 6),
                recorded_event(told.event, level, at),
                told.source,
                told.target,
                [*map(recorded_effect, told.effects)],
            )
        )

    def _without_secrets(self, lines: Sequence[Struct]) -> bytes:
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
