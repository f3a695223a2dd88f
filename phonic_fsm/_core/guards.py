"""The questions that the table asks before it takes a row.

A guard gets the context and the event, and answers yes or no. It never changes anything, and it
asks what is: what an action will make of it is for the action to say. If a guard says no, the next
row is tried.
"""

from __future__ import annotations

from msgspec import UNSET

from .._wire import server
from .._wire.client import Mute
from .._wire.config import ConfigOptions
from .._wire.facts import public_length
from .._wire.server import AudioChunk, Error, InputText, ToolCall
from . import timers
from .context import Context
from .events import (
    ClearAudio,
    ConnectFailed,
    ConnectionClosed,
    Event,
    GenerateReply,
    PlaybackLeft,
    SayMore,
    SettingsEvent,
    TakeOver,
)
from .history import FunctionCallOutput
from .prompt import has_variables

ABNORMAL_CLOSURE = 1006
SERVICE_RESTART = 1012
GOING_AWAY = 1001
INVALID_STATE = 4801

MAX_PENDING_CALLS = 1_000
MAX_CALLS = 2_000
"""That are remembered, pending or not. Of more, the oldest that is not pending is forgotten."""
MAX_CALLER_TURNS = 10
"""Turns of the caller that wait for their transcripts. Of more, the oldest get none."""
MAX_TURN_SECONDS = 600.0
"""Of audio in one generation. It may all still wait to be played: 29 MB at 24 kHz."""
MAX_TURN_CHARACTERS = 50_000
"""Of text in one generation. In ten minutes nobody says a third of that."""


# -- the connection ------------------------------------------------------------------------------


def was_not_deliberate(context: Context, event: ConnectionClosed) -> bool:
    """The server did not mean to end the conversation.

    That is so if no close frame came, if the service restarts (1012), or with code 1001 and the
    reason ``restarting``. Source: ``reconnectable_socket_client`` in the SDK.
    """
    return event.code in (ABNORMAL_CLOSURE, SERVICE_RESTART) or (
        event.code == GOING_AWAY and event.reason == "restarting"
    )


def an_attempt_is_left(context: Context, event: Event) -> bool:
    """The model allows another attempt to connect."""
    return context.attempts < context.settings.max_retries


def may_connect_again(context: Context, event: ConnectFailed | ConnectionClosed) -> bool:
    """An attempt is left, and it may succeed where this one failed."""
    if not an_attempt_is_left(context, event):
        return False
    if isinstance(event, ConnectFailed):
        return event.retryable
    return was_not_deliberate(context, event)


def may_wait_for_room(context: Context, event: ConnectFailed) -> bool:
    """Phonic is busy, and a call is under way, which is worth more waiting than a new one."""
    return event.busy and context.connection != "proved" and context.refusals < timers.MOST_REFUSALS


def connection_has_served(context: Context, event: ConnectionClosed) -> bool:
    """A whole turn came over the connection that is lost, or it held for a while."""
    return context.connection == "proved" or event.seconds >= timers.PROVED_AFTER


def may_begin_afresh(context: Context, event: Event) -> bool:
    """What is lost is not itself a fresh conversation that has brought no whole turn."""
    return context.connection != "begun_afresh"


def a_fresh_start_may_help(context: Context, event: ConnectFailed) -> bool:
    """The resume failed, but a new conversation may still be possible."""
    return event.retryable and may_begin_afresh(context, event)


def time_is_left(context: Context, event: Event) -> bool:
    """The answer still has the second half of its time to begin."""
    return context.wait == "first_half"


def a_reply_was_asked_for(context: Context, event: Event) -> bool:
    """The server was asked for a reply, and the reply has not begun."""
    return context.reply is not None and context.reply.phase == "asked"


def a_reply_was_requested(context: Context, event: Event) -> bool:
    """LiveKit, or the author, waits for a reply that has not begun, and that answers no turn which
    the caller has committed: that answer is owed to the caller all the same."""
    reply = context.reply
    return reply is not None and reply.request_id is not None and type(reply.message) is not Mute


def a_welcome_may_come(context: Context, event: Event | None = None) -> bool:
    """The assistant may greet the caller: the config asks for it, or names what may ask for it.

    An agent's own welcome may come even where the config has ``null`` for it; that is not known.
    """
    asked_for = not context.continuing and asks_for_a_welcome(context.config)
    return asked_for or leaves_the_welcome_to_phonic(context.config)


def asks_for_a_welcome(config: ConfigOptions) -> bool:
    """Whether the assistant is to speak first."""
    return config.generate_welcome_message is True or bool(config.welcome_message)


def leaves_the_welcome_to_phonic(config: ConfigOptions) -> bool:
    """Whether an agent of Phonic's, or a configuration endpoint, may ask for a welcome."""
    return bool(config.agent) or bool(config.configuration_endpoint)


def text_is_awaited(context: Context, event: SayMore) -> bool:
    """The reply whose text this is has not ended, and its text is not complete."""
    reply = context.reply
    return (
        reply is not None and reply.phase == "incomplete" and reply.request_id == event.request_id
    )


def a_reply_is_awaited(context: Context, event: Event) -> bool:
    """A reply is pending: the server was asked for it, or will be."""
    return context.reply is not None


def phonic_has_complained(context: Context, event: ConnectionClosed) -> bool:
    """Phonic has reported an error, and nothing has been said since."""
    return context.complaint is not None


def amends_were_made(context: Context, event: ConnectionClosed) -> bool:
    """What Phonic has refused was said in another way, and nothing has been said since."""
    return context.complaint is not None and context.complaint.kind == "connection_lost"


def can_be_resumed(context: Context, event: ConnectionClosed) -> bool:
    """The conversation has an id, and the server did not mean to end it."""
    return context.conversation_id is not None and was_not_deliberate(context, event)


def phonic_still_keeps_it(context: Context, event: TakeOver) -> bool:
    """The conversation has an id, and Phonic has not lost the connection for too long."""
    return context.conversation_id is not None and event.lost_for < timers.GRACE


def only_the_conversation_is_known(context: Context, event: TakeOver) -> bool:
    """Nothing can be read of the session but the conversation's id, and Phonic still keeps it."""
    return event.conversation_id is not None and event.lost_for < timers.GRACE


def a_conversation_was_under_way(context: Context, event: TakeOver) -> bool:
    """A fresh conversation was about to go on with what a lost one was about."""
    return context.continuing


def former_socket_may_live(context: Context, event: ConnectionClosed) -> bool:
    """Phonic refuses to resume what was taken over, and may not know that the process is gone.

    What 4801 means is not known for sure; the SDK's code says: an invalid state.
    """
    return (
        context.connection == "taken_over"
        and event.code == INVALID_STATE
        and an_attempt_is_left(context, event)
    )


# -- settings ------------------------------------------------------------------------------------


def a_reset_is_due(context: Context, event: Event | None = None) -> bool:
    """The settings have changed, the server does not know yet, and only a ``reset`` can tell it."""
    changes = context.changes - {"past"}
    if changes != context.changes and context.rests:
        return True
    if changes == {"instructions"}:
        # update_system_prompt cannot contain template variables (the SDK's docstring).
        return has_variables(context.instructions or "")
    return bool(changes) and changes != {"tools"}


def another_agent_takes_over(context: Context, event: SettingsEvent) -> bool:
    """The event brings a chat context of its own: this is a handoff."""
    return getattr(event, "items", UNSET) is not UNSET


def agent_is_awaited(context: Context, event: SettingsEvent) -> bool:
    """After a takeover, this is the agent's first call. It brings the history along."""
    return context.arrival != "over" and another_agent_takes_over(context, event)


def names_the_prompt_update(context: Context, event: server.Error | server.Warning) -> bool:
    """Phonic complains of ``update_system_prompt``, which is deprecated."""
    return event.names == "update_system_prompt"


# -- push-to-talk --------------------------------------------------------------------------------


def caller_is_muted(context: Context, event: Event) -> bool:
    """This is push-to-talk, and Phonic does not listen to the caller."""
    return context.push_to_talk and context.microphone == "muted"


def caller_may_speak(context: Context, event: Event) -> bool:
    """This is push-to-talk, Phonic does not listen to the caller, and no answer is due.

    A reply that LiveKit has asked for is not due any more: LiveKit interrupts that, too. But right
    after the commit of a turn, before it has asked for the reply, it means an earlier answer.
    """
    asked_for = context.reply is None or context.reply.request_id is not None
    return caller_is_muted(context, event) and asked_for


def push_to_talk(context: Context, event: Event) -> bool:
    """This is push-to-talk: LiveKit says when the caller's turn begins and ends."""
    return context.push_to_talk


def caller_was_heard(context: Context, event: ClearAudio) -> bool:
    """This is push-to-talk, and Phonic has already heard part of what is to be dropped."""
    return context.push_to_talk and context.microphone == "unmuted" and event.heard_ms > 0


def answer_is_unclaimed(context: Context, event: Event) -> bool:
    """The assistant has begun to answer the caller, and LiveKit does not know of it yet."""
    return context.unclaimed is not None


def caller_is_answered(context: Context, event: Event) -> bool:
    """Phonic has ended the caller's turn at a pause, and has begun to answer it."""
    return context.unclaimed is not None and context.microphone == "unmuted"


def claims_the_coming_answer(context: Context, event: GenerateReply) -> bool:
    """Phonic will answer the caller anyway, so the request needs no message of its own."""
    due = context.reply is not None and context.reply.request_id is None
    return due and _says_nothing(context, event)


def claims_the_answer(context: Context, event: GenerateReply) -> bool:
    """Phonic has begun to answer the caller, and LiveKit asks only now for that answer."""
    return context.unclaimed is not None and _says_nothing(context, event)


def asks_for_a_given_answer(context: Context, event: GenerateReply) -> bool:
    """LiveKit asks only now for the answer to the caller that it is told of without that."""
    return context.told_unasked and context.reply is None and _says_nothing(context, event)


def _says_nothing(context: Context, event: GenerateReply) -> bool:
    return not event.instructions and not context.typed


# -- turns ---------------------------------------------------------------------------------------


def speech_may_overlap(context: Context, event: Event) -> bool:
    """The assistant may speak on while the caller speaks, until Phonic itself stops it.

    That needs audio that arrives at the pace of speech. If it is streamed ahead, most of it waits
    in LiveKit, and LiveKit has to stop it as soon as the caller speaks.
    """
    return context.config.stream_ahead_of_real_time is False and not context.push_to_talk


def repeats_what_was_typed(context: Context, event: InputText) -> bool:
    """The transcript is what the user typed, which was sent with a request for a reply."""
    return event.repeats_typed is True


def a_turn_may_be_taken_back(context: Context, event: Event) -> bool:
    """The caller's last turn has no transcript, or the assistant has not begun to answer it."""
    return context.last_transcript_id is not None or bool(context.caller_turns)


def nothing_was_understood(context: Context, event: InputText) -> bool:
    """The transcript holds no words."""
    return not event.text.strip()


def has_text(context: Context, event: AudioChunk) -> bool:
    """The chunk holds words. A chunk without text is silence or background sound."""
    return bool(event.text)


def turn_is_dropped(context: Context, event: Event) -> bool:
    """The assistant's turn was cut off on this side, and more of it may come."""
    return context.leftover != "none"


def caller_speaks(context: Context, event: Event) -> bool:
    """The caller has started to speak and has not finished."""
    return context.caller_speaks


def generation_is_empty(context: Context, event: Event) -> bool:
    """A generation is open, and no text or audio has been pushed into it."""
    return context.generation is not None and context.generation.phase in (
        "due",
        "awaited",
        "begun",
    )


def answer_has_not_begun(context: Context, event: Event | None = None) -> bool:
    """A generation is open for the answer to a tool's output, and the answer has not begun."""
    return context.generation is not None and context.generation.phase in ("due", "awaited")


def more_has_come(context: Context, event: Event) -> bool:
    """Something was pushed into the open generation since it was last looked at."""
    return context.generation is not None and context.generation.phase == "filled"


def assistant_has_yielded(context: Context, event: Event) -> bool:
    """The caller has spoken over the open generation, and no words have come since."""
    return context.generation is not None and context.generation.phase == "overlapped"


def something_is_still_played(context: Context, event: PlaybackLeft) -> bool:
    """Not all that the assistant has said has been played."""
    return event.seconds > 0


# -- tools ---------------------------------------------------------------------------------------


def tool_is_withheld(context: Context, event: ToolCall) -> bool:
    """The application does not want this tool to be called at present."""
    return context.offered is not None and event.tool_name not in context.offered


def calls_are_pending(context: Context, event: Event) -> bool:
    """The output of a tool is awaited."""
    return bool(context.calls_in("pending"))


def calls_are_too_many(context: Context, event: Event) -> bool:
    """So many calls are pending that something must be wrong."""
    return len(context.calls_in("pending")) >= MAX_PENDING_CALLS


def turn_may_go_on(context: Context, event: AudioChunk) -> bool:
    """With the chunk, the open generation is not longer than anybody speaks at a stretch."""
    generation = context.generation
    return (
        generation is not None
        and generation.seconds < MAX_TURN_SECONDS
        and (not event.text or generation.length + public_length(event.text) <= MAX_TURN_CHARACTERS)
    )


def is_longer_than_a_turn(context: Context, event: AudioChunk) -> bool:
    """The chunk alone has more text than anybody speaks at a stretch."""
    return public_length(event.text or "") > MAX_TURN_CHARACTERS


def is_a_known_call(context: Context, event: ToolCall) -> bool:
    """The call was handed over before; after a resume, the server may send it again."""
    return event.tool_call_id in context.calls


def refused_outputs(context: Context, event: Error) -> list[str]:
    """The outputs that were given that the error is about, by call id.

    The server refuses an output if its call is over already, or if it has had the output before:
    the news may have crossed, or an acknowledgement was lost and the output was sent again.
    """
    known = context.calls
    return [call for call in event.calls if call in known and known[call].phase != "pending"]


def is_spoken_about(context: Context, output: FunctionCallOutput) -> bool:
    """The assistant is to speak about the output."""
    if not output.reply_required:
        return False
    tool = next((tool for tool in context.tools or () if tool.name == output.name), None)
    if tool is None:
        return True
    # "For async tools, when true, the assistant waits for the response and speaks" (the SDK).
    goes_on = tool.execution_mode == "async" and tool.wait_for_response is not True
    return not goes_on and tool.forbid_speech_after_tool_call is not True


def refuses_an_output(context: Context, event: Error) -> bool:
    """The error is about a tool's output that was sent."""
    return bool(refused_outputs(context, event))
