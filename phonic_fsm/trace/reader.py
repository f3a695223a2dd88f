"""Reads a trace line by line, without holding it in memory."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import msgspec

from .format import NAME, VERSION, Header, Line


class TraceError(ValueError):
    """A file that is not a readable trace: which line, and why."""


class _Preface(msgspec.Struct):
    trace: str
    version: int


class TraceReader:
    """A trace: its header at once, its steps as one asks for them."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Open the trace and read the header.

        Raises:
            TraceError: there is no such file, or it does not begin as a trace.
        """
        self.path = Path(path)
        first = next(self._lines(), None)
        if not first:
            raise TraceError(f"{self.path}: the file is empty")
        try:
            preface = msgspec.json.decode(first, type=_Preface)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise TraceError(f"{self.path}: line 1 is not a trace's header: {error}") from error
        if preface.trace != NAME:
            raise TraceError(f"{self.path}: line 1: this is a trace of {preface.trace!r}")
        if preface.version != VERSION:
            raise TraceError(
                f"{self.path}: line 1: trace version {preface.version} is not known here "
                f"(this package reads version {VERSION})"
            )
        try:
            self.header = msgspec.json.decode(first, type=Header)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise TraceError(f"{self.path}: line 1 is not a trace's header: {error}") from error

    def __iter__(self) -> Iterator[Line]:
        """The steps.

        Raises:
            TraceError: a line cannot be read, is cut off, or is out of sequence.
        """
        lines = self._lines()
        next(lines, None)
        for number, text in enumerate(lines, start=2):
            line = self._line(number, text)
            if line.seq != number - 1:
                raise TraceError(
                    f"{self.path}: line {number}: step {line.seq} stands where "
                    f"step {number - 1} should"
                )
            yield line

    def _line(self, number: int, text: bytes) -> Line:
        if not text.endswith(b"\n"):
            raise TraceError(
                f"{self.path}: line {number} is cut off ({number - 2} steps before it are whole)"
            )
        try:
            return msgspec.json.decode(text, type=Line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise TraceError(f"{self.path}: line {number} is not a step: {error}") from error

    def _lines(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                yield from file
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror or error}") from error
