"""Writes one session's trace: makes a line of each step and gives it to the sink.

Only the writer's thread uses this module, so it may wait for a disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import msgspec
from msgspec import Struct

from .._audio.formats import WIRE_FORMATS
from .._core.context import Settings
from .._core.events import Event
from .._core.machine import Step
from .._core.states import State
from .._runtime.printable import printable
from .._runtime.secrets import Secrets
from .._version import __version__
from .._wire.config import DEFAULT_FORMAT
from .._wire.server import AudioChunk
from ._audio import SideAudio
from ._destination import Files, numbered
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
from ._recording import Recording
from ._redaction import Redaction
from ._rotation import make_room
from ._sinks import FunctionSink, Sink, open_file

logger = logging.getLogger("phonic_fsm")

_encode = msgspec.json.Encoder().encode


class _RecordedStep(Struct, frozen=True, rename={"source": "from", "target": "to"}):
    seq: int
    t: float
    event: object
    source: State
    target: State
    effects: list[object]


class TraceOutput:
    """One session's trace, while it is being written."""

    def __init__(
        self, recording: Recording, settings: Settings, secrets: Secrets, job: str, room: str
    ) -> None:
        """``job`` and ``room`` are for the file's name."""
        self.path: Path | None = None
        """The file's path, once the file is open."""
        self._call = (job, room)
        self._recording = recording
        self._settings = settings
        self._secrets = secrets
        self._started = datetime.now(timezone.utc)
        self._wire_format = WIRE_FORMATS[settings.config.output_format or DEFAULT_FORMAT]
        self._steps = 0
        self._sink: Sink | None = None
        self._audio: SideAudio | None = None
        self._told: Callable[[Step], Step]
        """Makes a copy of a step in which secrets are masked, or everything private is redacted."""

    @property
    def is_open(self) -> bool:
        return self._sink is not None

    @property
    def name(self) -> str:
        """What log messages call the trace."""
        return printable(str(self.path or f"of session {self._settings.id_seed}"))

    def open(self) -> None:
        """Make the file and write the header. An existing file is never overwritten.

        Raises:
            OSError: the file cannot be made.
        """
        limits, target = self._recording.limits, self._recording.destination
        session = self._settings.id_seed
        if not isinstance(target, Files):
            self._sink = FunctionSink(target, session)
        else:
            files = target.resolved()
            path = files.path(session, *self._call)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                make_room(path.parent, files.own_names(), limits)
            except OSError as error:
                logger.warning("old traces are not removed: %s", error)
            self.path, self._sink = _open_new(path)
            if self._recording.audio:
                self._audio = SideAudio(
                    self.path,
                    self._wire_format.sample_rate,
                    self._wire_format.decode,
                    limits.trace_bytes,
                )
        if self._recording.redact:
            redaction = Redaction(self._settings)
            settings = redaction.settings
            self._told = lambda step: redaction.step(step.event)
        else:
            masking = Masking(self._secrets)
            settings = masking.settings(self._settings)
            self._told = masking.step
        header = Header(
            trace=NAME,
            version=VERSION,
            package=__version__,
            started=self._started.isoformat(timespec="milliseconds"),
            settings=settings,
            redacted=self._recording.redact,
        )
        self._sink.write([self._encode(header)])

    def write(self, queued: list[tuple[float, Step | bytes]]) -> bool:
        """Write steps and audio of the caller, each with its time (s since the trace began).

        Returns whether there is room for more. Raises what the sink raises.
        """
        assert self._sink is not None
        steps = [(t, what) for t, what in queued if isinstance(what, Step)]
        caller = [(t, what) for t, what in queued if isinstance(what, bytes)]
        if caller:
            until, sent = caller[-1][0], b"".join(audio for _, audio in caller)
            self._guarded(lambda audio: audio.caller(sent, until))
        lines = self._lines(steps)
        if max(map(len, lines), default=0) > LONGEST_LINE:
            raise ValueError(f"a step has more than {LONGEST_LINE // 2**20} MiB")
        self._sink.write(lines)
        if self._sink.size < self._recording.limits.trace_bytes:
            return True
        logger.warning("the trace %s ends here: it has reached its largest size", self.name)
        self.end("size_limit")
        return False

    def end(self, reason: EndReason) -> None:
        """Write the last line, which says why no more steps follow."""
        assert self._sink is not None
        self._sink.write([_encode(End(end=reason, seq=self._steps)) + b"\n"])

    def linger(self) -> None:
        """Have all so far in the files, where a reader finds it. No more audio follows."""
        assert self._sink is not None
        self._guarded(SideAudio.close)
        self._audio = None
        self._sink.flush()

    def close(self) -> None:
        """Complete the files and close them. They are closed even if the sink raises an error."""
        sink, self._sink = self._sink, None
        self._guarded(SideAudio.close)
        self._audio = None
        if sink is not None:
            sink.close()

    def let_go(self) -> None:
        """Leave the files to the parent, in a forked child. Nothing is written to them here."""
        for part in (self._sink, self._audio):
            if part is not None:
                part.let_go()

    def abandon(self) -> None:
        """Close the files after a failure that has been reported."""
        with suppress(OSError):
            self.close()

    def _lines(self, steps: list[tuple[float, Step]]) -> list[bytes]:
        audio = [self._samples(step.event) for _, step in steps]
        if not any(audio):
            return [self._line(t, step) for t, step in steps]
        joined, decode = b"".join(audio), self._wire_format.decode
        found = levels(
            decode(joined) if decode else joined,
            [len(chunk) // self._wire_format.sample_bytes for chunk in audio],
        )
        return [self._line(t, step, level) for (t, step), level in zip(steps, found, strict=True)]

    def _line(self, t: float, step: Step, level: float | None = None) -> bytes:
        self._steps += 1
        at = None
        if self._audio is not None and (chunk := self._samples(step.event)):
            at = self._guarded(lambda audio: audio.assistant(chunk))
        told = self._told(step)
        line = _RecordedStep(
            self._steps,
            round(t, 6),
            recorded_event(told.event, level, at),
            told.source,
            told.target,
            [recorded_effect(effect) for effect in told.effects],
        )
        return self._encode(line)

    def _encode(self, line: Header | _RecordedStep) -> bytes:
        data = _encode(line)
        if self._secrets.are_in(data):
            data = _encode(self._secrets.out_of(line))
        return data + b"\n"

    def _samples(self, event: Event) -> bytes:
        """The event's audio, without a last sample that is not whole; empty for other events."""
        audio = (event.audio or b"") if isinstance(event, AudioChunk) else b""
        size = self._wire_format.sample_bytes
        return audio[: len(audio) // size * size]

    def _guarded(self, work: Callable[[SideAudio], float | None]) -> float | None:
        """Work with the audio files. If that fails, the audio ends, and the trace goes on."""
        if self._audio is None:
            return None
        try:
            return work(self._audio)
        except OSError as error:
            logger.warning("the audio of trace %s ends here: %s", self.name, error)
            self._audio = None
            return None


def _open_new(path: Path) -> tuple[Path, Sink]:
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no file; a function can take the trace elsewhere")
    number = 1
    while True:
        free = numbered(path, number)
        try:
            return free, open_file(free)
        except FileExistsError:
            number += 1
