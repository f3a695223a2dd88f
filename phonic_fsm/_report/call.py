"""Goes through a recorded call to its end, also where the replay diverges."""

from __future__ import annotations

from collections.abc import Iterator

from phonic_fsm.trace._explain import Explanation
from phonic_fsm.trace._feeding import check
from phonic_fsm.trace._format import Line
from phonic_fsm.trace._reader import TraceError, TraceReader
from phonic_fsm.trace._replay import ReplayedStep, replay


class Call:
    """The steps of a call. Iterate once; ``last`` and ``problem`` say afterwards how it went."""

    def __init__(self, reader: TraceReader) -> None:
        self._reader = reader
        self.last: ReplayedStep | None = None
        """The last step that the machine took. If the replay diverged, it holds the difference."""
        self.problem: TraceError | None = None
        """Why the rest of the trace cannot be read."""

    def __iter__(self) -> Iterator[tuple[Line, Explanation | None]]:
        """The steps. After a difference they are those of the recording, without an explanation."""
        try:
            for step in replay(self._reader, explain=True):
                self.last = step
                if step.difference is None:
                    yield step.line, step.explanation
            if self.last is not None and self.last.difference is not None:
                yield from self._recorded(self.last)
        except TraceError as error:
            self.problem = error

    def _recorded(self, differing: ReplayedStep) -> Iterator[tuple[Line, Explanation | None]]:
        """The recorded steps from the difference on. The machine has not checked them."""
        for line in self._reader:
            if line.seq < differing.line.seq:
                continue
            check(self._reader, line)
            yield line, differing.explanation if line.seq == differing.line.seq else None
