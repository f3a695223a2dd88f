"""Tool calls and their outputs, and other changes of the chat context."""

from __future__ import annotations

import msgspec

from ..._wire import client, server
from .. import events, outgoing
from ..context import Call, Context, Reply
from ..effects import AddItem, EmitToolCallSettled, Log, PushFunctionCall, ToolCallOutcome
from ..guards import refused_outputs
from ..history import FunctionCall, FunctionCallOutput, Item, Message, OtherItem
from ..prompt import literal, render_late_output
from ..turns import ask, end_turn, expect_answer, open_for_answer
from ..wording import complaint
from .assistant import open_generation


def hand_over_call(context: Context, event: server.ToolCall) -> None:
    """Hand the call over in a generation, and close that generation."""
    if context.generation is None:
        open_generation(context, event)
    call = FunctionCall(
        id=context.next_id("PF_"),
        call_id=event.tool_call_id,
        name=event.tool_name,
        arguments=msgspec.json.encode(event.parameters or {}).decode(),
    )
    context.calls[call.call_id] = Call(call.name)
    context.put(PushFunctionCall(call.id, call.call_id, call.name, call.arguments))
    end_turn(context, interrupted=False)
    context.history.add(call)
    context.put(AddItem(call))


def refuse_call(context: Context, event: server.ToolCall) -> None:
    """Drop the call, with a warning."""
    context.put(
        Log(
            "warning",
            f"{len(context.calls_in('pending'))} tool calls wait for their outputs already: "
            f"{event.tool_name} ({event.tool_call_id}) is not made",
        )
    )


def forget_call(context: Context, event: server.ToolCallInterrupted) -> None:
    """Note that the call is over. An output that still comes is not sent."""
    call = context.calls_in("pending").get(event.tool_call_id)
    if call is not None:
        del context.calls[event.tool_call_id]
        said = f"tool call {event.tool_call_id} ({call.name}) was interrupted by the caller"
        context.put(
            Log("info", said), EmitToolCallSettled(event.tool_call_id, call.name, "interrupted")
        )


def acknowledge_output(context: Context, event: server.ToolCallOutputProcessed) -> None:
    """Note that the call is over, and announce how it ended."""
    # If the output is still to come, the server no longer waits for it.
    call = context.calls.pop(event.tool_call_id, None)
    name = event.tool.name if event.tool else call.name if call else ""
    outcome: ToolCallOutcome = "processed"
    problem = event.error_message
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


def give_up_output(context: Context, event: server.Error) -> None:
    """Note that Phonic refuses a tool's output, so that it is not sent again."""
    for call_id in refused_outputs(context, event):
        del context.calls[call_id]
        problem = complaint(event)
        context.put(
            Log("warning", f"Phonic does not take the output of call {call_id}: {problem}"),
            EmitToolCallSettled(call_id, "", "failed", problem=problem),
        )


def note_history(context: Context, event: events.UpdateChatContext) -> None:
    """Take the history, which the config will carry."""
    _apply(context, event)
    for addition in event.added:
        item = addition.item
        if isinstance(item, FunctionCallOutput) and item.call_id in context.calls:
            _owe_answer(context, item)


def pass_on_additions(context: Context, event: events.UpdateChatContext) -> None:
    """Send new tool outputs and system messages. Keep a user message for the next reply."""
    _apply(context, event)
    added = [a.item for a in event.added if not isinstance(a.item, OtherItem)]
    told = not (added or event.changed or event.removed)
    for position, item in enumerate(added, start=1):
        if isinstance(item, FunctionCallOutput):
            _pass_on_output(context, item)
            told = True
        elif isinstance(item, Message) and item.text.strip():
            if item.role in ("system", "developer"):
                outgoing.deliver(context, client.AddSystemMessage(literal(item.text)))
                told = True
            elif item.role == "user" and position == len(added):
                context.typed[item.id] = item.text
                told = True
    if not told:
        context.put(
            Log(
                "warning",
                "update_chat_ctx: Phonic can be told only of tool outputs, system "
                "messages and a last user message; nothing of this change was",
            )
        )


def pass_on_outputs(context: Context, event: events.UpdateChatContext) -> None:
    """Send what is new. If the assistant is to speak about it, open a generation for its answer."""
    # A reply that is pending will speak about the outputs, too.
    speaks = context.reply is None and any(_is_spoken_about(context, a.item) for a in event.added)
    pass_on_additions(context, event)
    if speaks and not context.calls_in("pending"):
        open_for_answer(context)
        expect_answer(context)


def _is_spoken_about(context: Context, item: Item) -> bool:
    """Whether the item is the output of a pending call, and the assistant is to speak about it."""
    if not isinstance(item, FunctionCallOutput) or not item.reply_required:
        return False
    call = context.calls_in("pending").get(item.call_id)
    if call is None:
        return False
    tool = next((tool for tool in context.tools or () if tool.name == call.name), None)
    if tool is None:
        return True
    # "For async tools, when true, the assistant waits for the response and speaks" (the SDK).
    goes_on = tool.execution_mode == "async" and tool.wait_for_response is not True
    return not goes_on and tool.forbid_speech_after_tool_call is not True


def _pass_on_output(context: Context, item: FunctionCallOutput) -> None:
    call = context.calls.get(item.call_id)
    if call is not None and call.phase == "pending":
        call.phase, call.output = "answered", client.ToolCallOutput(item.call_id, item.output)
        outgoing.deliver(context, call.output)
    elif call is not None and call.phase == "late":
        outgoing.deliver(context, client.AddSystemMessage(render_late_output(item)))
        _owe_answer(context, item)
    else:
        context.put(Log("info", f"the output of call {item.call_id} is not sent: nobody awaits it"))


def _owe_answer(context: Context, output: FunctionCallOutput) -> None:
    """Ask for an answer to the output of a call that a lost conversation made."""
    del context.calls[output.call_id]
    if output.reply_required and context.reply is None:
        ask(context, Reply(None, client.GenerateReply()))


def _apply(context: Context, event: events.UpdateChatContext) -> None:
    for item_id in event.removed:
        context.history.remove(item_id)
    for item in event.changed:
        context.history.add(item)
    for addition in event.added:
        context.history.insert(addition.after, addition.item)
