"""Replies that were asked for, until they begin or are given up."""

from __future__ import annotations

from msgspec import UNSET, structs

from ..._wire import client
from .. import events, outgoing, timers
from ..context import Context, Reply, ReplyPhase
from ..effects import Log, RejectReply, StartTimer, StopTimer, SupersedeReply
from ..events import Event
from ..guards import answer_has_not_begun
from ..prompt import literal
from ..turns import (
    ask,
    ask_if_possible,
    drop_reply,
    end_opening,
    end_reply,
    end_turn,
    ends_turn_later,
    show_no_answer,
)
from ..wording import standstill


def request_reply(context: Context, event: events.GenerateReply) -> None:
    """Ask for a reply. It takes the place of an earlier request that has not begun."""
    instructions = literal(event.instructions or "")
    message = client.GenerateReply(system_message=instructions or UNSET)
    _request(context, event.request_id, message)


def request_say(context: Context, event: events.Say) -> None:
    """Ask for these words to be spoken, in place of an earlier request that has not begun."""
    outgoing.tell_typed(context)
    message = client.Say(event.text, event.interruptible)
    _request(context, event.request_id, message, "waiting" if event.complete else "incomplete")


def take_more_text(context: Context, event: events.SayMore) -> None:
    """Add to the text that is to be spoken. Ask for it once it is complete."""
    reply = context.reply
    assert reply is not None
    assert isinstance(reply.message, client.Say)
    reply.message = structs.replace(reply.message, text=reply.message.text + event.text)
    if event.complete:
        reply.phase = "waiting"
    ask(context, reply)


def ask_after_opening(context: Context, event: Event) -> None:
    """Ask for the reply that waits, as the assistant has not begun to speak without being asked."""
    end_opening(context)
    ask_if_possible(context)


def supersede_reply(context: Context, event: Event) -> None:
    """Cancel the reply that was requested and has not begun: it was interrupted."""
    reply = context.reply
    if reply is not None and reply.request_id is not None:
        context.reply = None
        context.put(SupersedeReply(reply.request_id), StopTimer(timers.REPLY_OVERDUE))


def withdraw_reply(context: Context, event: events.CancelReply) -> None:
    """Forget the request. If it has not been sent, it will not be.

    But the answer to a turn that the caller has committed is owed to the caller all the same.
    """
    reply = context.reply
    if reply is None or reply.request_id != event.request_id:
        return
    if isinstance(reply.message, client.Mute):
        reply.request_id = None
    else:
        drop_reply(context)
        if not answer_has_not_begun(context, event):
            # Otherwise an answer to a tool's output needs the timer.
            context.put(StopTimer(timers.REPLY_OVERDUE))


def ask_once_more(context: Context, event: Event) -> None:
    """Ask once more for the answer, which has not begun."""
    context.wait = "second_half"
    again = context.reply.message if context.reply is not None else client.GenerateReply()
    if isinstance(again, client.Mute):
        again = client.GenerateReply()
    context.put(Log("info", "the assistant has not begun to answer; it is asked once more"))
    outgoing.send(context, again)
    context.put(StartTimer(timers.REPLY_OVERDUE, context.settings.reply_timeout / 2))


def forget_typed(context: Context, event: Event) -> None:
    """Take what the user typed for the caller's words, should it come as a transcript after all."""
    context.typed_sent.clear()


def wait_on(context: Context, event: Event) -> None:
    """Wait for the second half of the time. This is no moment to ask again."""
    context.wait = "second_half"
    context.put(StartTimer(timers.REPLY_OVERDUE, context.settings.reply_timeout / 2))


def give_up_reply(context: Context, event: Event) -> None:
    """Fail the reply, which did not begin in time."""
    reply = context.reply
    if reply is not None:
        waited = context.settings.reply_timeout
        problem = (
            f"the reply timed out after {waited:g} s: in state {context.state.value}, "
            f"the request {standstill(context, reply)}"
        )
        if reply.request_id is None:
            context.put(Log("warning", f"{problem}; the caller may be waiting"))
            show_no_answer(context)
        end_reply(context, "timed_out", problem)


def give_up_answer(context: Context, event: Event) -> None:
    """Close the generation, since the answer did not begin in time."""
    context.put(
        Log(
            "warning",
            f"the assistant has not begun to answer {context.settings.reply_timeout:g} s after "
            "the tool's output",
        )
    )
    end_turn(context, interrupted=False)
    give_up_reply(context, event)


def refuse_reply(context: Context, event: events.GenerateReply | events.Say) -> None:
    """Fail the request at once."""
    context.put(RejectReply(event.request_id, "closed", "the conversation is over"))


def end_unanswered_reply(context: Context, event: Event) -> None:
    """Fail the pending reply, since the assistant chose not to respond.

    If a tool's output is the last that came, nobody is to speak about it any more.
    """
    output = context.history.last_output()
    if output is not None:
        context.history.add(structs.replace(output, reply_required=False))
    if context.reply is not None and context.reply.phase == "asked":
        context.put(StopTimer(timers.REPLY_OVERDUE))
        if context.reply.request_id is None:
            show_no_answer(context)
        end_reply(context, "declined", "the assistant chose not to respond")


def _request(
    context: Context,
    request_id: str,
    message: client.GenerateReply | client.Say,
    phase: ReplyPhase = "waiting",
) -> None:
    context.told_unasked = False
    former = context.reply
    if former is not None and former.request_id is not None:
        context.put(SupersedeReply(former.request_id))
    if former is not None and ends_turn_later(former):
        outgoing.mute_when_ready(context)
    ask(context, Reply(request_id, message, phase))
