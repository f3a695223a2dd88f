"""Writes one session's trace: gives the line of each step to the sink.

Only the writer's thread uses this module, so it may wait for a disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from .._audio.formats import WIRE_FORMATS
from .._core.context import Settings
from .._runtime.printable import printable
from .._runtime.secrets import Secrets
from .._wire.config import DEFAULT_FORMAT
from ._audio import SideAudio
from ._destination import Files, numbered
from ._format import EndReason
from ._lines import StepLines
from ._recording import Recording
from ._rotation import make_room
from ._runs import Taken
from ._sinks import FunctionSink, Sink, open_file

logger = logging.getLogger("phonic_fsm")


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
        self._sink: Sink | None = None
        self._audio: SideAudio | None = None
        self._lines = StepLines(settings, secrets, redact=recording.redact)

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
        self._sink.write(self._lines.header(self._started))

    def write(self, steps: list[Taken], caller: list[tuple[float, bytes]]) -> bool:
        """Write steps and audio of the caller, each with its time (s since the trace began).

        Returns whether there is room for more. Raises what the sink raises.
        """
        assert self._sink is not None
        if caller:
            until, sent = caller[-1][0], b"".join(audio for _, audio in caller)
            self._guarded(lambda audio: audio.caller(sent, until))
        place = self._place if self._audio is not None else None
        self._sink.write(self._lines.of(steps, place))
        if self._sink.size < self._recording.limits.trace_bytes:
            return True
        logger.warning("the trace %s ends here: it has reached its largest size", self.name)
        self.end("size_limit")
        return False

    def end(self, reason: EndReason) -> None:
        """Write the last line, which says why no more steps follow."""
        assert self._sink is not None
        self._sink.write(self._lines.end(reason))

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

    def _place(self, chunk: bytes) -> float | None:
        """Keep the audio of a chunk, if audio is kept; returns where it begins in its file (s)."""
        return self._guarded(lambda audio: audio.assistant(chunk))

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
