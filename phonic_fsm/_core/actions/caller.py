"""The caller's speech and its transcript."""

from __future__ import annotations

from ..._wire import server
from ..context import Context
from ..effects import AddItem, CorrectMessage, EmitSpeechStarted, EmitTranscript
from ..events import Event
from ..history import Message
from ..turns import await_words, drop_unclaimed, end_caller_speech, end_turn


def start_speech(context: Context, event: Event) -> None:
    """Announce the caller's speech and close the open generation as interrupted."""
    _announce_speech(context)
    end_turn(context, interrupted=True)
    drop_unclaimed(context)


def start_speech_over_assistant(context: Context, event: Event) -> None:
    """Announce the caller's speech. See if the assistant speaks on."""
    _announce_speech(context)
    await_words(context)


def _announce_speech(context: Context) -> None:
    context.leftover = "none"
    context.last_transcript_id = None
    if not context.caller_speaks:
        context.caller_speaks = True
        context.put(EmitSpeechStarted())


def stop_speech(context: Context, event: Event) -> None:
    """Announce the end of the caller's speech."""
    end_caller_speech(context)


def stop_speech_over_assistant(context: Context, event: Event) -> None:
    """Announce the end of the caller's speech. See if the assistant speaks on."""
    end_caller_speech(context)
    await_words(context)


def add_transcript(context: Context, event: server.InputText) -> None:
    """Announce the transcript, and put it into the chat context under the same id."""
    context.drops = 0
    item_id = context.next_id("PI_")
    message = Message(item_id, "user", event.text)
    context.history.add(message)
    context.last_transcript_id = item_id
    context.put(EmitTranscript(item_id, event.text), AddItem(message))


def cancel_input(context: Context, event: server.InputCancelled) -> None:
    """End the caller's speech, and replace its transcript by a blank one."""
    end_caller_speech(context)
    item_id = context.last_transcript_id
    if item_id is not None:
        context.last_transcript_id = None
        context.history.remove(item_id)
        context.put(EmitTranscript(item_id, ""), CorrectMessage(item_id, ""))
