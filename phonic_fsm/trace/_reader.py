"""Reads a trace line by line, so that it need not fit into memory. ``.gz`` means gzip."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .._wire.codec import refuse_too_much
from ._format import (
    DEEPEST,
    LONGEST_LINE,
    MOST_VALUES,
    NAME,
    READABLE,
    End,
    Header,
    Line,
    PassedAudio,
)
from ._runs import AudioRun

_RUN = b'{"audio"'
_decode_line = msgspec.json.Decoder(Line).decode
_decode_run = msgspec.json.Decoder(AudioRun).decode
_AUDIO_CHUNK = b'"type":"audio_chunk"'
_decode_passed_audio = msgspec.json.Decoder(PassedAudio).decode

READ_BYTES = 1 << 16
"""The most bytes that are read, or unpacked, at a time: a file of gzip may hold a thousand times
its size."""

BRIEF = 1000
"""The most bytes of a line that is read as one of the frequent kinds right away. A longer one need
not be read fast, and might hold anything."""


class RawLine(NamedTuple):
    """A line as it stands in the file, and the steps that it holds."""

    fields: dict[str, Any]
    steps: list[Line]


class TraceError(ValueError):
    """A file that is not a readable trace: which line, and why."""

    __module__ = "phonic_fsm.trace"


class TraceCutOff(TraceError):
    """A trace whose last line is not whole. The steps before it have been given."""

    __module__ = "phonic_fsm.trace"


class TraceEmpty(TraceError):
    """A file without a single line. One that is being written will have its header soon."""

    __module__ = "phonic_fsm.trace"


class _Preface(msgspec.Struct):
    trace: str
    version: int


class TraceReader:
    """A trace. It reads the header at once, and each step when it is asked for."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Read the header.

        Raises:
            TraceError: there is no such file, or its first line is not a trace's header.
        """
        self.path = Path(path)
        self.end: End | None = None
        """The last line of a trace that ends before its session does, once it has been read."""
        first = next(self._lines(), None)
        if not first:
            raise TraceEmpty(f"{self.path}: the file is empty")
        try:
            preface = msgspec.json.decode(first, type=_Preface)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise TraceError(f"{self.path}: line 1 is not a trace's header: {error}") from error
        if preface.trace != NAME:
            raise TraceError(f"{self.path}: line 1: this is a trace of {preface.trace!r}")
        if preface.version not in READABLE:
            raise TraceError(
                f"{self.path}: line 1: trace version {preface.version} is not known here "
                f"(this package reads versions {READABLE[0]} to {READABLE[-1]})"
            )
        try:
            refuse_too_much(first, DEEPEST, MOST_VALUES)
            self.header = msgspec.json.decode(first, type=Header)
            self.raw_header: dict[str, Any] = msgspec.json.decode(first)
            """The header with the fields that this version does not know."""
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise TraceError(f"{self.path}: line 1 is not a trace's header: {error}") from error

    def __iter__(self) -> Iterator[Line]:
        """The steps.

        Raises:
            TraceError: a line cannot be read, is cut off, or is out of sequence.
        """
        return self._in_sequence(self._numbered())

    def condensed(self) -> Iterator[Line | PassedAudio | AudioRun]:
        """The steps, most of them in a form that takes less time. Raises what iteration raises."""
        taken = 0
        for number, text in self._numbered():
            brief = _brief_line(text) if len(text) < BRIEF else None
            if brief is not None and brief.seq == taken + 1:
                taken = _last_of(brief)
                yield brief
                continue
            line = self._line(number, text, taken)
            if isinstance(line, End):
                return
            taken = _last_of(line)
            yield line

    def raw(self) -> Iterator[RawLine]:
        """The lines with fields that this version does not know. Raises what iteration raises."""
        taken = 0
        for number, text in self._numbered():
            line = self._line(number, text, taken)
            if isinstance(line, End):
                return
            taken = _last_of(line)
            try:
                fields = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeError) as error:
                problem = f"{self.path}: line {number} cannot be kept whole: {error}"
                raise TraceError(problem) from error
            yield RawLine(fields, [*line.steps()] if isinstance(line, AudioRun) else [line])

    def _in_sequence(self, numbered: Iterable[tuple[int, bytes]], taken: int = 0) -> Iterator[Line]:
        """The steps of these lines. So many steps have been taken from those before."""
        for number, text in numbered:
            line = self._line(number, text, taken)
            if isinstance(line, End):
                return
            if isinstance(line, AudioRun):
                yield from line.steps()
            else:
                yield line
            taken = _last_of(line)

    def _line(self, number: int, text: bytes, taken: int) -> Line | AudioRun | End:
        if not text.endswith(b"\n"):
            raise TraceCutOff(
                f"{self.path}: line {number} is cut off ({taken} steps before it are whole)"
            )
        try:
            line = read_line(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            problem = f"{self.path}: line {number} is not a step: {error}"
            raise TraceError(problem) from error
        if isinstance(line, End):
            self.end = line
        elif line.seq != taken + 1:
            raise TraceError(
                f"{self.path}: line {number}: step {line.seq} stands where step {taken + 1} should"
            )
        return line

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        """The lines after the header, each with its number."""
        lines = self._lines()
        next(lines, None)
        return enumerate(lines, start=2)

    def _lines(self) -> Iterator[bytes]:
        if self.path.is_fifo() or self.path.is_socket():
            # It is read more than once, and a pipe would wait for a second writer.
            raise TraceError(f"{self.path}: this is no file, but a pipe or a socket")
        try:
            with (
                gzip.open(self.path) if self.path.suffix == ".gz" else self.path.open("rb") as file
            ):
                yield from _lines_of(file)
        except LineTooLong as error:
            raise self.too_long() from error
        except (OSError, zlib.error) as error:
            problem = getattr(error, "strerror", None) or error
            raise TraceError(f"{self.path}: {problem}") from error

    def too_long(self) -> TraceError:
        """What to raise for a line that is longer than a line may be."""
        return TraceError(f"{self.path}: a line has more than {LONGEST_LINE // 2**20} MiB")


def read_line(text: bytes) -> Line | AudioRun | End:
    """What a line after the header holds.

    Raises:
        msgspec.DecodeError: it holds none of these; the message has the path to the bad value.
        UnicodeError: it is no UTF-8.
        RecursionError: it is nested too deeply.
    """
    refuse_too_much(text, DEEPEST, MOST_VALUES)
    if text.startswith(_RUN):
        return _decode_run(text)
    try:
        return _decode_line(text)
    except msgspec.DecodeError as error:
        problem = error
    try:
        return msgspec.json.decode(text, type=End)
    except msgspec.DecodeError:
        raise problem from None


def _brief_line(text: bytes) -> AudioRun | PassedAudio | None:
    """A line of one of the two frequent kinds; ``None`` for others, and for what cannot be read."""
    try:
        if text.startswith(_RUN):
            return _decode_run(text) if text.endswith(b"\n") else None
        if _AUDIO_CHUNK in text and text.endswith(b"\n"):
            step = _decode_passed_audio(text)
            return step if step.source == step.target else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # it does something else as well, or cannot be read
    return None


def _last_of(line: Line | PassedAudio | AudioRun) -> int:
    """The number of its last step."""
    return line.last if isinstance(line, AudioRun) else line.seq


class LineTooLong(Exception):
    """A line has more than ``LONGEST_LINE`` bytes."""


class LineCutter:
    """Cuts what is read of a file into lines."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._size = 0

    def cut(self, data: bytes) -> Iterator[bytes]:
        """The lines that end in these bytes.

        Raises:
            LineTooLong: the line that is begun is too long.
        """
        first, *lines = data.split(b"\n")
        self._begun.append(first)
        self._size += len(first)
        if self._size > LONGEST_LINE:
            raise LineTooLong
        if lines:
            whole = b"".join(self._begun) + b"\n"
            self._begun, self._size = lines[-1:], len(lines[-1])
            yield whole
            for line in lines[:-1]:
                yield line + b"\n"

    @property
    def rest(self) -> bytes:
        """The line that is begun."""
        return b"".join(self._begun)


def _lines_of(file: gzip.GzipFile | BufferedReader) -> Iterator[bytes]:
    """The lines of a file. After a crash, a gzip file may lack its end."""
    cutter = LineCutter()
    try:
        while data := file.read1(READ_BYTES):
            yield from cutter.cut(data)
    except EOFError:
        # What came before is whole, and a line that is cut off has no line break.
        pass
    if rest := cutter.rest:
        yield rest
