"""How messages leave: at once, or once the server is ready; and what the config says.

Actions hand messages over here; whether they go out now, wait, or are preceded by settings that
have changed is settled in this one place.
"""

from __future__ import annotations

from msgspec import UNSET, structs

from .._wire import client
from .._wire.config import ConfigOptions, ToolDefinition
from . import timers
from .context import Context, Reply
from .effects import FlushAudio, Gate, Log, Send, SetAudioGate, StartTimer, StopTimer
from .guards import a_reset_is_due
from .prompt import render_history, system_prompt

MAX_HELD_MESSAGES = 1_000
"""Control messages that wait while no connection serves, which is for seconds."""


def send_config(context: Context) -> None:
    """Send the config, once, with the conversation so far in the prompt."""
    # It begins a conversation of its own, which has yet to be named.
    context.conversation_id = None
    options = config_for(context, welcome=not context.continuing)
    context.put(
        Send(client.Config(**structs.asdict(options))),
        StartTimer(timers.ANSWER_OVERDUE, context.settings.answer_timeout),
    )


def deliver(context: Context, message: client.ClientMessage) -> None:
    """Send a message, or keep it until the server is ready."""
    if context.conversing:
        tell_changes(context)
        _send(context, message)
    elif len(context.held) < MAX_HELD_MESSAGES:
        context.held.append(message)
    else:
        name = message.__struct_config__.tag
        context.put(Log("warning", f"{MAX_HELD_MESSAGES} messages wait already: {name} is dropped"))


def release(context: Context) -> None:
    """The server is ready: changes go first, then what was held, then a reply that waits."""
    tell_changes(context)
    for message in context.held:
        _send(context, message)
    context.held.clear()
    if context.reply is not None and context.reply.phase == "waiting":
        send_request(context, context.reply)


def send_request(context: Context, reply: Reply) -> None:
    """Ask for a reply."""
    reply.phase = "asked"
    if isinstance(reply.message, client.Mute):
        mute(context)
    else:
        context.put(Send(reply.message))


def audio_gate(context: Context) -> Gate:
    """What becomes of the caller's audio while the server is ready."""
    return "holding" if context.microphone == "muted" else "open"


def unmute(context: Context) -> None:
    """Push-to-talk: Phonic hears the caller from here on, what was kept of the audio first."""
    context.microphone = "unmuted"
    context.put(Send(client.Unmute()), SetAudioGate("open"))


def mute(context: Context) -> None:
    """Push-to-talk: the caller has let go; Phonic, which has heard all of it, answers."""
    context.microphone = "muted"
    context.put(FlushAudio(), Send(client.Mute()), SetAudioGate("holding"))


def tell_changes(context: Context) -> None:
    """Send what was changed since the server was last told, in one message."""
    if not context.changes:
        return
    if a_reset_is_due(context):
        context.leftover = "none"
        microphone = context.microphone
        context.put(Send(client.Reset(config_for(context, welcome=False))))
        if context.microphone != microphone:
            context.put(SetAudioGate(audio_gate(context)))
    elif "instructions" in context.changes:
        prompt = system_prompt(context.instructions or "", context.carried)
        context.put(Send(client.UpdateSystemPrompt(prompt)))
    else:
        context.put(Send(client.UpdateToolsSubset(_tools(context))))
    context.changes.clear()
    context.put(StopTimer(timers.CHANGES_DUE))


def config_for(context: Context, *, welcome: bool) -> ConfigOptions:
    """The whole config; the history that it carries is remembered for later prompts.

    With push-to-talk a conversation begins muted (assumed).
    """
    # What was typed goes out with the request for the reply to it.
    context.carried = render_history(i for i in context.history if i.id not in context.typed)
    context.changes.clear()
    context.microphone = "muted" if context.push_to_talk else "unmuted"
    options = structs.replace(
        context.config,
        system_prompt=system_prompt(context.instructions or "", context.carried),
        tools=_tools(context),
    )
    if not welcome:
        return structs.replace(options, welcome_message=None, generate_welcome_message=False)
    # At first, tools that are not given are left to the Phonic agent; later, none means none.
    return options if options.tools else structs.replace(options, tools=UNSET)


def _tools(context: Context) -> list[ToolDefinition]:
    return [*(context.config.tools or ()), *(context.tools or ())]


def _send(context: Context, message: client.ClientMessage) -> None:
    if isinstance(message, client.ToolCallOutput):
        context.unacknowledged[message.tool_call_id] = message
    context.put(Send(message))
