"""Going on with a session whose process is gone.

What was announced to LiveKit, which socket was open and which timers ran, is gone with it. So all
that was open ends here, and what is to go on begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, structs

from ..._wire import client
from .. import events, outgoing, timers
from ..context import Context, Reply
from ..effects import (
    AddItem,
    Connect,
    CorrectMessage,
    KeepMemory,
    RestoreItem,
    StartTimer,
    SupersedeReply,
)
from ..history import FunctionCallOutput, OtherItem
from ..memory import encode
from ..prompt import (
    OUTCOME_UNKNOWN,
    SOMEBODY_WAS_CUT_OFF,
    SPOKE_INTO_GAP,
    render_unheard,
)
from ..states import State
from ..turns import (
    await_reply,
    drop_unclaimed,
    end_caller_speech,
    end_opening,
    end_turn,
    ends_turn_later,
    take_out,
)
from . import tools
from .settings import note_changes


def take_stock(context: Context, event: events.TakeOver) -> None:
    """Close what was open, keep what was heard, and note what the caller is still owed."""
    context.arrival = "awaited"
    answers = context.generation is not None or context.unclaimed is not None
    cut_off = answers or context.opening == "awaited"
    # In a move, what the caller says meanwhile is sent later.
    spoken_into_gap = context.caller_speaks and event.cause == "death"
    end_turn(context, interrupted=True)
    drop_unclaimed(context)
    end_caller_speech(context)
    end_opening(context)
    context.leftover = "none"
    context.told_unasked = False
    context.complaint = None
    outgoing.await_echo(context)
    _take_back_request(context)
    for answer in event.unheard:
        cut_off = True
        _correct(context, answer)
    if spoken_into_gap:
        outgoing.hold(context, client.AddSystemMessage(SPOKE_INTO_GAP))
    awaited = _settle_calls(context, event)
    owed = cut_off or spoken_into_gap or context.history.awaits_answer(context.typed)
    if context.reply is None and owed and not context.caller_holds_the_button:
        # Phonic answers a tool's output by itself. Else nobody but us knows that it is its turn.
        context.reply = Reply(None, client.GenerateReply(), "asked" if awaited else "waiting")


def adopt(context: Context, event: events.TakeOver) -> None:
    """Go on with a conversation of which only the id is known. Somebody may have been cut off."""
    _take_back_request(context)
    context.arrival = "trusted"
    context.conversation_id = event.conversation_id
    context.microphone = "muted" if context.push_to_talk else "unmuted"
    context.held.clear()
    outgoing.hold(context, client.AddSystemMessage(SOMEBODY_WAS_CUT_OFF))
    if context.reply is None:
        context.reply = Reply(None, client.GenerateReply())


def resume(context: Context, event: events.TakeOver) -> None:
    """Open a connection to resume the conversation, as long as Phonic keeps it."""
    context.connection = "taken_over"
    context.attempts = 0
    if context.reply is not None:
        await_reply(context)
    context.put(
        outgoing.gate_until_ready(context),
        StartTimer(timers.GRACE_OVER, round(timers.GRACE - event.lost_for, 3)),
        Connect(resume=context.conversation_id),
    )


def begin_again(context: Context, event: events.TakeOver) -> None:
    """Open a connection for a new conversation, as the one before was never open."""
    _take_back_request(context)
    context.arrival = "awaited"
    context.attempts = 0
    context.conversation_id = None
    # The history and the config have all of it.
    context.held.clear()
    if context.reply is not None:
        context.reply.phase = "waiting"
        await_reply(context)
    context.put(Connect())


def tell_memory(context: Context, event: events.Checkpoint) -> None:
    """Put out the whole memory."""
    context.put(KeepMemory(encode(context)))


def receive_agent(context: Context, event: events.UpdateSession) -> None:
    """Take the settings of the agent that arrives, and of its history what is new.

    Of what it lacks, LiveKit is told. If nothing is known of the session, Phonic has its settings.
    """
    arrival, context.arrival = context.arrival, "over"
    note_changes(context, structs.replace(event, items=UNSET))
    if arrival == "trusted":
        context.changes -= {"instructions", "tools"}
    assert event.items is not UNSET
    brought = {item.id for item in event.items}
    for item in context.history:
        if item.id not in brought and not isinstance(item, OtherItem):
            context.put(RestoreItem(item))
    new = tuple(_new_items(context, event))
    if not new:
        return
    update = events.UpdateChatContext(added=new)
    if context.state in (State.connecting, State.awaiting_inputs):
        tools.note_history(context, update)
    elif context.state is State.reconnecting:
        tools.keep_additions(context, update)
    else:
        tools.pass_on_additions(context, update)


def _new_items(context: Context, event: events.UpdateSession) -> Iterator[events.Addition]:
    assert event.items is not UNSET
    before = None
    for item in event.items:
        if item.id not in context.history:
            yield events.Addition(before, item)
        before = item.id


def _correct(context: Context, answer: events.Unheard) -> None:
    """Cut the message down to what the caller has heard of it, and let Phonic know."""
    if answer.response_id not in context.history:
        return
    if answer.text.strip():
        context.history.correct(answer.response_id, answer.text)
    else:
        take_out(context, answer.response_id)
    context.put(CorrectMessage(answer.response_id, answer.text))
    outgoing.hold(context, client.AddSystemMessage(render_unheard(answer.text)))


def _take_back_request(context: Context) -> None:
    """A reply that LiveKit has asked for is owed to the caller alone: nobody waits for its call."""
    reply = context.reply
    if reply is None:
        return
    if reply.request_id is not None:
        context.put(SupersedeReply(reply.request_id))
        reply.request_id = None
    message = reply.message
    if ends_turn_later(reply):
        # LiveKit has let go of the button in vain. Nobody will ask for the answer here.
        context.microphone = "muted"
        outgoing.mute_when_ready(context)
        context.reply = Reply(None, client.GenerateReply(), "asked")
        return
    if isinstance(message, client.Mute) or reply.phase == "incomplete":
        reply.message = client.GenerateReply()
    elif isinstance(message, client.GenerateReply) and reply.phase == "asked":
        # Phonic has what was typed.
        reply.message = structs.replace(message, user_message=UNSET)
    reply.phase = "waiting"


def _settle_calls(context: Context, event: events.TakeOver) -> bool:
    """Say of each running call that its outcome is unknown, unless it is made again.

    Returns whether Phonic is given an output that it waits for.
    """
    context.repeats.clear()
    awaited = False
    for call in context.history.unanswered():
        if call.name in event.repeatable:
            context.repeats.append(call.call_id)
            continue
        output = FunctionCallOutput(
            context.next_id("PO_"), call.call_id, call.name, OUTCOME_UNKNOWN, is_error=True
        )
        message = outgoing.give_output(context, output)
        awaited = awaited or isinstance(message, client.ToolCallOutput)
        outgoing.hold(context, message)
        context.history.add(output)
        context.put(AddItem(output))
    return awaited
