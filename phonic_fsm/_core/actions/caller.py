"""The caller's speech and its transcript."""

from __future__ import annotations

from ..._wire import server
from .. import outgoing
from ..context import Context
from ..effects import AddItem, CorrectMessage, EmitSpeechStarted, EmitTranscript
from ..events import Event
from ..history import Message
from ..turns import (
    ask_if_possible,
    await_words,
    drop_unclaimed,
    end_caller_speech,
    end_turn,
    note_life,
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
    if not context.caller_speaks:
        _mark_place(context)
        context.caller_speaks = True
        context.put(EmitSpeechStarted())


def _mark_place(context: Context) -> None:
    """Note behind which item the caller's words belong, whenever their transcript comes."""
    generation = context.generation
    last = context.history.last_id or ""
    # If the caller has spoken over it before, and those words are there, they come first.
    if generation is not None and generation.text and generation.after in (None, last):
        context.words_after = generation.response_id
    else:
        context.words_after = last


def _tell_typed(context: Context) -> None:
    """The caller is answered next. What was typed is told, unless a request will bring it."""
    reply = context.reply
    if reply is None or reply.request_id is None or reply.phase != "waiting":
        outgoing.tell_typed(context)


def stop_speech(context: Context, event: Event) -> None:
    """Announce the end of the caller's speech."""
    if context.typed:
        _tell_typed(context)
    if context.words_after is not None:
        _mark_place(context)
    end_caller_speech(context)


def stop_speech_over_assistant(context: Context, event: Event) -> None:
    """Announce the end of the caller's speech. See if the assistant speaks on."""
    stop_speech(context, event)
    await_words(context)


def add_transcript(context: Context, event: server.InputText) -> None:
    """Announce the transcript, and put it into the chat context under the same id."""
    note_life(context)
    item_id = context.next_id("PI_")
    message = Message(item_id, "user", event.text)
    context.history.place(context.words_after, message)
    context.words_after = None
    context.last_transcript_id = item_id
    context.put(EmitTranscript(item_id, event.text, event.language), AddItem(message))


def cancel_input(context: Context, event: server.InputCancelled) -> None:
    """End the caller's speech, and replace its transcript by a blank one."""
    end_caller_speech(context)
    context.words_after = None
    item_id = context.last_transcript_id
    if item_id is not None:
        context.last_transcript_id = None
        take_out(context, item_id)
        context.put(EmitTranscript(item_id, ""), CorrectMessage(item_id, ""))
