"""Follows a session that still runs: its steps as they come, and when it hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator

from msgspec import Struct

from phonic_fsm.trace._follow import GrowingTrace, follow
from phonic_fsm.trace._reader import TraceError
from phonic_fsm.trace._replay import Replay, ReplayedStep
from phonic_fsm.trace._standing import Standing, StandingBuilder

LONG = 3.0
"""If nothing comes for so many seconds of what a session waits for, it hangs."""

LONG_TO_SPEAK = 10.0
"""The same, on the caller's turn."""


class Hang(Struct):
    """A session that has waited for long. It is told when it begins, and each time that it has
    lasted twice as long."""

    seq: int
    """The number of the last step; ``t`` is how far the session has come (s)."""
    t: float
    end: float
    standing: Standing
    is_written: bool
    """Whether a process still writes the trace."""

    @property
    def seconds(self) -> float:
        """How long it has waited so far."""
        return self.t - self.standing.since


def steps_and_hangs(trace: GrowingTrace) -> Iterator[ReplayedStep | Hang]:
    """The replayed steps, to the one that closes the session or to the first difference.

    Raises:
        TraceError: the trace cannot be read.
    """
    machine, standing = Replay(trace), StandingBuilder()
    seq, t, told = 0, 0.0, 0.0
    for line in follow(trace):
        if line is not None:
            step = machine.take(line)
            yield step
            if step.difference is not None:
                return
            standing.take(line, machine.context)
            seq, t = line.seq, line.t
            continue
        stands = standing.now()
        now = t + _untouched_for(trace)
        waited = now - stands.since
        if waited < told:  # something has come
            told = 0.0
        is_long = waited >= (LONG_TO_SPEAK if stands.callers_turn else LONG)
        if stands.waits_for and is_long and waited >= 2 * told:
            told = waited
            yield Hang(seq, now, now, stands, trace.is_written)


def _untouched_for(trace: GrowingTrace) -> float:
    try:
        return max(0.0, time.time() - trace.path.stat().st_mtime)
    except OSError as error:
        raise TraceError(f"{trace.path}: {error.strerror or error}") from error
