"""Tool calls and their outputs, and other changes of the chat context."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import structs

from ..._wire import client, server
from ..._wire.bounds import Bound
from .. import events, outgoing, timers
from ..context import Call, Context, Reply
from ..effects import EmitToolCallSettled, Log, PushFunctionCall, Send, StartTimer, ToolCallOutcome
from ..guards import (
    MAX_CALLS,
    MAX_PENDING_CALLS,
    answer_has_not_begun,
    is_spoken_about,
    refused_outputs,
)
from ..history import FunctionCall, FunctionCallOutput, Message, OtherItem
from ..prompt import CUT_OFF, TAKEN_BACK, literal
from ..turns import (
    add_item,
    announce_due,
    await_answer,
    await_reply,
    end_turn,
    expect_answer,
    is_left_to_outputs,
    is_owed_later,
    note_amends,
    owe_answer,
    show_no_answer,
    take_out,
)
from ..wording import complaint, quoted
from .assistant import open_generation


def hand_over_call(context: Context, event: server.ToolCall) -> None:
    """Hand the call over in a generation, and close that generation."""
    if context.generation is None:
        open_generation(context, event)
    announce_due(context)
    call = FunctionCall(
        id=context.next_id("PF_"),
        call_id=event.tool_call_id,
        name=event.tool_name,
        arguments=msgspec.json.encode(event.parameters or {}).decode(),
    )
    _remember(context, call.call_id, Call(call.name))
    context.put(PushFunctionCall(call.id, call.call_id, call.name, call.arguments))
    end_turn(context, interrupted=False)
    add_item(context, call)


def refuse_call(context: Context, event: server.ToolCall) -> None:
    """Do not make the call: too many are pending. Tell Phonic so as its output."""
    why = f"{MAX_PENDING_CALLS} calls of tools are running already"
    _decline(context, event, why, "pending_calls")


def withhold_tool(context: Context, event: server.ToolCall) -> None:
    """Do not make the call: LiveKit would drop it. Tell Phonic so as its output."""
    _decline(context, event, "it cannot be called now; go on without it")


def take_back_call(context: Context, event: server.ToolCall) -> None:
    """Do not make the call: the turn is taken back. Tell Phonic so as its output."""
    _decline(context, event, TAKEN_BACK)


def decline_dropped_calls(context: Context, event: events.CallsDropped) -> None:
    """Tell Phonic that the calls are not made, unless they are over."""
    for call_id in event.calls:
        if call_id in context.calls_in("pending"):
            outgoing.decline_call(context, call_id, CUT_OFF)


def _decline(
    context: Context, event: server.ToolCall, why: str, bound: Bound | None = None
) -> None:
    _remember(context, event.tool_call_id, Call(event.tool_name))
    outgoing.decline_call(context, event.tool_call_id, why, bound)


def forget_call(context: Context, event: server.ToolCallInterrupted) -> None:
    """Note that the call is over. Its output is told in words, also if it was sent just now."""
    call = context.calls.get(event.tool_call_id)
    if call is None or call.phase == "over":
        return
    said = f"tool call {event.tool_call_id} ({call.name}) was interrupted by the caller"
    context.put(
        Log("info", said), EmitToolCallSettled(event.tool_call_id, call.name, "interrupted")
    )
    if call.output is None:
        del context.calls[event.tool_call_id]
        return
    call.phase = "over"
    outgoing.deliver(context, outgoing.in_words(call.output))
    if context.generation is None and is_spoken_about(context, call.output):
        await_answer(context)


def acknowledge_output(context: Context, event: server.ToolCallOutputProcessed) -> None:
    """Announce how the call ended. If Phonic did not take its output, tell it in words."""
    call = context.calls.pop(event.tool_call_id, None)
    name = event.tool.name if event.tool else call.name if call else ""
    outcome: ToolCallOutcome = "processed"
    problem = event.error_message and quoted(event.error_message)
    if event.timed_out:
        outcome, problem = "timed_out", problem or "its output came too late"
    elif problem:
        outcome = "failed"
    took = "" if event.duration_ms is None else f" after {event.duration_ms:g} ms"
    context.put(
        Log(
            "warning" if problem else "info",
            f"tool call {event.tool_call_id}{f' ({name})' if name else ''}: {outcome}{took}"
            + (f": {problem}" if problem else ""),
        ),
        EmitToolCallSettled(event.tool_call_id, name, outcome, event.duration_ms, problem),
    )
    if problem and call is not None and call.output is not None and call.phase != "over":
        call.phase = "over"
        context.calls[event.tool_call_id] = call
        outgoing.deliver(context, outgoing.in_words(call.output))
        if is_spoken_about(context, call.output):
            owe_answer(context)
    elif not _outputs_on_their_way(context):
        announce_due(context)


def replace_output(context: Context, event: server.Error) -> None:
    """Tell in words what Phonic refuses as a tool's output, unless it knows it already."""
    problem = complaint(event)
    for call_id in refused_outputs(context, event):
        call = context.calls.pop(call_id)
        context.put(Log("warning", f"Phonic does not take the output of call {call_id}: {problem}"))
        if call.phase == "over" or call.output is None:
            continue
        note_amends(context, problem)
        context.put(EmitToolCallSettled(call_id, call.name, "failed", problem=problem))
        outgoing.deliver(context, outgoing.in_words(call.output))
        if call.phase == "answered" and is_spoken_about(context, call.output):
            _ask_instead(context)


def _ask_instead(context: Context) -> None:
    """Ask for the answer that Phonic does not give to an output that it has not taken."""
    if not answer_has_not_begun(context):
        owe_answer(context)
    elif not _outputs_on_their_way(context):
        if context.reply is not None and is_owed_later(context.reply):
            # The one answer is to all that was told.
            context.reply = None
        await_reply(context)
        context.put(Send(client.GenerateReply()))


def note_history(context: Context, event: events.UpdateChatContext) -> None:
    """Take the history, which the config will carry."""
    _apply(context, event)
    if context.continuing:
        _see_to_answer(context, _late(event), _late(event))


def pass_on_additions(context: Context, event: events.UpdateChatContext) -> None:
    """Send what is new. Keep a user message for the next reply, and changes of the past until all
    is quiet."""
    if context.conversing:
        # A reset that is due carries the history, and what is told here is not part of it.
        outgoing.tell_changes(context)
    past_has_changed = any(_remembered(context, event))
    new = _without_moved(context, event)
    _apply(context, event)
    given = _late(new)
    late = [output for output in given if not outgoing.is_awaited(context, output)]
    added = [a.item for a in new.added if not isinstance(a.item, OtherItem)]
    said: list[Message] = []
    for position, item in enumerate(added, start=1):
        if isinstance(item, FunctionCallOutput):
            outgoing.deliver(context, outgoing.give_output(context, item))
        elif isinstance(item, Message) and item.text.strip():
            if item.role in ("system", "developer"):
                # In their order: an instruction may be about what was said before it.
                outgoing.tell_said(context, said)
                said = []
                outgoing.deliver(context, client.AddSystemMessage(literal(item.text)))
            elif item.role == "user" and position == len(added):
                context.typed[item.id] = item.text
            else:
                said.append(item)
    outgoing.tell_said(context, said)
    if past_has_changed:
        context.changes.add("past")
        context.put(StartTimer(timers.CHANGES_DUE, 0.0))
    _see_to_answer(context, given, late)


def pass_on_outputs(context: Context, event: events.UpdateChatContext) -> None:
    """Send what is new. If the assistant is to speak about it, wait for its answer."""
    # A reply that is pending will speak about the outputs, too, unless it is to be their answer.
    reply = context.reply
    speaks = (reply is None or is_left_to_outputs(reply)) and any(
        outgoing.is_awaited(context, output) and is_spoken_about(context, output)
        for output in _outputs(event)
    )
    pass_on_additions(context, event)
    # Otherwise the answer opens its own generation, once the caller's turn is over.
    if speaks and not context.calls_in("pending") and not context.caller_has_the_floor:
        context.reply = None
        expect_answer(context)


def keep_additions(context: Context, event: events.UpdateChatContext) -> None:
    """Keep what is new for the resume. If no answer to a tool's output comes then, ask for one."""
    given = [output for output in _outputs(event) if outgoing.is_awaited(context, output)]
    pass_on_additions(context, event)
    if context.reply is None and any(is_spoken_about(context, output) for output in given):
        context.reply = Reply(None, client.GenerateReply(), "asked")


def _remember(context: Context, call_id: str, call: Call) -> None:
    """Remember a call, in the place of the oldest that no output is awaited for if all are many."""
    context.calls[call_id] = call
    if len(context.calls) > MAX_CALLS:
        oldest = next(i for i, known in context.calls.items() if known.phase != "pending")
        forgotten = context.calls.pop(oldest)
        if forgotten.phase == "answered":
            context.put(
                Log(
                    "warning",
                    f"{MAX_CALLS} tool calls are not over for Phonic; the output of call {oldest} "
                    f"({forgotten.name}) is not sent again if the connection is lost",
                    "remembered_calls",
                )
            )


def _see_to_answer(
    context: Context, given: list[FunctionCallOutput], late: list[FunctionCallOutput]
) -> None:
    """Have late ones of the outputs spoken about. If none is spoken about, let LiveKit know."""
    spoken_about = [output for output in given if is_spoken_about(context, output)]
    if spoken_about and all(output in late for output in spoken_about):
        owe_answer(context)
    elif not spoken_about and any(output.reply_required for output in given):
        show_no_answer(context)


def _outputs(event: events.UpdateChatContext) -> list[FunctionCallOutput]:
    return [a.item for a in event.added if isinstance(a.item, FunctionCallOutput)]


def _late(event: events.UpdateChatContext) -> list[FunctionCallOutput]:
    """The outputs of calls that Phonic made earlier.

    LiveKit adds the later results of a tool that goes on behind ``RunContext.update()`` as calls of
    their own, each with its output. It asks for the reply to those itself.
    """
    made = {a.item.call_id for a in event.added if isinstance(a.item, FunctionCall)}
    return [output for output in _outputs(event) if output.call_id not in made]


def _outputs_on_their_way(context: Context) -> bool:
    """Whether Phonic has yet to take note of an output that it was sent."""
    return bool(context.calls_in("answered") or context.calls_in("repeated"))


def _without_moved(context: Context, event: events.UpdateChatContext) -> events.UpdateChatContext:
    """The event without the additions that only give an item another place."""
    added = tuple(a for a in event.added if a.item.id not in context.history)
    return structs.replace(event, added=added)


def _remembered(context: Context, event: events.UpdateChatContext) -> Iterator[Message]:
    """The messages that the event changes or takes out, and that Phonic remembers as they were.

    It does not know what was only typed. What the caller has not heard of an answer, Phonic leaves
    out by itself, and LiveKit does so in the chat context.
    """
    changed = {item.id: item for item in event.changed}
    removed = set(event.removed) - {addition.item.id for addition in event.added}
    for item in context.history:
        if not isinstance(item, Message) or item.id in context.typed:
            continue
        if item.role == "assistant":
            unheard = item.interrupted or item.id == context.last_message_id
            if item.id in removed and not unheard:
                yield item
        elif item.id in removed or changed.get(item.id, item) != item:
            yield item


def _apply(context: Context, event: events.UpdateChatContext) -> None:
    for item_id in event.removed:
        take_out(context, item_id)
    for item in event.changed:
        context.history.add(item)
        if item.id in context.typed and isinstance(item, Message):
            context.typed[item.id] = item.text
    for addition in event.added:
        context.history.insert(addition.after, addition.item)
    for item_id in [i for i in context.typed if i not in context.history]:
        del context.typed[item_id]
