"""Reads a trace while it is being written."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from .._core.states import State
from ._format import Line
from ._lock import is_held
from ._reader import READ_BYTES, LineCutter, LineTooLong, TraceEmpty, TraceError, TraceReader
from ._sinks import GZIP_FORMAT

PAUSE = 0.05
"""Seconds between two looks at a file that has not grown."""


class GrowingTrace(TraceReader):
    """A trace that is still being written. It is read up to its last line that is whole."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Read the header.

        Raises:
            TraceError: there is no such file, or its first line is not a trace's header.
        """
        self._tail = _Tail(Path(path))
        self._number = self._taken = 0
        """How many lines have been read, and how many steps."""
        super().__init__(path)

    def more(self) -> Iterator[Line]:
        """The steps that have come since this was last iterated to its end. It never waits.

        Raises:
            TraceError: a line cannot be read, or is out of sequence.
        """
        for line in self._in_sequence(self._new_lines(), self._taken):
            self._taken = line.seq
            yield line

    @property
    def is_written(self) -> bool:
        """Whether a process still writes it.

        Raises:
            TraceError: the file is gone.
        """
        try:
            return is_held(self.path)
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror or error}") from error

    def _new_lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            for text in self._tail.lines():
                self._number += 1
                if self._number > 1:
                    yield self._number, text
        except LineTooLong as error:
            raise self.too_long() from error
        except (OSError, zlib.error) as error:
            raise TraceError(f"{self.path}: {getattr(error, 'strerror', None) or error}") from error

    def _lines(self) -> Iterator[bytes]:
        return (line for line in super()._lines() if line.endswith(b"\n"))


class _Tail:
    """The lines of a file that have not been read yet. A line that is not whole waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._cutter = LineCutter()
        self._inflate = zlib.decompressobj(GZIP_FORMAT) if path.suffix == ".gz" else None

    def lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(self._at)
            while data := file.read(READ_BYTES):
                self._at += len(data)
                for part in self._unpacked(data):
                    yield from self._cutter.cut(part)

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            yield data
            return
        is_full = False
        while data or is_full:
            if self._inflate.eof:
                # Another member of the file follows, or zeros that fill it up.
                data = data.lstrip(b"\0")
                self._inflate = zlib.decompressobj(GZIP_FORMAT)
            part = self._inflate.decompress(data, READ_BYTES)
            yield part
            is_full = len(part) == READ_BYTES
            data = self._inflate.unconsumed_tail or self._inflate.unused_data


def followed(path: Path) -> GrowingTrace:
    """The trace, once its header has been written.

    Raises:
        TraceError: there is no such file, or its first line is not a trace's header.
    """
    while True:
        try:
            return GrowingTrace(path)
        except TraceEmpty:
            time.sleep(PAUSE)


def follow(trace: GrowingTrace) -> Iterator[Line | None]:
    """The steps as they come, until the session is closed and no process writes of it any more;
    ``None`` at each moment when nothing has come.

    Raises:
        TraceError: a line cannot be read, or is out of sequence.
    """
    closed = False
    while True:
        # This is asked first: what was written before the end is in the file by now.
        is_over = trace.end is not None or (closed and not trace.is_written)
        for line in trace.more():
            closed = line.target == State.closed.value
            yield line
        if is_over:
            return
        yield None
        time.sleep(PAUSE)
