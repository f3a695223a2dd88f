"""How long the things of a call took, each by the step with which it begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from .._core.states import State
from ._format import Line
from ._lost_audio import OPEN_STATES
from ._stats import answered_calls
from ._turns import ToolRun, TurnBuilder


class Duration(Struct, frozen=True):
    what: str
    seconds: float


def durations(lines: Iterable[Line]) -> dict[int, list[Duration]]:
    """By the number of the step with which they begin: tools, answers, outages, time to ready."""
    return _Durations().of(lines)


class _Durations:
    def __init__(self) -> None:
        self._found: dict[int, list[Duration]] = {}
        self._turns = TurnBuilder()
        self._calls: dict[str, int] = {}
        """Call id → the step of the call."""
        self._began: Line | None = None
        self._was_ready = False
        self._lost: Line | None = None

    def of(self, lines: Iterable[Line]) -> dict[int, list[Duration]]:
        for line in lines:
            self._take(line)
        for turn in self._turns.turns():
            if turn.silent is not None:
                until = turn.endpoint - turn.silent
                self._note(turn.step, turn.ending, until)
            if turn.latency is not None:
                self._note(turn.step, "until the first audio of the answer", turn.latency)
        return self._found

    def _take(self, line: Line) -> None:
        self._began = self._began or line
        self._turns.take(line)
        kind: Any = line.event.get("type")
        if kind == "tool_call":
            self._calls[str(line.event.get("tool_call_id"))] = line.seq
        elif kind == "update_chat_ctx":
            for call_id in answered_calls(line.event):
                run = self._turns.given(call_id, line.t)
                if run is not None and call_id in self._calls:
                    for duration in _of_tool(run, line.t):
                        self._note(self._calls[call_id], duration.what, duration.seconds)
        if line.source == line.target:
            return
        if line.target in OPEN_STATES and not self._was_ready:
            self._was_ready = True
            self._note(self._began.seq, "until the conversation was open", line.t - self._began.t)
        if line.source in OPEN_STATES and line.target == State.reconnecting.value:
            self._lost = line
        elif self._lost is not None and line.target in {*OPEN_STATES, State.closed.value}:
            self._note(self._lost.seq, "without a connection", line.t - self._lost.t)
            self._lost = None

    def _note(self, step: int, what: str, seconds: float) -> None:
        self._found.setdefault(step, []).append(Duration(what, round(seconds, 6)))


def _of_tool(run: ToolRun, given: float) -> Iterator[Duration]:
    if run.began is None:
        yield Duration(run.name, given - run.called)
    else:
        yield Duration(f"until LiveKit ran {run.name}", run.began - run.called)
        yield Duration(run.name, (run.ended or given) - run.began)
