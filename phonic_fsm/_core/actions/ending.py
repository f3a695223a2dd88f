"""How a session ends, and how errors are told, including those that end nothing."""

from __future__ import annotations

from msgspec import structs

from ..._wire import server
from ..._wire.codec import MalformedMessage, UnknownMessage
from .. import events, timers
from ..context import Context
from ..effects import (
    Abandon,
    AskPlayback,
    Disconnect,
    EmitError,
    ErrorKind,
    Log,
    SetAudioGate,
    StartTimer,
    StopTimer,
)
from ..events import Event
from ..turns import (
    announce_unclaimed,
    drop_unclaimed,
    end_caller_speech,
    end_opening,
    end_reply,
    end_turn,
    note_amends,
)
from ..wording import complaint, field_problems, quoted, trouble


def close(context: Context, event: Event) -> None:
    """Close the generation, fail the pending reply, and close the connection."""
    _finish(context)


def fail_to_connect(context: Context, event: Event) -> None:
    """Close everything, and announce that no conversation could be opened."""
    _finish(context)
    kind: ErrorKind = "connection_lost" if context.continuing else "connect_failed"
    context.put(EmitError(kind, trouble(event)))


def announce_loss(context: Context, event: Event) -> None:
    """Close everything, and announce that the connection is lost."""
    _finish(context)
    context.put(EmitError("connection_lost", trouble(event)))


def announce_end(context: Context, event: Event) -> None:
    """Close everything, and announce that Phonic has ended the conversation."""
    _finish(context)
    context.put(EmitError("conversation_ended", context.why_over or trouble(event)))


def note_end(context: Context, event: Event) -> None:
    """Remember why the conversation is over, and fail the pending reply."""
    context.why_over = trouble(event)
    announce_unclaimed(context)
    end_caller_speech(context)
    end_opening(context)
    end_reply(context, "closed", "the conversation ended before the reply began")


def stop_connecting(context: Context, event: Event) -> None:
    """Wait no longer for the conversation to be opened, or to go on."""
    context.put(StopTimer(timers.ANSWER_OVERDUE), StopTimer(timers.GRACE_OVER))


def await_rest_of_turn(context: Context, event: Event) -> None:
    """Wait a moment for the rest of the open turn."""
    generation = context.generation
    if generation is not None and generation.phase == "filled":
        generation.phase = "quiet"
    context.put(StartTimer(timers.LAST_WORDS_OVER, timers.REST_OF_TURN))


def ask_playback(context: Context, event: Event) -> None:
    """Ask how long what the assistant has said is still played."""
    context.put(AskPlayback())


def let_last_words_be_heard(context: Context, event: events.PlaybackLeft) -> None:
    """Wait until the last words can have been heard."""
    context.put(StartTimer(timers.LAST_WORDS_OVER, event.seconds))


def let_calls_begin(context: Context, event: events.PlaybackLeft) -> None:
    """Give LiveKit a moment to begin what the assistant has called with its last words.

    Nobody waits for the outputs. LiveKit itself waits for a tool that runs before it closes.
    """
    context.calls.clear()
    context.put(StartTimer(timers.LAST_WORDS_OVER, timers.REST_OF_TURN))


def stop_listening(context: Context, event: Event) -> None:
    """Drop the caller's audio from now on: nobody hears it."""
    context.put(SetAudioGate("closed"))


def announce_break(context: Context, event: events.Break) -> None:
    """Close everything, and announce a fault of this package."""
    _finish(context)
    context.put(EmitError("internal_error", event.problem))


def announce_refusal(context: Context, event: server.Error) -> None:
    """Close everything, and announce why Phonic refuses the config."""
    _finish(context)
    context.put(_error(event, "configuration_refused"))


def announce_error(context: Context, event: server.Error) -> None:
    """Announce Phonic's error as recoverable. If it is not, Phonic closes the connection."""
    context.complaint = _error(event, "server_error", recoverable=True)
    context.put(context.complaint)


def announce_consequence(context: Context, event: events.ConnectionClosed) -> None:
    """Close everything, and announce that the connection is closed after an error of Phonic's."""
    error = context.complaint
    assert error is not None
    _finish(context)
    problem = f"{error.problem}; then {trouble(event)}"
    context.put(structs.replace(error, problem=problem, recoverable=False))


def log_refusal(context: Context, event: server.Error) -> None:
    """Log Phonic's error. What it refuses is said in another way."""
    note_amends(context, complaint(event))
    log_error(context, event)


def log_error(context: Context, event: server.Error) -> None:
    """Log Phonic's error. Whether the session goes on depends on the resume."""
    context.put(Log("warning", f"Phonic reports an error: {complaint(event)}"))


def log_warning(context: Context, event: server.Warning) -> None:
    """Log Phonic's warning."""
    code = f" ({event.warning.code})" if event.warning.code else ""
    context.put(Log("warning", f"Phonic warns: {quoted(event.warning.message)}{code}"))


def log_undecodable(context: Context, event: UnknownMessage | MalformedMessage) -> None:
    """Log that the message was not understood, and drop it."""
    if isinstance(event, MalformedMessage):
        name = event.message_type or "a frame"
        problem = f"Phonic sent {name} that cannot be read: {event.problem}"
        context.put(Log("warning", problem, event.bound))
    else:
        context.put(Log("debug", f"Phonic sent a message of unknown type {event.message_type!r}"))


def leave_to_successor(context: Context, event: events.LeaseLost) -> None:
    """Close everything but the conversation, and announce that another process goes on with it."""
    _finish(context, Abandon())
    context.put(EmitError("superseded", trouble(event)))


def _finish(context: Context, leave: Disconnect | Abandon = Disconnect()) -> None:  # noqa: B008
    end_turn(context, interrupted=True)
    drop_unclaimed(context)
    end_caller_speech(context)
    context.leftover = "none"
    end_opening(context)
    context.held.clear()
    context.changes.clear()
    context.calls.clear()
    end_reply(context, "closed", "the session was closed before the reply began")
    context.put(SetAudioGate("closed"), leave)


def _error(event: server.Error, kind: ErrorKind, *, recoverable: bool = False) -> EmitError:
    fields = field_problems(event)
    return EmitError(kind, complaint(event), recoverable, event.error.code, fields)
