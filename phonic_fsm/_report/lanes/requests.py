"""The replies that the agent asked for, and those that failed."""

from __future__ import annotations

import math

from phonic_fsm._core import events
from phonic_fsm._core.effects import RejectReply, ResolveReply, SupersedeReply
from phonic_fsm._core.events import name_of
from phonic_fsm.trace._format import Line

from ..severity import Severity
from .effects import warnings
from .span import Span
from .trouble import Trouble

_OVERDUE = name_of(events.ReplyOverdue)

_ENDS = frozenset(map(name_of, (ResolveReply, RejectReply, SupersedeReply)))
"""The effects that settle a request."""


class RequestLane:
    def __init__(self) -> None:
        self.requests: list[Span] = []
        self.failed: list[Trouble] = []
        self._open: dict[str, Span] = {}
        """Those that have not begun, by their ids."""

    def take(self, line: Line) -> None:
        event = line.event
        if event["type"] in ("generate_reply", "say"):
            request = Span(step=line.seq, start=line.t, end=math.inf)
            self._open[event["request_id"]] = request
            self.requests.append(request)
        elif event["type"] == "cancel_reply":
            self._settle(event["request_id"], line.t)
        elif event["type"] == _OVERDUE:
            self.failed += [Trouble.of(line, text, "error") for text in warnings(line)]
        for effect in line.effects:
            if effect["type"] in _ENDS:
                self._settle(effect["request_id"], line.t)
            if effect["type"] == "reject_reply":
                severity: Severity = "note" if effect["reason"] == "closed" else "error"
                self.failed.append(Trouble.of(line, effect["problem"], severity))

    def _settle(self, request_id: str, at: float) -> None:
        if (request := self._open.pop(request_id, None)) is not None:
            request.end = at
