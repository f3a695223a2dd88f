"""Writes a trace while the session runs: one write per step, straight to the file.

A trace ends at its last whole line, whatever happens to the process. Trouble with the file costs
the trace, never the call.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from ..core.context import Settings
from ..core.machine import Step
from ..runtime.audio_format import WIRE_FORMATS
from ..version import __version__
from ..wire.config import DEFAULT_FORMAT
from .format import NAME, VERSION, Header, masked, recorded_effect, recorded_event

logger = logging.getLogger("phonic_fsm")

_encode = msgspec.json.Encoder().encode


class _RecordedStep(Struct, frozen=True, rename={"source": "from", "target": "to"}):
    seq: int
    t: float
    event: object
    source: str
    target: str
    effects: list[object]


class TraceRecorder:
    """One session's trace. ``path`` says where it is."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Create the file and write the header.

        Raises:
            OSError: the file is there already, or cannot be made.
        """
        self.path = path
        self._file: FileIO | None = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by close
        self._steps = 0
        self._to_pcm = WIRE_FORMATS[settings.config.output_format or DEFAULT_FORMAT].decode
        self._began = time.monotonic()
        self._write(
            _encode(
                Header(
                    trace=NAME,
                    version=VERSION,
                    package=__version__,
                    started=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                    settings=structs.replace(settings, config=masked(settings.config)),
                )
            )
        )

    def record(self, step: Step) -> None:
        """Write one step. Never raises: at the first error the trace ends, with a warning."""
        if self._file is None:
            return
        self._steps += 1
        self._write(
            _encode(
                _RecordedStep(
                    self._steps,
                    round(time.monotonic() - self._began, 6),
                    recorded_event(step.event, self._to_pcm),
                    step.source.value,
                    step.target.value,
                    [recorded_effect(effect) for effect in step.effects],
                )
            )
        )

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            logger.warning("the trace %s ends here: %s", self.path, error)
            self.close()


def open_recorder(target: str | os.PathLike[str], settings: Settings) -> TraceRecorder | None:
    """Begin a session's trace, in a directory or at a path; an existing file is never touched.

    A target that is a directory, or ends in a slash, gets a file named by time and session. Any
    other is the file itself, with a number added where it is taken. Where no file can be made, a
    warning says so and nothing is recorded.
    """
    path = Path(target)
    if path.is_dir() or os.fspath(target).endswith(("/", os.sep)):
        name = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{settings.id_seed}"
        path = path / f"{name}.jsonl"
    first = path
    number = 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while path.exists():
            number += 1
            path = first.with_stem(f"{first.stem}-{number}")
        return TraceRecorder(path, settings)
    except OSError as error:
        logger.warning("no trace is recorded: %s", error)
        return None
