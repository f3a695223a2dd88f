"""Where a trace's lines go: a file, a gzip file, or a function of the user's.

Only the writer's thread uses sinks, so they may wait for a disk.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import IO, Protocol

from ._lock import hold

Function = Callable[[str, bytes], None]
"""Gets the session's id, as in the header's settings, and one line, its line break included."""

GZIP_FLUSH_SECONDS = 1.0
"""Lines stay in the compressor for up to so many seconds, and a crash loses them. If each line were
flushed, the file would be twice as large."""

GZIP_FORMAT = 31
_LEVEL = 1
"""A higher level would take longer and save little: traces repeat themselves a lot."""


def lead_nowhere(file: FileIO | IO[bytes]) -> None:
    """Let an open file lead nowhere in this process. Others that have it open are not touched."""
    if not file.closed:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, file.fileno(), inheritable=False)
        os.close(nowhere)


class Sink(Protocol):
    size: int
    """The bytes that the trace takes so far."""

    def write(self, lines: bytes) -> None:
        """Write whole lines, perhaps none; called twice a second or more."""

    def flush(self) -> None:
        """Let a reader find what was written."""

    def close(self) -> None: ...

    def let_go(self) -> None:
        """Leave the file to the parent, in a forked child."""


def open_file(path: Path) -> Sink:
    """Open a new file; if its name ends in ``.gz``, a gzip file.

    Raises:
        FileExistsError: the file exists already.
        OSError: the file cannot be made.
    """
    return GzipSink(path) if path.suffix == ".gz" else FileSink(path)


class FileSink:
    """Lines are in the file once ``write`` returns: there is no buffer to lose."""

    def __init__(self, path: Path) -> None:
        self._file = FileIO(path, "xb")
        hold(self._file.fileno())
        self.size = 0

    def write(self, lines: bytes) -> None:
        if lines:
            self._put(lines)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()

    def let_go(self) -> None:
        lead_nowhere(self._file)

    def _put(self, data: bytes) -> None:
        status = os.fstat(self._file.fileno())
        if status.st_nlink == 0:
            raise OSError("another program has removed it")
        if status.st_size < self.size:
            raise OSError("another program has cut it off")
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest)
            self.size += written
            rest = rest[written:]


class GzipSink(FileSink):
    """A gzip file that can be read up to what was flushed last."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._compressor = zlib.compressobj(_LEVEL, wbits=GZIP_FORMAT)
        self._unflushed_since: float | None = None

    def write(self, lines: bytes) -> None:
        now = time.monotonic()
        if lines:
            self._put(self._compressor.compress(lines))
            self._unflushed_since = self._unflushed_since or now
        if self._unflushed_since and now - self._unflushed_since >= GZIP_FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._unflushed_since:
            self._put(self._compressor.flush(zlib.Z_SYNC_FLUSH))
            self._unflushed_since = None

    def close(self) -> None:
        try:
            self._put(self._compressor.flush())
        finally:
            super().close()


class FunctionSink:
    """Gives the lines of one session to a function."""

    def __init__(self, function: Function, session: str) -> None:
        self._function = function
        self._session = session
        self.size = 0

    def write(self, lines: bytes) -> None:
        for line in lines.splitlines(keepends=True):
            self._function(self._session, line)
            self.size += len(line)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def let_go(self) -> None:
        pass
