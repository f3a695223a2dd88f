"""The session's errors and warnings that no other lane shows."""

from __future__ import annotations

from msgspec import Struct

from phonic_fsm._core import events
from phonic_fsm._core.events import name_of
from phonic_fsm._core.states import State
from phonic_fsm._wire.server import ToolCallOutputProcessed
from phonic_fsm.trace._format import Line

from ..severity import Severity
from .effects import effect_types, warnings

_RESTART = name_of(events.Restart)

_SHOWN_ELSEWHERE = frozenset(
    map(
        name_of,
        (
            events.TurnOverdue,
            events.AudioNotTaken,
            events.ReplyOverdue,
            ToolCallOutputProcessed,
        ),
    )
)
"""The events whose warnings the lanes of answers, requests and tools show. The connection's lane
shows those of every step that connects."""


class Trouble(Struct, kw_only=True):
    step: int
    at: float
    text: str
    severity: Severity
    kind: str = ""
    """What kind of error it is, if it is one."""
    ended: bool = False
    """Whether the session ended with it."""

    @classmethod
    def of(cls, line: Line, text: str, severity: Severity) -> Trouble:
        return cls(step=line.seq, at=line.t, text=text, severity=severity)


class TroubleLane:
    def __init__(self) -> None:
        self.troubles: list[Trouble] = []

    def take(self, line: Line) -> None:
        for effect in line.effects:
            if effect["type"] == "emit_error":
                self._take_error(line, effect["kind"], effect["problem"], effect.get("recoverable"))
        event = line.event["type"]
        if event == _RESTART:
            self.troubles += [Trouble.of(line, text, "note") for text in warnings(line)]
        elif event not in _SHOWN_ELSEWHERE and "connect" not in effect_types(line):
            self.troubles += [Trouble.of(line, text, "warning") for text in warnings(line)]

    def _take_error(self, line: Line, kind: str, problem: str, recoverable: bool | None) -> None:
        ended = not recoverable and line.target == State.closed.value
        # The connection's lane has those that it recovers from.
        if ended or kind == "server_error":
            trouble = Trouble.of(line, problem, "error" if ended else "warning")
            trouble.kind, trouble.ended = kind, ended
            self.troubles.append(trouble)
