"""What went wrong, in the words that errors and the log use."""

from __future__ import annotations

from itertools import islice

from .._wire import server
from .._wire.codec import cut
from . import events, timers
from .context import Context, Reply
from .events import Event
from .guards import ABNORMAL_CLOSURE
from .states import State

LONGEST_QUOTE = 500
"""Characters of what Phonic says that an error or a line of the log repeats. The rest is cut."""

MOST_FIELDS = 20
"""The most fields of which an error repeats what Phonic says is wrong with them."""


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
    if isinstance(event, events.TakeOver):
        how = "has handed it over" if event.cause == "move" else "is gone"
        return (
            f"the process that had it {how}, and Phonic keeps a lost conversation for "
            f"{timers.GRACE:g} s only"
        )
    if isinstance(event, events.LeaseLost):
        if event.reason is not None:
            return f"{event.reason}, so another process is to go on with this call"
        return "another process goes on with this call"
    return "the assistant ended the conversation"


def quoted(text: str) -> str:
    """What Phonic says, cut to a length that fits into an error or a line of the log."""
    return cut(text, LONGEST_QUOTE)


def field_problems(event: server.Error) -> dict[str, str]:
    """What an error says is wrong with single fields, by their path."""
    problems = islice((event.param_errors or {}).items(), MOST_FIELDS)
    return {quoted(path): quoted(what) for path, what in problems}


def standstill(context: Context, reply: Reply) -> str:
    """How far the request for a reply has come, and what it waits for."""
    if reply.phase == "asked":
        return "was sent and the assistant has not begun"
    if reply.phase == "incomplete":
        return "waits for more of the text to say, which has not come to its end"
    given = {"update_instructions()": context.instructions, "update_tools()": context.tools}
    missing = " and ".join(call for call, value in given.items() if value is None)
    if missing:
        return f"waits for {missing}: Phonic gets its config once both have been called"
    return WAITS_FOR.get(context.state, "waits")


WAITS_FOR = {
    State.connecting: "waits for a connection",
    State.config_sent: "waits for Phonic to be ready",
    State.reconnecting: "waits for the lost connection to be replaced",
}


def complaint(event: server.Error) -> str:
    """All that Phonic says in an error, as one line."""
    said = quoted(event.error.message)
    details = "; ".join(f"{path}: {what}" for path, what in field_problems(event).items())
    return f"{said} ({quoted(details)})" if details else said
