"""Push-to-talk: LiveKit says when the caller's turn begins and ends."""

from __future__ import annotations

from ..._wire import client
from .. import events, outgoing, timers
from ..context import Context, Reply
from ..effects import Log, SetAudioGate, StopTimer, SupersedeReply
from ..events import Event
from ..turns import (
    announce_unclaimed,
    ask,
    await_claim,
    await_reply,
    begin_caller_turn,
    is_owed_later,
    only_answers,
    show_given_answer,
)


def unmute(context: Context, event: Event) -> None:
    """Have Phonic listen. The caller's audio that was kept is sent first."""
    outgoing.unmute(context)


def unmute_when_ready(context: Context, event: Event) -> None:
    """Keep more of the caller's audio, and have Phonic listen once the conversation is open.

    If the turn before is still to be ended, it goes on, and another reply will be the answer to it.
    """
    context.microphone = "unmuted"
    context.told_unasked = False
    if client.Mute() in context.held:
        context.held.remove(client.Mute())
        reply = context.reply
        if reply is not None and only_answers(reply):
            context.reply = None
            context.put(StopTimer(timers.REPLY_OVERDUE))
            if reply.request_id is not None:
                context.put(SupersedeReply(reply.request_id))
    context.put(outgoing.gate(context))


def commit_audio(context: Context, event: events.CommitAudio) -> None:
    """Send the rest of the caller's audio, and have Phonic answer."""
    context.told_unasked = False
    if not context.caller_turns and context.last_transcript_id is None:
        begin_caller_turn(context, announced=False)
    if context.reply is None:
        outgoing.tell_typed(context)
    if context.reply is None or (context.conversing and is_owed_later(context.reply)):
        context.reply = Reply(None, client.Mute())
        await_reply(context)
    elif context.conversing and context.reply.phase == "asked":
        # Phonic gives one answer, to this.
        context.reply.message = client.Mute()
        await_reply(context)
    ends_turn = isinstance(context.reply.message, client.Mute)
    if context.conversing:
        if ends_turn:
            context.reply.phase = "asked"
        outgoing.mute(context)
    elif not ends_turn:
        outgoing.mute_when_ready(context)


def drop_kept_audio(context: Context, event: events.ClearAudio) -> None:
    """Drop the caller's audio that was kept."""
    context.put(SetAudioGate("closed"), outgoing.gate(context))


def mute_answered(context: Context, event: events.CommitAudio) -> None:
    """Send silence from now on, and give LiveKit a moment to ask for the answer that has begun."""
    # Phonic ended the turn at a pause. Its mute would ask for a second answer.
    context.microphone = "muted"
    context.put(outgoing.gate(context))
    await_claim(context)


def claim_answer(context: Context, event: events.GenerateReply) -> None:
    """Announce the answer that has begun as the reply that LiveKit asks for."""
    announce_unclaimed(context, event.request_id)


def announce_answer(context: Context, event: Event) -> None:
    """Announce the answer, which LiveKit has not asked for."""
    reply = context.reply
    # What was asked for meanwhile is something else.
    nothing_else = reply is None or reply.request_id is None
    context.told_unasked = context.unclaimed is not None and nothing_else
    announce_unclaimed(context)


def claim_given_answer(context: Context, event: events.GenerateReply) -> None:
    """Open and close a generation as the reply that LiveKit asks for: it has the answer already."""
    show_given_answer(context, event.request_id)


def claim_this_answer(context: Context, event: events.GenerateReply) -> None:
    """Once the answer that is being given has ended, open and close a generation as this reply."""
    context.reply = Reply(event.request_id, client.GenerateReply())


def adopt_reply(context: Context, event: events.GenerateReply) -> None:
    """Take the answer that is due to the caller as the reply that LiveKit asks for."""
    reply = context.reply
    assert reply is not None
    context.told_unasked = False
    reply.request_id = event.request_id
    if reply.phase == "waiting":
        ask(context, reply)
    else:
        # After a resume, it is not known whether Phonic goes on with its answer by itself.
        await_reply(context, first=None if context.connection == "proved" else timers.SOON)


def warn_of_turn_detection(context: Context, event: events.CommitAudio) -> None:
    """Warn that Phonic itself decides when the caller's turn ends."""
    context.put(
        Log(
            "warning",
            "commit_audio: Phonic detects the caller's turns itself; with "
            'turn_detection="manual", or push_to_talk=True, it waits for this call',
        )
    )
