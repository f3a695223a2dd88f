"""What one sees of a replay: its steps, with what would drown the others drawn together.

An assistant that speaks makes 50 audio chunks a second. Steps that only pass audio on become one
``AudioRun``; steps that nobody asked for become one ``HiddenRun``. A step that diverges is always
shown.
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
from .text import printable

QUIET = 2.0
"""Seconds without a step that are worth a word."""


class AudioRun(Struct):
    """Audio chunks in a row, and nothing else."""

    seq: int
    """Of the first one, as ``t`` is its time."""
    t: float
    end: float
    state: str
    played: bool = False
    """They were passed on: silence between turns is not, nor is a discarded turn."""
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
    """Steps in a row that are of no chosen kind."""

    seq: int
    t: float
    end: float
    steps: int = 0


Entry = Union[ReplayedStep, AudioRun, HiddenRun]


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
    steps: Iterable[ReplayedStep], *, only: frozenset[str], every_chunk: bool
) -> Iterator[Entry]:
    """The steps as they are to be shown; without ``only``, all of them.

    Raises:
        TraceError: as the steps do; what stood before is out by then.
    """
    run: AudioRun | HiddenRun | None = None
    try:
        for step in steps:
            joined = None if step.difference else _joined(run, step.line, only, every_chunk)
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
    """The run that the step belongs to, the present one or a new one, if it is not to be shown."""
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
    return entry.line.seq


def pause_between(former: Entry | None, entry: Entry) -> float:
    """Seconds from the end of one entry to the beginning of the next."""
    if former is None:
        return 0.0
    end = former.line.t if isinstance(former, ReplayedStep) else former.end
    begin = entry.line.t if isinstance(entry, ReplayedStep) else entry.t
    return begin - end
