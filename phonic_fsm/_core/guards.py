"""The questions that the table asks before it takes a row. They look; they never change anything.

Each takes the context and the event. A row whose guard says no leaves the event to the next row.
"""

from __future__ import annotations

from msgspec import UNSET

from .._wire.server import AudioChunk, Error, ToolCall
from .context import Context
from .events import (
    ClearAudio,
    ConnectFailed,
    ConnectionClosed,
    Event,
    GenerateReply,
    SettingsEvent,
)

ABNORMAL_CLOSURE = 1006
SERVICE_RESTART = 1012
GOING_AWAY = 1001

MAX_PENDING_CALLS = 1_000
MAX_TURN_SECONDS = 600.0
"""Of audio in one generation: LiveKit may not have played any of it yet (29 MB at 24 kHz)."""


# -- the connection ------------------------------------------------------------------------------


def was_not_deliberate(context: Context, event: ConnectionClosed) -> bool:
    """The server did not mean to end the conversation.

    No close frame, a restart (1012), or 1001 with reason ``restarting`` (observed in SDK code:
    ``reconnectable_socket_client``).
    """
    return event.code in (ABNORMAL_CLOSURE, SERVICE_RESTART) or (
        event.code == GOING_AWAY and event.reason == "restarting"
    )


def may_connect_again(context: Context, event: ConnectFailed | ConnectionClosed) -> bool:
    """Another attempt may end otherwise, and one is left."""
    if context.attempts >= context.settings.max_retries:
        return False
    if isinstance(event, ConnectFailed):
        return event.retryable
    return was_not_deliberate(context, event)


def a_fresh_start_may_help(context: Context, event: ConnectFailed) -> bool:
    """The resume failed for a reason that need not hold for a new conversation."""
    return event.retryable


def time_is_left(context: Context, event: Event) -> bool:
    """The answer has had only half of its time to begin."""
    return context.wait == "first_half"


def a_reply_was_asked_for(context: Context, event: Event) -> bool:
    """The server was asked for a reply, and has not begun it."""
    return context.reply is not None and context.reply.phase == "asked"


def a_reply_is_awaited(context: Context, event: Event) -> bool:
    """A reply is awaited, from the server or until it is ready."""
    return context.reply is not None


def can_be_resumed(context: Context, event: ConnectionClosed) -> bool:
    """The conversation has an id, and the server did not mean to end it."""
    return context.conversation_id is not None and was_not_deliberate(context, event)


# -- settings ------------------------------------------------------------------------------------


def a_reset_is_due(context: Context, event: Event | None = None) -> bool:
    """More was changed than a smaller message can carry, and the server was not told yet."""
    changes = context.changes
    if changes == {"instructions"}:
        # update_system_prompt cannot contain template variables (the SDK's docstring).
        variables = context.config.template_variables
        return bool(variables) and "{{" in (context.instructions or "")
    return bool(changes) and changes != {"tools"}


def another_agent_takes_over(context: Context, event: SettingsEvent) -> bool:
    """The event brings a conversation of its own: a handoff."""
    return getattr(event, "items", UNSET) is not UNSET


# -- push-to-talk --------------------------------------------------------------------------------


def caller_is_muted(context: Context, event: Event) -> bool:
    """Push-to-talk, and Phonic does not listen."""
    return context.push_to_talk and context.microphone == "muted"


def caller_may_speak(context: Context, event: Event) -> bool:
    """Push-to-talk, Phonic does not listen, and no answer is due."""
    return caller_is_muted(context, event) and context.reply is None


def push_to_talk(context: Context, event: Event) -> bool:
    """LiveKit says when the caller's turn begins and ends."""
    return context.push_to_talk


def caller_was_heard(context: Context, event: ClearAudio) -> bool:
    """Push-to-talk, and Phonic has heard something of the turn that does not count."""
    return context.push_to_talk and context.microphone == "unmuted" and event.heard_ms > 0


def claims_the_coming_answer(context: Context, event: GenerateReply) -> bool:
    """The caller has let go, so Phonic will answer anyway: nothing more needs to be said."""
    due = context.reply is not None and context.reply.request_id is None
    return due and _says_nothing(context, event)


def claims_the_answer(context: Context, event: GenerateReply) -> bool:
    """Phonic has begun to answer the caller who has let go, and nobody has asked for it yet."""
    return context.unclaimed is not None and _says_nothing(context, event)


def _says_nothing(context: Context, event: GenerateReply) -> bool:
    return not event.instructions and not context.typed


# -- turns ---------------------------------------------------------------------------------------


def speech_may_overlap(context: Context, event: Event) -> bool:
    """The assistant's audio comes at its pace, so Phonic can decide itself when to yield.

    Audio that is streamed ahead waits at LiveKit, which alone can stop it, and must.
    """
    return context.config.stream_ahead_of_real_time is False and not context.push_to_talk


def a_transcript_may_be_taken_back(context: Context, event: Event) -> bool:
    """The caller's last words have not been answered."""
    return context.last_transcript_id is not None


def has_text(context: Context, event: AudioChunk) -> bool:
    """The assistant speaks: without text, a chunk is silence or background sound."""
    return bool(event.text)


def turn_is_dropped(context: Context, event: Event) -> bool:
    """The turn was cut off on this side, and its end has not been heard of."""
    return context.leftover != "none"


def caller_speaks(context: Context, event: Event) -> bool:
    """The caller has started and not finished."""
    return context.caller_speaks


def generation_is_empty(context: Context, event: Event) -> bool:
    """The open generation has got nothing yet."""
    return context.generation is not None and context.generation.phase != "filled"


def answer_has_not_begun(context: Context, event: Event) -> bool:
    """The open generation waits for an answer to a tool's output."""
    return context.generation is not None and context.generation.phase == "awaited"


# -- tools ---------------------------------------------------------------------------------------


def calls_are_too_many(context: Context, event: Event) -> bool:
    """More outputs are awaited than any agent can be meant to give."""
    return len(context.pending_calls) >= MAX_PENDING_CALLS


def turn_may_go_on(context: Context, event: AudioChunk) -> bool:
    """No more audio is in the open generation than anybody speaks at a stretch."""
    return context.generation is not None and context.generation.seconds < MAX_TURN_SECONDS


def is_a_known_call(context: Context, event: ToolCall) -> bool:
    """The call was handed over before: a server that resumes may repeat it."""
    return (
        event.tool_call_id in context.pending_calls or event.tool_call_id in context.unacknowledged
    )


def refused_outputs(context: Context, event: Error) -> list[str]:
    """The calls that the error names, of those whose output was sent and not taken note of.

    An output may cross the news that its call is over, or be sent again because its acknowledgement
    was lost.
    """
    said = " ".join((event.error.message, *(event.param_errors or {}).values()))
    return [call_id for call_id in context.unacknowledged if call_id in said]


def refuses_an_output(context: Context, event: Error) -> bool:
    """The error is about a tool's output that was sent and not taken note of."""
    return bool(refused_outputs(context, event))
