"""How a call ended, and who ended it.

The step that closes the session tells what the session knows. If its ``AgentSession`` was observed,
LiveKit's reason follows.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from phonic_fsm._core import events
from phonic_fsm._core.effects import ErrorKind
from phonic_fsm._core.events import name_of
from phonic_fsm._core.states import State
from phonic_fsm._wire.server import AssistantEndedConversation
from phonic_fsm.trace._format import Line

Author = Literal["code", "livekit", "phonic", "error", "unknown"]
"""Who ended a call: the agent's own code, LiveKit, Phonic, or an error. It is ``unknown`` where
``aclose()`` was called and the trace does not tell by whom."""

LIVEKITS_OWN = {
    "room disconnected": "the room was disconnected",
    "parent process shutdown": (
        "the worker ended it: it was stopped, or LiveKit's server told it to, as when a room is "
        "deleted"
    ),
}
"""The reasons for which LiveKit shuts a job down of its own accord, and what they mean
(livekit-agents 1.8.9)."""


class End(Struct, kw_only=True):
    by: Author
    reason: str
    """LiveKit's ``CloseReason``, the kind of the session's error, or another word as short. What
    LiveKit calls ``ROOM_DELETED`` and ``USER_REJECTED`` is here in lower case."""
    title: str
    sentence: str
    step: int
    at: float


_OBSERVED = frozenset(
    map(
        name_of,
        (
            events.AgentState,
            events.PlaybackStarted,
            events.PlaybackFinished,
            events.ToolStarted,
            events.ToolEnded,
        ),
    )
)
"""The events that only an observed ``AgentSession`` brings."""

_ERRORS: dict[ErrorKind, tuple[Author, str]] = {
    "connect_failed": ("error", "No connection to Phonic could be opened"),
    "connection_lost": ("error", "The connection to Phonic was lost for good"),
    "internal_error": ("error", "The session broke"),
    "superseded": ("code", "Another process took the call over"),
    "configuration_refused": ("phonic", "Phonic refused the configuration"),
    "server_error": ("phonic", "Phonic closed the connection after an error"),
    "conversation_ended": ("phonic", "Phonic ended the conversation"),
}

_CLOSED = State.closed.value
_GOODBYE = name_of(AssistantEndedConversation)
_ROOM_DELETED = "room_deleted"

_REASONS: dict[str, tuple[Author, str, str]] = {
    "user_initiated": (
        "code",
        "The agent's code ended the call",
        "It called aclose() or shutdown() of the AgentSession",
    ),
    "participant_disconnected": (
        "livekit",
        "The caller left",
        "LiveKit closed the AgentSession when the participant had left the room",
    ),
    "job_shutdown": (
        "livekit",
        "The job was shut down",
        "LiveKit closed the AgentSession at the end of its job",
    ),
    _ROOM_DELETED: (
        "livekit",
        "The room was deleted",
        "LiveKit closed the AgentSession when the room was no longer there",
    ),
    "user_rejected": (
        "livekit",
        "The call was declined",
        "LiveKit closed the AgentSession when the person called had declined, or was busy",
    ),
    "task_completed": ("code", "The agent's task was done", "LiveKit closed the AgentSession then"),
}


_LAST_WORDS = {
    name_of(events.Close): "The session was closed while its last words were played",
    name_of(events.Interrupt): (
        "Its last words were interrupted, as LiveKit does when the AgentSession is closed"
    ),
}
"""How the assistant's last words were cut off, by the event that did it."""


class EndBuilder(Struct):
    """Takes the steps and gives the end."""

    end: End | None = None
    """``None`` as long as the session is not closed."""
    observed: bool = False
    """Whether an ``AgentSession`` was observed."""
    _goodbye: bool = False
    _closed: dict[str, Any] = field(default_factory=dict)
    """The event ``agent_session_closed``, once it has come."""

    def take(self, line: Line) -> None:
        kind = line.event["type"]
        self.observed |= kind in _OBSERVED
        self._goodbye |= kind == _GOODBYE
        if line.target != _CLOSED:
            return
        if line.source != line.target:
            self.end = self._closing(line)
        elif self.end is not None and self.end.by == "unknown" and kind == "agent_session_closed":
            self._closed = line.event
            reason = _reason(line.event)
            self._tell(*_of_livekit(reason, line.event), reason=reason)
        elif self.end is not None and self.end.by == "unknown" and kind == "agent_changed":
            self._tell(
                "livekit",
                "The call went on with another agent",
                f"LiveKit handed it over to {line.event['agent']}, which has a session of its own",
                reason="handoff",
            )
        elif self._closed.get("reason") == "user_initiated" and kind == "job_shut_down":
            self._note_shutdown(line.event["reason"])

    def _closing(self, line: Line) -> End:
        end = End(by="unknown", reason="", title="", sentence="", step=line.seq, at=line.t)
        cut_off = _LAST_WORDS.get(line.event["type"])
        if line.source == State.last_words.value and cut_off is not None:
            return _told(
                end,
                "phonic",
                "The assistant ended the conversation",
                cut_off,
                reason="conversation_ended",
            )
        error = next((one for one in line.effects if one["type"] == "emit_error"), None)
        if error is not None:
            by, title = _ERRORS[error["kind"]]
            if self._goodbye and error["kind"] == "conversation_ended":
                title = "The assistant ended the conversation"
            problem = str(error["problem"]).rstrip(".")
            return _told(end, by, title, problem, reason=error["kind"])
        why = (
            "the AgentSession was observed and gave no reason: it went on, or was slow to close"
            if self.observed
            else "no AgentSession was observed, so the agent's code may have called it, or LiveKit"
        )
        sentence = f"Its aclose() was called; {why}"
        return _told(end, "unknown", "The session was closed", sentence, reason="aclose")

    def _note_shutdown(self, reason: str) -> None:
        """LiveKit closes a job's session first, as if the agent's code had asked for it."""
        assert self.end is not None
        left = self._closed.get("room_left")
        if _ROOM_DELETED.upper() in (left, self._closed.get("caller_left")):
            self._tell(*_REASONS[_ROOM_DELETED], reason=_ROOM_DELETED)
        elif reason in LIVEKITS_OWN and (left or reason != "room disconnected"):
            meaning = LIVEKITS_OWN[reason]
            why = f"{meaning} ({left})" if left else meaning
            self._tell("livekit", "The job was shut down", why, reason="job_shutdown")
        else:
            self.end.sentence += f" Then the job was shut down: {reason}."

    def _tell(self, by: Author, title: str, sentence: str, *, reason: str) -> None:
        assert self.end is not None
        self.end = _told(self.end, by, title, sentence, reason=reason)


def _told(end: End, by: Author, title: str, sentence: str, *, reason: str) -> End:
    whole = f"{sentence[:1].upper()}{sentence[1:]}."
    return End(by=by, reason=reason, title=title, sentence=whole, step=end.step, at=end.at)


def _reason(event: dict[str, Any]) -> str:
    """LiveKit's reason; or the participant's, in lower case, where that says more."""
    reason, left = str(event["reason"]), str(event.get("caller_left", "")).lower()
    return left if reason == "participant_disconnected" and left in _REASONS else reason


def _of_livekit(reason: str, event: dict[str, Any]) -> tuple[Author, str, str]:
    if reason == "error":
        return (
            "error",
            "An error ended the call",
            f"LiveKit closed the AgentSession: {event['error']}",
        )
    return _REASONS.get(reason, ("livekit", "LiveKit ended the call", reason))
