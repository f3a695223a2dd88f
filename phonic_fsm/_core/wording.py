"""What went wrong, in the words that errors and the log use."""

from __future__ import annotations

from .._wire import server
from . import events, timers
from .events import Event
from .guards import ABNORMAL_CLOSURE


def trouble(event: Event) -> str:
    """Why a connection was lost, or could not be opened."""
    if isinstance(event, events.ConnectFailed):
        return event.problem
    if isinstance(event, events.ConnectionClosed):
        if event.code == ABNORMAL_CLOSURE:
            what = event.reason or "no close frame"
            return f"the connection to Phonic broke off ({what})"
        reason = f": {event.reason}" if event.reason else ""
        return f"Phonic closed the connection (code {event.code}{reason})"
    if isinstance(event, events.AnswerOverdue):
        return "Phonic did not say in time that it is ready"
    if isinstance(event, events.GraceOver):
        return f"Phonic keeps a lost conversation for {timers.GRACE:g} s only"
    return "the assistant ended the conversation"


def complaint(event: server.Error) -> str:
    """All that Phonic says in an error, as one line."""
    details = "; ".join(f"{path}: {what}" for path, what in (event.param_errors or {}).items())
    return f"{event.error.message} ({details})" if details else event.error.message
