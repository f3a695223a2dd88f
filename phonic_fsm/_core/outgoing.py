"""How messages and the caller's audio leave, and what the config says.

Actions hand their messages over here. This is the one place that decides whether a message goes out
at once, waits until the server is ready, or is preceded by settings that have changed. It also
decides whether the caller's audio is sent, and how much of it is kept while it cannot be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, structs

from .._wire import client
from .._wire.bounds import Bound
from .._wire.config import ConfigOptions, ToolDefinition
from . import timers
from .context import Context, Reply
from .effects import FlushAudio, Log, Send, SetAudioGate, StartTimer, StopTimer
from .guards import a_reset_is_due
from .history import FunctionCallOutput, Message
from .prompt import (
    NOT_RUN,
    STILL_RUNNING,
    render_additions,
    render_history,
    render_late_output,
    render_new_instructions,
    system_prompt,
)
from .states import State

KEPT_UNTIL_READY_MS = 10_000
"""Of the caller's audio, until Phonic is ready: what LiveKit recorded before the agent joined, and
what the caller says while the connection is opened. Older audio gives way."""

KEPT_UNTIL_RESUMED_MS = 2_000
"""Of the caller's audio, while a lost connection is resumed. Older audio gives way."""

MAX_HELD_MESSAGES = 1_000
"""Messages that wait until the server is ready, which takes seconds. Further ones are dropped."""


def send_config(context: Context) -> None:
    """Send the config, with the history in the prompt. It begins a new conversation."""
    # Phonic has yet to name it.
    context.conversation_id = None
    microphone = context.microphone
    options = config_for(context, welcome=not context.continuing)
    # A caller who has the floor already gets it in the new conversation.
    context.microphone = microphone if context.push_to_talk else "unmuted"
    context.put(
        Send(client.Config(**structs.asdict(options))),
        StartTimer(timers.ANSWER_OVERDUE, context.settings.answer_timeout),
    )


def deliver(context: Context, message: client.ClientMessage) -> None:
    """Send a message, or keep it until the server is ready."""
    if context.conversing:
        tell_changes(context)
        context.put(Send(message))
    else:
        hold(context, message)


def hold(context: Context, message: client.ClientMessage) -> None:
    """Keep a message until the server is ready."""
    if len(context.held) < MAX_HELD_MESSAGES:
        context.held.append(message)
    else:
        name = message.__struct_config__.tag
        problem = f"{MAX_HELD_MESSAGES} messages wait already: {name} is dropped"
        context.put(Log("warning", problem, "held_messages"))


def release(context: Context) -> None:
    """Send what has waited: changed settings, then held messages, then a request for a reply."""
    tell_changes(context)
    if "past" in context.changes:
        context.put(StartTimer(timers.CHANGES_DUE, 0.0))
    for message in context.held:
        if isinstance(message, client.Mute):
            mute(context)
        else:
            send(context, message)
    context.held.clear()


def send_request(context: Context, reply: Reply) -> None:
    """Ask the server for the reply. What the user typed goes along if LiveKit asks for it."""
    reply.phase = "asked"
    tell_changes(context)
    message = reply.message
    if isinstance(message, client.Mute):
        mute(context)
        return
    if isinstance(message, client.GenerateReply) and context.typed and reply.request_id is not None:
        text = "\n".join(context.typed.values())
        message = reply.message = structs.replace(message, user_message=text)
        context.typed.clear()
    send(context, message)


def send(context: Context, message: client.ClientMessage) -> None:
    """Send a message now. Phonic may repeat what the user typed."""
    context.put(Send(message))
    if isinstance(message, client.GenerateReply) and message.user_message:
        context.typed_sent.append(message.user_message.strip())
        await_echo(context)


def await_echo(context: Context) -> None:
    """Expect what the user typed to come back, as long as an answer to it may begin."""
    if context.typed_sent:
        context.put(StartTimer(timers.ECHO_OVER, context.settings.reply_timeout))


def gate(context: Context) -> SetAudioGate:
    """What happens to the caller's audio in this state."""
    if context.conversing:
        return gate_when_open(context)
    if context.state is State.reconnecting:
        return gate_until_resumed(context)
    return gate_until_ready(context)


def gate_when_open(context: Context) -> SetAudioGate:
    """What happens to the caller's audio while the conversation is open."""
    if context.microphone == "muted":
        return SetAudioGate("muted", context.settings.unmute_prebuffer_ms)
    return SetAudioGate("open")


def gate_until_ready(context: Context) -> SetAudioGate:
    """What happens to the caller's audio until a new conversation is open."""
    return _hold(context, KEPT_UNTIL_READY_MS)


def gate_until_resumed(context: Context) -> SetAudioGate:
    """What happens to the caller's audio until a lost conversation goes on."""
    return _hold(context, KEPT_UNTIL_RESUMED_MS)


def _hold(context: Context, keep_ms: int) -> SetAudioGate:
    # What a muted caller says is not kept for longer than before an unmute.
    muted = context.microphone == "muted"
    return SetAudioGate("holding", context.settings.unmute_prebuffer_ms if muted else keep_ms)


def unmute(context: Context) -> None:
    """Push-to-talk: have Phonic listen. The audio that was kept is sent first."""
    context.microphone = "unmuted"
    context.told_unasked = False
    context.put(Send(client.Unmute()), gate_when_open(context))


def mute(context: Context) -> None:
    """Push-to-talk: send the rest of the caller's audio, and have Phonic answer."""
    context.microphone = "muted"
    context.put(FlushAudio(), Send(client.Mute()), gate_when_open(context))


def mute_when_ready(context: Context) -> None:
    """Push-to-talk: the caller's turn is over, and the conversation is not open yet."""
    if client.Mute() not in context.held:
        hold(context, client.Mute())


def tell_changes(context: Context) -> None:
    """Send all settings that the server does not know yet, in one message.

    What Phonic remembers of the past is changed once the conversation rests.
    """
    if not context.changes:
        return
    if a_reset_is_due(context):
        if context.generation is None:
            context.leftover = "reset"
            context.put(StartTimer(timers.TURN_OVERDUE, timers.ON_THE_WAY))
        microphone, withdrawn = context.microphone, "caller_turn" in context.changes
        if withdrawn:
            # What Phonic has not heard of the turn yet is withdrawn with the rest.
            context.put(SetAudioGate("closed"))
        let_calls_go(context)
        context.put(Send(client.Reset(config_for(context, welcome=False))))
        # What the caller goes on saying, Phonic hears.
        for turn in context.caller_turns[: -1 if context.caller_speaks else None]:
            turn.forgotten = True
        if withdrawn or context.microphone != microphone:
            context.put(gate_when_open(context))
        if context.unclaimed is not None:
            # The caller is muted now: nobody may commit the turn that is answered here.
            context.put(StartTimer(timers.ANSWER_UNCLAIMED, timers.CLAIM_ANSWER_WITHIN))
    elif "instructions" in context.changes:
        _tell_instructions(context)
    elif "tools" in context.changes:
        context.put(Send(client.UpdateToolsSubset(_tools(context))))
    context.changes &= {"past"}
    context.put(StopTimer(timers.CHANGES_DUE))


def tell_said(context: Context, messages: Sequence[Message]) -> None:
    """Tell messages that no other message of the protocol can carry."""
    if messages:
        deliver(context, client.AddSystemMessage(render_additions(messages)))


def is_awaited(context: Context, output: FunctionCallOutput) -> bool:
    """Whether Phonic waits for this output."""
    call = context.calls.get(output.call_id)
    return call is not None and call.phase == "pending"


def give_output(context: Context, output: FunctionCallOutput) -> client.ClientMessage:
    """The message that gives Phonic a tool's output, in words if Phonic does not wait for it."""
    if not is_awaited(context, output):
        return in_words(output)
    call = context.calls[output.call_id]
    call.phase, call.output = "answered", output
    return client.ToolCallOutput(output.call_id, output.output)


def in_words(output: FunctionCallOutput) -> client.AddSystemMessage:
    """A tool's output as a message, where Phonic does not wait for it."""
    return client.AddSystemMessage(render_late_output(output))


def tell_typed(context: Context) -> None:
    """Tell what the user typed, as something else than a reply to it comes next."""
    typed = [i for i in context.history if isinstance(i, Message) and i.id in context.typed]
    context.typed.clear()
    tell_said(context, typed)


def _tell_instructions(context: Context) -> None:
    instructions = context.instructions or ""
    if context.prompt_updates == "refused":
        context.put(Send(client.AddSystemMessage(render_new_instructions(instructions))))
    else:
        context.prompt_updates = "sent"
        context.put(Send(client.UpdateSystemPrompt(system_prompt(instructions, context.carried))))


def let_calls_go(context: Context) -> None:
    """A reset is about to follow, after which Phonic may wait for an output, or refuse it.

    So it gets one in the place of each output that is to come; that is told in words then. The
    outputs that were given are in the history that the reset carries.
    """
    for call_id, call in context.calls.items():
        if call.phase == "pending":
            context.put(Send(client.ToolCallOutput(call_id, STILL_RUNNING)))
        call.phase = "over"


def decline_call(context: Context, call_id: str, why: str, bound: Bound | None = None) -> None:
    """Do not make a call, of which there may be too many. Phonic is told so in its output, as it
    would wait for that."""
    call = context.calls[call_id]
    call.phase = "over"
    level: Literal["info", "warning"] = "info" if bound is None else "warning"
    context.put(Log(level, f"{call.name} ({call_id}) is not made: {why}", bound))
    output = client.ToolCallOutput(call_id, NOT_RUN.format(why))
    if context.conversing:
        context.put(Send(output))
    else:
        hold(context, output)


def config_for(context: Context, *, welcome: bool) -> ConfigOptions:
    """The whole config, for ``config`` or ``reset``. The server will know all settings then.

    With push-to-talk, a conversation is assumed to begin muted.
    """
    # What the user typed goes out later, with the request for the reply to it.
    context.carried = render_history(i for i in context.history if i.id not in context.typed)
    context.changes.clear()
    if context.prompt_updates == "sent":
        context.prompt_updates = "usable"
    context.microphone = "muted" if context.push_to_talk else "unmuted"
    options = structs.replace(
        context.config,
        system_prompt=system_prompt(context.instructions or "", context.carried),
        tools=_tools(context),
    )
    if not welcome:
        return structs.replace(options, welcome_message=None, generate_welcome_message=False)
    # At the start, no tools means that the Phonic agent's own are used; later, it means none.
    return options if options.tools else structs.replace(options, tools=UNSET)


def _tools(context: Context) -> list[ToolDefinition]:
    offered = [
        tool
        for tool in context.tools or ()
        if context.offered is None or tool.name in context.offered
    ]
    return [*(context.config.tools or ()), *offered]
