"""The assistant's turn, from the opening of its generation to its end."""

from __future__ import annotations

from ..._wire import server
from ..._wire.config import DEFAULT_FORMAT, SAMPLING
from ..._wire.facts import public_length
from .. import events, timers
from ..context import Context
from ..effects import (
    CorrectMessage,
    EmitDtmf,
    EmitTimings,
    Log,
    PushAudio,
    PushText,
    StartTimer,
)
from ..events import Event
from ..guards import (
    MAX_TURN_CHARACTERS,
    MAX_TURN_SECONDS,
    a_reply_was_asked_for,
    speech_may_overlap,
)
from ..turns import (
    announce_due,
    await_reply,
    await_words,
    end_turn,
    open_for_answer,
    take_out,
)


def open_generation(context: Context, event: Event) -> None:
    """Open a generation. If a reply was asked for, this is the reply."""
    open_for_answer(context)
    begin_answer(context, event)


def begin_answer(context: Context, event: Event) -> None:
    """Use the generation that is open already."""
    # From here on, an interruption concerns this turn.
    context.last_message_id = None
    context.last_transcript_id = None
    announce_due(context)
    assert context.generation is not None
    context.generation.phase = "begun"
    context.effects.append(StartTimer(timers.TURN_OVERDUE, context.settings.turn_timeout))


def push_chunk(context: Context, event: server.AudioChunk) -> None:
    """Pass on the chunk's text and audio."""
    generation = context.generation
    assert generation is not None
    if generation.phase in ("due", "awaited"):
        begin_answer(context, event)
    if event.timings:
        context.put(EmitTimings(event.timings))
    audio = event.audio
    start = end = generation.seconds
    if audio:
        rate, sample_bytes = SAMPLING[context.config.output_format or DEFAULT_FORMAT]
        end = start + len(audio) / sample_bytes / rate
        generation.seconds = end
        if generation.phase != "overlapped":
            generation.phase = "filled"
    if event.text:
        generation.text += event.text
        generation.length += public_length(event.text)
        generation.phase = "filled"
        context.effects.append(PushText(event.text, round(start, 3), round(end, 3)))
    if audio:
        context.effects.append(PushAudio(audio))


def cut_overlong_turn(context: Context, event: server.AudioChunk) -> None:
    """Close the generation as interrupted, with a warning. Drop what still comes of the turn."""
    context.put(
        Log(
            "warning",
            f"the assistant's turn is longer than {MAX_TURN_SECONDS:g} s, or has more than "
            f"{MAX_TURN_CHARACTERS} characters; it is cut off",
            "turn",
        )
    )
    discard_turn(context, event)


def refuse_chunk(context: Context, event: server.AudioChunk) -> None:
    """Drop the chunk, with a warning."""
    context.put(
        Log(
            "warning",
            f"Phonic sent a chunk of audio with more than {MAX_TURN_CHARACTERS} characters of "
            "text; it is dropped",
            "turn",
        )
    )


def await_more(context: Context, event: Event) -> None:
    """Wait until what has come can have been played, and for some seconds more."""
    generation = context.generation
    assert generation is not None
    if context.caller_speaks and speech_may_overlap(context, event):
        await_words(context)
        return
    unplayed = generation.seconds - generation.seconds_seen
    generation.seconds_seen = generation.seconds
    generation.phase = "quiet"
    context.put(StartTimer(timers.TURN_OVERDUE, round(unplayed + context.settings.turn_timeout, 3)))


def cut_stalled_turn(context: Context, event: events.TurnOverdue) -> None:
    """Close the generation as interrupted, with a warning: nothing more of it has come."""
    context.put(
        Log(
            "warning",
            "the assistant's answer has stalled: neither more of it nor its end came within "
            f"{context.settings.turn_timeout:g} s after it can have been played; it is closed",
        )
    )
    end_turn(context, interrupted=True)


def finish_turn(context: Context, event: Event) -> None:
    """Close the generation."""
    end_turn(context, interrupted=False)


def cut_off_turn(context: Context, event: Event) -> None:
    """Close the generation as interrupted."""
    end_turn(context, interrupted=True)


def discard_turn(context: Context, event: Event) -> None:
    """Close the generation as interrupted, and drop what still comes of the turn."""
    end_turn(context, interrupted=True)
    context.leftover = "interrupted"


def forget_leftover(context: Context, event: Event) -> None:
    """Note that nothing more comes of the turn that was cut off here.

    A reply that was asked for during that turn should begin soon now, or is asked for again.
    """
    if context.leftover == "interrupted" and a_reply_was_asked_for(context, event):
        await_reply(context, first=timers.SOON)
    context.leftover = "none"


def announce_digits(context: Context, event: server.Dtmf) -> None:
    """Announce the digits that the assistant dials."""
    context.put(EmitDtmf(event.digits))
    if event.timings:
        context.put(EmitTimings(event.timings))


def name_unheard_answer(context: Context, event: events.AudioNotTaken) -> None:
    """Warn that nobody hears the assistant."""
    context.put(
        Log("warning", f"nobody hears the assistant: {UNHEARD[event.reason].format(event)}")
    )


UNHEARD: dict[events.WhyNotTaken, str] = {
    "not_subscribed": "for {0.seconds:g} s no caller has subscribed to the agent's audio track",
    "given_up": "LiveKit no longer waits for the caller to subscribe to the agent's audio track, "
    "as something else that the agent said was interrupted before",
    "not_read": "for {0.seconds:g} s LiveKit has not read its audio",
}


def correct_interrupted(context: Context, event: server.InterruptedResponse) -> None:
    """Correct the last message to what was spoken of it, and mark it as interrupted."""
    message_id = context.last_message_id
    if message_id is not None:
        context.last_message_id = None
        if event.text.strip():
            context.history.correct(message_id, event.text)
        else:
            take_out(context, message_id)
        context.put(CorrectMessage(message_id, event.text))


def cut_off_and_correct(context: Context, event: server.InterruptedResponse) -> None:
    """Close the generation as interrupted, and correct its message to what was spoken of it."""
    end_turn(context, interrupted=True)
    correct_interrupted(context, event)
