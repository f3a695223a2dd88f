"""One call that still goes on: it takes what has come of the trace, and says where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from phonic_fsm._core.states import State
from phonic_fsm._report.findings import Finding
from phonic_fsm._report.lanes import LaneBuilder
from phonic_fsm._report.rules import Rule, findings
from phonic_fsm._report.rules.ending import NotClosed
from phonic_fsm.trace._feeding import check
from phonic_fsm.trace._follow import GrowingTrace
from phonic_fsm.trace._replay import Replay
from phonic_fsm.trace._standing import Standing, StandingBuilder


def while_running(rules: Sequence[Rule]) -> Sequence[Rule]:
    """Those of the rules that hold for a call that goes on: it cannot lack its end."""
    return [rule for rule in rules if not isinstance(rule, NotClosed)]


class RunningCall:
    def __init__(self, trace: GrowingTrace) -> None:
        self.started = trace.header.started
        self.steps = 0
        self._trace = trace
        self._lanes = LaneBuilder(trace.header.settings)
        self._machine: Replay | None = Replay(trace)
        """``None`` from the first difference on: what the session remembers is not known then."""
        self._standing = StandingBuilder()
        self._state, self._since = State.connecting.value, 0.0

    def read_on(self) -> None:
        """Take what has come since.

        Raises:
            TraceError: it cannot be read.
        """
        for line in self._trace.more():
            if self._machine is not None:
                step = self._machine.take(line)
                if step.difference is not None:
                    self._machine = None
                else:
                    self._standing.take(line, self._machine.context)
            if self._machine is None:
                check(self._trace, line)
            if line.target != self._state:
                self._state, self._since = line.target, line.t
            self._lanes.take(line)
            self.steps = line.seq

    @property
    def has_end(self) -> bool:
        """Whether the session is closed, or the trace says that it ends before."""
        return self._state == State.closed.value or self._trace.end is not None

    @property
    def state(self) -> str:
        return self._state

    @property
    def seconds(self) -> float:
        """How far the session has come."""
        return self._lanes.seconds

    def standing(self) -> Standing:
        """Where the session stands; if the replay has diverged, not what it waits for."""
        if self._machine is not None:
            return self._standing.now()
        return Standing(self._state, "", self._since, callers_turn=False)

    def findings(self, rules: Sequence[Rule]) -> list[Finding]:
        """What stands out so far."""
        return findings(self._lanes.lanes(), rules)
