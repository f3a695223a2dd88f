"""The caller's speech and its transcript."""

from __future__ import annotations

from ..._wire import server
from .. import outgoing
from ..context import CallerTurn, Context
from ..effects import AddItem, CorrectMessage, EmitSpeechStarted, EmitTranscript
from ..events import Event
from ..guards import a_reset_is_due
from ..history import Message
from ..turns import (
    ask_if_possible,
    await_words,
    begin_caller_turn,
    drop_unclaimed,
    end_caller_speech,
    end_turn,
    note_life,
    nothing_was_said_since,
    place_of_words,
    place_words,
    take_out,
)


def start_speech(context: Context, event: Event) -> None:
    """Announce the caller's speech and close the open generation as interrupted."""
    _announce_speech(context)
    end_turn(context, interrupted=True)
    drop_unclaimed(context)
    if context.reply is not None:
        ask_if_possible(context)


def start_speech_over_assistant(context: Context, event: Event) -> None:
    """Announce the caller's speech. See if the assistant speaks on."""
    _announce_speech(context)
    await_words(context)


def _announce_speech(context: Context) -> None:
    context.leftover = "none"
    context.last_transcript_id = None
    if context.typed:
        _tell_typed(context)
    context.told_unasked = False
    if not context.caller_speaks:
        turns = context.caller_turns
        committed = bool(turns) and not turns[-1].announced
        if committed:
            turns[-1].announced = True
            turns[-1].after = place_of_words(context)
        else:
            begin_caller_turn(context)
        context.caller_speaks = True
        context.effects.append(EmitSpeechStarted(committed))


def _tell_typed(context: Context) -> None:
    """The caller is answered next. What was typed is told, unless a request will bring it."""
    reply = context.reply
    if reply is None or reply.request_id is None or reply.phase != "waiting":
        outgoing.tell_typed(context)


def stop_speech(context: Context, event: Event) -> None:
    """Announce the end of the caller's speech."""
    if context.typed:
        _tell_typed(context)
    if context.caller_turns and context.caller_speaks:
        context.caller_turns[-1].after = place_of_words(context)
    end_caller_speech(context)


def stop_speech_over_assistant(context: Context, event: Event) -> None:
    """Announce the end of the caller's speech. See if the assistant speaks on."""
    stop_speech(context, event)
    await_words(context)


def add_transcript(context: Context, event: server.InputText) -> None:
    """Announce the transcript, and put it into the chat context under the same id."""
    note_life(context)
    turn, is_last = _take_turn(context)
    item_id = context.next_id("PI_")
    message = Message(item_id, "user", event.text)
    place_words(context, message, None if turn is None or is_last else turn.after)
    context.last_transcript_id = item_id if is_last else None
    turns_ago = 0 if turn is None else turn.turns_since
    context.put(EmitTranscript(item_id, event.text, event.language, turns_ago), AddItem(message))
    if turn is not None and turn.forgotten and not a_reset_is_due(context):
        outgoing.tell_said(context, [message])


def find_no_words(context: Context, event: server.InputText) -> None:
    """Wait no longer for the turn's transcript: it holds no words."""
    _take_turn(context)


def _take_turn(context: Context) -> tuple[CallerTurn | None, bool]:
    """The turn whose transcript has come, which is awaited no more, and if all was said before it.

    Transcripts come in the order of their turns. But if the last turn is over and not answered yet,
    its transcript is in time, and earlier turns have none.
    """
    turns = context.caller_turns
    if not turns:
        return None, True
    is_last = nothing_was_said_since(context, turns[-1].after)
    if is_last and not context.caller_speaks:
        newest = turns[-1]
        turns.clear()
        return newest, True
    return turns.pop(0), is_last and not turns


def cancel_input(context: Context, event: server.InputCancelled) -> None:
    """End the caller's speech. If its transcript has come, replace it by a blank one."""
    end_caller_speech(context)
    item_id = context.last_transcript_id
    if item_id is None:
        del context.caller_turns[-1:]
    else:
        context.last_transcript_id = None
        take_out(context, item_id)
        context.put(EmitTranscript(item_id, ""), CorrectMessage(item_id, ""))
