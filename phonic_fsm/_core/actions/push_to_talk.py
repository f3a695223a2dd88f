"""Push-to-talk: LiveKit says when the caller's turn begins and ends."""

from __future__ import annotations

from ..._wire import client
from .. import events, outgoing, timers
from ..context import Context, Reply
from ..effects import Log, SetAudioGate
from ..events import Event
from ..states import State
from ..turns import announce_unclaimed, ask, await_claim, await_reply, is_owed_later


def unmute(context: Context, event: Event) -> None:
    """Have Phonic listen. The caller's audio that was kept is sent first."""
    outgoing.unmute(context)


def unmute_when_ready(context: Context, event: Event) -> None:
    """Keep more of the caller's audio, and have Phonic listen once the conversation is open."""
    context.microphone = "unmuted"
    resuming = context.state is State.reconnecting
    context.put((outgoing.gate_until_resumed if resuming else outgoing.gate_until_ready)(context))


def commit_audio(context: Context, event: events.CommitAudio) -> None:
    """Send the rest of the caller's audio, and have Phonic answer."""
    if context.reply is None:
        outgoing.tell_typed(context)
    if context.reply is None or (context.conversing and is_owed_later(context.reply)):
        context.reply = Reply(None, client.Mute())
        await_reply(context)
    if context.conversing:
        if isinstance(context.reply.message, client.Mute):
            context.reply.phase = "asked"
        outgoing.mute(context)


def drop_kept_audio(context: Context, event: events.ClearAudio) -> None:
    """Drop the caller's audio that was kept."""
    context.put(SetAudioGate("closed"), _gate(context))


def mute_answered(context: Context, event: events.CommitAudio) -> None:
    """Send silence from now on, and give LiveKit a moment to ask for the answer that has begun."""
    # Phonic ended the turn at a pause. Its mute would ask for a second answer.
    context.microphone = "muted"
    context.put(_gate(context))
    await_claim(context)


def claim_answer(context: Context, event: events.GenerateReply) -> None:
    """Announce the answer that has begun as the reply that LiveKit asks for."""
    announce_unclaimed(context, event.request_id)


def announce_answer(context: Context, event: Event) -> None:
    """Announce the answer, which LiveKit has not asked for."""
    announce_unclaimed(context)


def adopt_reply(context: Context, event: events.GenerateReply) -> None:
    """Take the answer that is due to the caller as the reply that LiveKit asks for."""
    reply = context.reply
    assert reply is not None
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


def _gate(context: Context) -> SetAudioGate:
    opened = outgoing.gate_when_open if context.conversing else outgoing.gate_until_resumed
    return opened(context)
