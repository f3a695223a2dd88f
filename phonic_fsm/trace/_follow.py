"""Reads a trace while it is being written, until the session is closed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .._core.states import State
from ._format import LONGEST_LINE, Line
from ._reader import TraceError, TraceReader

PAUSE = 0.05
"""Seconds between two looks at a file that has not grown."""


class FollowedTrace(TraceReader):
    """A trace that is still being written. Iteration waits until the next line is whole."""

    def __iter__(self) -> Iterator[Line]:
        """The steps, up to the one that closes the session.

        Raises:
            TraceError: a line cannot be read, or is out of sequence.
        """
        for line in super().__iter__():
            yield line
            if line.target == State.closed.value:
                return

    def _lines(self) -> Iterator[bytes]:
        if self.path.suffix == ".gz":
            raise TraceError(f"{self.path}: a compressed trace cannot be followed")
        begun = b""
        try:
            with self.path.open("rb") as file:
                while True:
                    begun += file.readline(LONGEST_LINE)
                    if len(begun) > LONGEST_LINE:
                        raise self.too_long()
                    if begun.endswith(b"\n"):
                        yield begun
                        begun = b""
                    else:
                        time.sleep(PAUSE)
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror or error}") from error
