"""Connecting, losing the connection, resuming the conversation, and beginning a fresh one."""

from __future__ import annotations

from msgspec import UNSET, structs

from ..._wire import client, server
from .. import events, outgoing, timers
from ..context import Change, Context, Reply
from ..effects import (
    Connect,
    Disconnect,
    EmitConnected,
    EmitError,
    EmitReconnected,
    Log,
    Send,
    StartTimer,
    StopTimer,
)
from ..events import Event
from ..guards import a_reply_was_asked_for, a_welcome_may_come
from ..timers import pause, pause_for_room
from ..turns import (
    ask_if_possible,
    await_opening,
    await_reply,
    drop_unclaimed,
    end_caller_speech,
    end_opening,
    end_turn,
    repeat_calls,
    reply_waits,
)
from ..wording import trouble


def connect(context: Context, event: Event) -> None:
    """Open a connection."""
    context.put(Connect())


def resume(context: Context, event: Event) -> None:
    """Open a connection to resume the conversation."""
    context.put(Connect(resume=context.conversation_id))


def resume_at_once(context: Context, event: events.ConnectionClosed) -> None:
    """Open a connection to resume the conversation."""
    context.connection = "resumed"
    context.attempts = 0
    resume(context, event)


def resume_after_a_pause(context: Context, event: events.ConnectionClosed) -> None:
    """Resume the conversation after a pause. The attempt before has failed: it brought nothing."""
    context.attempts += 1
    context.put(StartTimer(timers.RETRY_DUE, pause(context, context.attempts, event)))


def leave_it_to_the_config(context: Context, event: Event) -> None:
    """Drop the messages that wait: the next attempt's config holds what they say."""
    context.held.clear()


def retry_later(context: Context, event: events.ConnectFailed | events.ConnectionClosed) -> None:
    """Announce a recoverable error, and try again after a pause."""
    context.attempts += 1
    seconds = pause(context, context.attempts, event)
    context.put(
        StopTimer(timers.ANSWER_OVERDUE),
        EmitError(
            "connect_failed",
            f"{trouble(event)}; {_next_attempt(context)} in {seconds:g} s",
            recoverable=True,
        ),
        StartTimer(timers.RETRY_DUE, seconds),
    )


def retry_at_once(context: Context, event: events.AnswerOverdue) -> None:
    """Announce a recoverable error, and try again. To wait for an answer was pause enough."""
    context.attempts += 1
    problem = f"{trouble(event)}; {_next_attempt(context)}"
    context.put(EmitError("connect_failed", problem, recoverable=True), Disconnect(), Connect())


def wait_for_room(context: Context, event: events.ConnectFailed) -> None:
    """Announce a recoverable error, and try again when Phonic may have room. It uses up no attempt
    of those that the model allows."""
    context.refusals += 1
    context.chance = event.chance
    seconds = pause_for_room(context, event.retry_after)
    context.put(
        EmitError(
            "connect_failed",
            f"{trouble(event)}; Phonic is busy, and is asked again in {seconds:g} s",
            recoverable=True,
        ),
        StartTimer(timers.RETRY_DUE, seconds),
    )


def await_answer(context: Context, event: Event) -> None:
    """Wait for the server to say that the conversation goes on."""
    context.put(StartTimer(timers.ANSWER_OVERDUE, context.settings.answer_timeout))


def become_ready(context: Context, event: Event) -> None:
    """Let messages and the caller's audio through. Those that waited go first."""
    context.attempts = context.refusals = 0
    context.put(StopTimer(timers.ANSWER_OVERDUE))
    _set_hearing(context)
    if a_welcome_may_come(context):
        await_opening(context)
    if context.continuing:
        context.continuing = False
        context.put(EmitReconnected())
    outgoing.release(context)
    ask_if_possible(context)
    repeat_calls(context)


def go_on(context: Context, event: Event) -> None:
    """Send the unacknowledged outputs again, then let messages and audio through."""
    context.refusals = 0
    context.complaint = None  # An error before the loss has ended nothing.
    context.put(
        StopTimer(timers.ANSWER_OVERDUE),
        StopTimer(timers.GRACE_OVER),
    )
    held = {m.tool_call_id for m in context.held if isinstance(m, client.ToolCallOutput)}
    for call_id, call in context.calls.items():
        if call.output and call.phase in ("answered", "repeated") and call_id not in held:
            call.phase = "repeated"
            context.put(Send(client.ToolCallOutput(call_id, call.output.output)))
    ends_turn_now = client.Mute() in context.held
    if context.push_to_talk:
        # Audio first: the caller's turn may have ended meanwhile.
        _set_hearing(context)
        outgoing.release(context)
    else:
        outgoing.release(context)
        context.put(outgoing.gate_when_open(context))
    context.put(EmitReconnected())
    if a_reply_was_asked_for(context, event):
        # If the caller's turn ends only now, the answer to it has its usual time.
        await_reply(context, first=None if ends_turn_now else timers.SOON)
    elif context.history.awaits_answer(context.typed) and context.connection != "taken_over":
        await_opening(context)
    ask_if_possible(context)


def hold_everything(context: Context, event: events.ConnectionClosed) -> None:
    """Close the open generation as interrupted. Keep messages, and the newest 2 s of audio."""
    if context.generation is not None:
        if context.reply is None and not context.caller_holds_the_button:
            # After a resume, Phonic may go on with this answer. If it does not, it is asked to.
            context.reply = Reply(None, client.GenerateReply(), "asked")
        end_turn(context, interrupted=True)
        drop_unclaimed(context)
    if reply_waits(context):
        await_reply(context)
    end_caller_speech(context)
    end_opening(context)
    for message in event.unsent:
        change = TOLD_BY.get(type(message))
        if change is not None:
            # It is told as it will be then: behind a newer change, the message would undo it.
            context.changes.add(change)
        else:
            context.held.append(message)
    context.put(
        outgoing.gate_until_resumed(context),
        EmitError("connection_lost", f"{trouble(event)}; resuming", recoverable=True),
        StartTimer(timers.GRACE_OVER, timers.GRACE),
    )


TOLD_BY: dict[type[client.ClientMessage], Change] = {
    client.UpdateSystemPrompt: "instructions",
    client.UpdateToolsSubset: "tools",
    client.Reset: "config",
}
"""What each of the messages tells that hold settings."""


def start_afresh(context: Context, event: Event) -> None:
    """Give up the lost conversation, and try once to begin a fresh one with the history."""
    context.connection = "begun_afresh"
    context.attempts = context.settings.max_retries
    problem = f"the conversation could not be resumed ({trouble(event)}); starting afresh"
    _begin_anew(context, problem)


def give_up_resuming(context: Context, event: events.ConnectionClosed) -> None:
    """Close the open generation as interrupted. Announce that the conversation begins afresh."""
    end_turn(context, interrupted=True)
    end_caller_speech(context)
    refused = f"{context.complaint.problem}; then " if context.complaint is not None else ""
    context.put(
        EmitError(
            "connection_lost", f"{refused}{trouble(event)}; starting afresh", recoverable=True
        )
    )


def restart(context: Context, event: events.Restart) -> None:
    """Give up the conversation, and begin a fresh one with the history."""
    end_turn(context, interrupted=True)
    end_caller_speech(context)
    context.connection = "proved"
    context.attempts = context.refusals = 0
    _begin_anew(context, "the conversation is restarted")


def name_overdue_state(context: Context, event: events.StateOverdue) -> None:
    """Log a warning that says what the session waits for."""
    awaited = []
    if pending := context.calls_in("pending"):
        calls = ", ".join(f"{call.name} ({call_id})" for call_id, call in pending.items())
        awaited.append(f"the output of {calls}")
    if context.reply is not None:
        awaited.append("a reply that was asked for")
    for_what = f"; awaited: {' and '.join(awaited)}" if awaited else ""
    context.put(
        Log(
            "warning",
            f"the session has been in {context.state.value} for {event.seconds:g} s{for_what}",
        )
    )


def report_connection(context: Context, event: events.ConnectionOpened) -> None:
    """Report how long connecting took."""
    context.put(EmitConnected(event.seconds))


def note_conversation(context: Context, event: server.ConversationCreated) -> None:
    """Remember the conversation's id, which a resume needs."""
    context.conversation_id = event.conversation_id
    context.put(Log("info", f"Phonic conversation {event.conversation_id}"))


def _next_attempt(context: Context) -> str:
    return f"attempt {context.attempts + 1} of {context.settings.max_retries + 1}"


def _begin_anew(context: Context, problem: str) -> None:
    """Drop what belongs to the old conversation, and open a connection for a fresh one."""
    drop_unclaimed(context)
    context.continuing = True
    context.complaint = None
    context.conversation_id = None
    context.leftover = "none"
    end_opening(context)
    context.caller_turns.clear()
    # The caller's turn may be over that the fresh conversation is to hear.
    goes_along = client.Mute() in context.held and context.microphone == "unmuted"
    context.held[:] = [client.Mute()] if goes_along else []
    context.calls.clear()
    if context.reply is not None:
        message = context.reply.message
        if isinstance(message, client.Mute) and context.reply.phase == "asked":
            # The caller's turn was heard by the old conversation; the history tells the fresh one.
            context.reply.message = client.GenerateReply()
            context.told_unasked = context.reply.request_id is None
        elif isinstance(message, client.GenerateReply):
            # The history tells what was typed, too.
            context.reply.message = structs.replace(message, user_message=UNSET)
        if context.reply.phase == "asked":
            context.reply.phase = "waiting"
    elif context.history.awaits_answer(context.typed) and not context.caller_holds_the_button:
        context.reply = Reply(None, client.GenerateReply())
    context.put(
        StopTimer(timers.RETRY_DUE),
        StopTimer(timers.ANSWER_OVERDUE),
        StopTimer(timers.GRACE_OVER),
        outgoing.gate_until_ready(context),
        Log("warning", problem),
        Disconnect(),
        # All calls that were cut off together give up together: they return apart.
        StartTimer(timers.RETRY_DUE, pause_for_room(context)) if context.refusals else Connect(),
    )
    if context.reply is not None:
        await_reply(context)


def _set_hearing(context: Context) -> None:
    """Let the caller's audio through, unless the microphone is muted."""
    if context.caller_holds_the_button:
        outgoing.unmute(context)
    else:
        context.put(outgoing.gate_when_open(context))
