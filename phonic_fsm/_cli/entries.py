"""What ``replay`` shows: single steps, and runs of steps that share a line.

An assistant that speaks makes 50 audio chunks a second. Steps in a row that only pass audio on
become one ``AudioRun``. Steps in a row that ``--only`` leaves out become one ``HiddenRun``. A step
that diverges is always shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Union

from msgspec import Struct

from phonic_fsm.trace._format import Line
from phonic_fsm.trace._kinds import KINDS, bytes_of, kinds_of, only_passes_audio, words_of
from phonic_fsm.trace._reader import TraceError
from phonic_fsm.trace._replay import ReplayedStep

from .failure import CommandFailed
from .following import Hang
from .text import printable

QUIET = 2.0
"""A pause without steps that is longer than this (s) gets a line."""


class AudioRun(Struct):
    """Audio chunks in a row, and nothing else."""

    seq: int
    """The number of the first step; ``t`` is its time (s)."""
    t: float
    end: float
    state: str
    played: bool = False
    """Whether the audio was passed on. Silence between turns is not, and neither is the rest of a
    turn that was interrupted."""
    chunks: int = 0
    bytes: int = 0
    text: str = ""

    def add(self, line: Line) -> None:
        self.chunks += 1
        self.played |= bool(line.effects)
        self.end = line.t
        self.bytes += bytes_of(line)
        self.text += words_of(line)


class HiddenRun(Struct):
    """Steps in a row that ``--only`` leaves out."""

    seq: int
    t: float
    end: float
    steps: int = 0


Entry = Union[ReplayedStep, AudioRun, HiddenRun, Hang]


def chosen_kinds(words: Iterable[str]) -> frozenset[str]:
    """The kinds that ``--only`` names, each word one or more of them with commas between.

    Raises:
        CommandFailed: there is no such kind.
    """
    names = [name.strip() for word in words for name in word.split(",")]
    for name in names:
        if name not in KINDS:
            raise CommandFailed(f"no kind {printable(name)!r}: there are {', '.join(KINDS)}")
    return frozenset(names)


def entries(
    steps: Iterable[ReplayedStep | Hang], *, only: frozenset[str], every_chunk: bool
) -> Iterator[Entry]:
    """The steps and runs to show.

    Args:
        only: the kinds of steps to show; if empty, all.
        every_chunk: whether each audio chunk is an entry of its own.

    Raises:
        TraceError: the trace cannot be read on; everything before has been given.
    """
    run: AudioRun | HiddenRun | None = None
    try:
        for step in steps:
            joined = None
            if isinstance(step, ReplayedStep) and step.difference is None:
                joined = _joined(run, step.line, only, every_chunk)
            if run is not None and joined is not run:
                yield run
            run = joined
            if run is None:
                yield step
    except TraceError:
        if run is not None:
            yield run
        raise
    if run is not None:
        yield run


def _joined(
    run: AudioRun | HiddenRun | None, line: Line, only: frozenset[str], every_chunk: bool
) -> AudioRun | HiddenRun | None:
    """The run that the step joins, or begins; ``None`` if the step is an entry of its own."""
    if only:
        if kinds_of(line) & only:
            return None
        if not isinstance(run, HiddenRun):
            run = HiddenRun(line.seq, line.t, line.t)
        run.steps += 1
        run.end = line.t
        return run
    if every_chunk or not only_passes_audio(line):
        return None
    if not isinstance(run, AudioRun) or run.state != line.source or line.t - run.end > QUIET:
        run = AudioRun(line.seq, line.t, line.t, line.source)
    run.add(line)
    return run


def last_seq(entry: Entry) -> int:
    """The number of the entry's last step."""
    if isinstance(entry, AudioRun):
        return entry.seq + entry.chunks - 1
    if isinstance(entry, HiddenRun):
        return entry.seq + entry.steps - 1
    return entry.seq if isinstance(entry, Hang) else entry.line.seq


def pause_between(former: Entry | None, entry: Entry) -> float:
    """Seconds from the end of one entry to the beginning of the next."""
    if former is None:
        return 0.0
    end = former.line.t if isinstance(former, ReplayedStep) else former.end
    begin = entry.line.t if isinstance(entry, ReplayedStep) else entry.t
    return begin - end
