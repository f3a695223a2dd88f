"""Makes a trace's lines from steps: numbers them, measures levels, and takes secrets out.

Only the writer's thread uses this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from math import gcd

import msgspec
from msgspec import Struct

from .._audio.formats import WIRE_FORMATS
from .._core.context import Settings
from .._core.events import CallerAudio, RoundTrip
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
    recorded_effect,
    recorded_event,
)
from ._levels import levels
from ._masking import Masking
from ._redaction import Redaction
from ._runs import Passed, Taken, microseconds, run_of, runs, taken

_encode = msgspec.json.Encoder().encode_lines

_STEP_BYTES = 500
"""What a step takes beside its texts and its audio."""


CAN_WAIT = frozenset({AudioChunk, CallerAudio, RoundTrip})
"""The frequent events. Their lines may wait for the next look of the writer's thread."""


def size_of(step: Step) -> int:
    """About how many bytes a step takes until its line is written."""
    event = step.event
    if type(event) is AudioChunk and not event.timings:
        return _STEP_BYTES + len(event.audio or b"") + len(event.text or "")
    try:
        # Its effects tell what the event holds once or twice more; to encode them takes too long.
        return _STEP_BYTES + 3 * len(encode(event))
    except Exception:  # noqa: BLE001 - the writer will say what cannot be written
        return _STEP_BYTES


Place = Callable[[bytes], "float | None"]
"""Keeps a chunk's audio in a file beside the trace, and says where it begins there (s); ``None`` if
the file is full."""


class _RecordedStep(Struct, frozen=True, gc=False, rename={"source": "from", "target": "to"}):
    seq: int
    t: float
    event: object
    source: State
    target: State
    effects: object


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

    def of(self, steps: Sequence[Taken], place: Place | None = None) -> bytes:
        """The lines of steps, each with its time (s since the trace began).

        ``place`` is needed if audio is kept.

        Raises:
            ValueError: a line would be longer than a reader takes.
        """
        if not steps:
            return b""
        audio = self._audio(steps)
        levels: list[float | None] = [None] * len(steps)
        if any(audio):
            levels = self._levels(audio)
        if self._redaction is not None:
            redact = self._redaction.step
            steps = [taken(t, redact(step.event)) for t, step in map(_whole, steps)]
        if place is None:
            lines = self._with_runs(steps, levels)
        else:
            places = (place(samples) if samples else None for samples in audio)
            lines = [*map(self._line, map(_whole, steps), levels, places)]
        data = self._without_secrets(lines)
        if len(data) > LONGEST_LINE and max(map(len, data.split(b"\n"))) >= LONGEST_LINE:
            raise ValueError(f"a step has more than {LONGEST_LINE // 2**20} MiB")
        return data

    def end(self, reason: EndReason) -> bytes:
        """The last line of a trace that ends before its session does."""
        return _encode([End(end=reason, seq=self.steps)])

    def _with_runs(self, steps: Sequence[Taken], levels: list[float | None]) -> list[Struct]:
        lines: list[Struct] = []
        written = 0
        for _, group in groupby(steps, run_of):
            together = list(group)
            of_these = levels[written : (written := written + len(together))]
            passed = [step for step in together if isinstance(step, Passed)]
            if passed:
                lines += runs(self.steps + 1, passed, of_these)
                self.steps += len(passed)
            else:
                lines += map(self._line, map(_whole, together), of_these)
        return lines

    def _line(
        self, timed: tuple[float, Step], level: float | None, at: float | None = None
    ) -> _RecordedStep:
        """The line of one step, whose audio has this level (dBFS) and begins there (s) in its
        file."""
        t, step = timed
        self.steps += 1
        told = step if self._redaction is not None else self._masking.step(step)
        return _RecordedStep(
            self.steps,
            microseconds(t) / 1e6,
            recorded_event(told.event, level, at),
            told.source,
            told.target,
            [*map(recorded_effect, told.effects)],
        )

    def _without_secrets(self, lines: Sequence[Struct]) -> bytes:
        data = _encode(lines)
        # Looked for in all lines at once: for each alone, that would be a fifth of the work.
        if self._secrets.are_in(data):
            data = _encode([self._secrets.out_of(line) for line in lines])
        return data

    def _levels(self, audio: list[bytes]) -> list[float | None]:
        joined, decode = b"".join(audio), self._wire_format.decode
        size = self._wire_format.sample_bytes
        return levels(decode(joined) if decode else joined, [len(chunk) // size for chunk in audio])

    def _audio(self, steps: Sequence[Taken]) -> list[bytes]:
        """The audio of each step, without a last sample that is not whole; empty without any."""
        events = [step.event if isinstance(step, Passed) else step[1].event for step in steps]
        audio = [event.audio or b"" if type(event) is AudioChunk else b"" for event in events]
        size = self._wire_format.sample_bytes
        if gcd(*map(len, audio)) % size:
            audio = [chunk[: len(chunk) // size * size] for chunk in audio]
        return audio


def _whole(step: Taken) -> tuple[float, Step]:
    """A step with its time (s)."""
    return (step.t, step.step()) if isinstance(step, Passed) else step
