"""When there was a connection, why there was none, and what of the caller's audio that cost.

A process that takes the call over from another one finds it without a connection, too.
"""

from __future__ import annotations

import math
from typing import Any

from msgspec import field, structs

from phonic_fsm._core import events
from phonic_fsm._core.events import name_of
from phonic_fsm._core.states import State
from phonic_fsm.trace._format import Line
from phonic_fsm.trace._lost_audio import OPEN_STATES, LostAudio

from .effects import effect_types
from .span import Span, ended

GONE = "was lost with the process that had the call"
MOVED = "was handed over to another process"
"""Why a connection was lost, where another process has taken the call over."""

_CONNECT_FAILED, _CONNECTION_CLOSED, _ANSWER_OVERDUE = map(
    name_of, (events.ConnectFailed, events.ConnectionClosed, events.AnswerOverdue)
)
_CONNECTING = (State.reconnecting.value, State.connecting.value)


class Link(Span, kw_only=True):
    """A stretch of the connection: ``connecting``, ``open`` or ``lost``."""

    kind: str
    attempts: list[float] = field(default_factory=list)
    """When a socket was asked for."""
    problems: list[str] = field(default_factory=list)
    """Why attempts failed."""
    cause: str = ""
    """Why it was lost."""
    restored: bool = False
    """Whether the conversation went on."""
    afresh: bool = False
    """It could not be resumed and goes on in a new one."""
    lost_audio: float = 0.0
    """Seconds of the caller's audio that never reached Phonic because of it."""


class ConnectionLane:
    def __init__(self) -> None:
        self.moves: list[Span] = []
        self.takeovers: list[Span] = []
        self._links: list[Link] = []
        self._lost_audio = LostAudio()

    def take(self, line: Line) -> None:
        self._lost_audio.take(line)
        links, effects = self._links, effect_types(line)
        if links and links[-1].kind != "open" and (problem := _why_not_connected(line)):
            links[-1].problems.append(problem)
        event = line.event["type"]
        if (
            event == "connection_closed"
            and line.target in _CONNECTING
            and links
            and links[-1].kind == "open"
        ):
            self._begin(line, "lost", at=line.t, cause=_why_closed(line.event))
        if "connect" in effects:
            if not links:
                self._begin(line, "connecting", at=line.t)
            links[-1].attempts.append(line.t)
            if links[-1].kind == "lost" and line.target == State.connecting.value:
                links[-1].afresh = True
        if line.source == line.target:
            return
        if line.target in OPEN_STATES:
            if links and links[-1].kind != "open":
                links[-1].restored = True
                self._begin(line, "open", at=line.t)
        elif line.target == State.closed.value:
            self._end(line.t)

    def take_audio(self, line: Line) -> None:
        """Take a step that tells of a second of the caller's audio."""
        self._lost_audio.take(line)

    def take_over(self, line: Line, gone: float) -> None:
        """Note that another process has the call, which nobody had since then (s)."""
        moved = line.event.get("cause") == "move"
        seams = self.moves if moved else self.takeovers
        seams.append(Span(step=line.seq, start=gone, end=line.t))
        if self._links and self._links[-1].kind == "open":
            self._begin(line, "lost", at=gone, cause=MOVED if moved else GONE)

    def links(self, now: float) -> list[Link]:
        lost = dict(zip(self._lost_audio.began, self._lost_audio.seconds, strict=True))
        return [
            structs.replace(link, lost_audio=lost[link.start])
            if link.kind == "lost" and link.start in lost
            else link
            for link in ended(self._links, now)
        ]

    @property
    def lost_audio_is_measured(self) -> bool:
        return self._lost_audio.is_measured

    def _begin(self, line: Line, kind: str, *, at: float, cause: str = "") -> None:
        self._end(at)
        self._links.append(Link(step=line.seq, start=at, end=math.inf, kind=kind, cause=cause))

    def _end(self, at: float) -> None:
        if self._links:
            self._links[-1].end = min(self._links[-1].end, at)


def _why_not_connected(line: Line) -> str:
    """Why an attempt to connect failed, if it did in this step."""
    event = line.event
    if event["type"] == _CONNECT_FAILED:
        return str(event["problem"])
    if event["type"] == _CONNECTION_CLOSED:
        return f"the connection {_why_closed(event)}"
    if event["type"] == _ANSWER_OVERDUE:
        return "Phonic did not say in time that it is ready"
    return ""


def _why_closed(event: dict[str, Any]) -> str:
    if event["code"] == 1006:
        return f"broke off ({event.get('reason') or 'no close frame'})"
    reason = f", “{event['reason']}”" if event.get("reason") else ""
    return f"was closed by Phonic (code {event['code']}{reason})"
