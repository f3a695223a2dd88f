"""Changes of instructions, tools and options, before and after the config is sent."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, structs

from ..._wire import client, server
from ..._wire.config import ConfigOptions
from .. import events, outgoing, timers
from ..context import Change, Context
from ..effects import Log, StartTimer
from ..events import Event
from ..guards import a_reset_is_due, answer_has_not_begun, is_spoken_about
from ..turns import await_answer, end_caller_speech, end_turn, take_back_unclaimed


def note_changes(context: Context, event: events.SettingsEvent | events.ClearAudio) -> None:
    """Note what the server has to be told."""
    for change in _changes(context, event):
        context.changes.add(change)
        if change == "history":
            context.history.replace(event.items)  # type: ignore[union-attr, arg-type]
        elif change == "config":
            _take_config(context, event.config)  # type: ignore[union-attr]
        elif change != "caller_turn":
            setattr(context, change, getattr(event, change))


def _take_config(context: Context, config: ConfigOptions) -> None:
    was_push_to_talk = context.push_to_talk
    context.config = config
    if context.push_to_talk and not was_push_to_talk and not context.conversing:
        context.microphone = "muted"
        context.put(outgoing.gate(context))


def note_tool_choice(context: Context, event: events.UpdateToolChoice) -> None:
    """Note which of the application's tools Phonic may call."""
    if event.offered != context.offered:
        context.offered = event.offered
        if context.tools:
            context.changes.add("tools")


def tell_soon(context: Context, event: Event) -> None:
    """Tell Phonic at the end of the tick, together with other changes."""
    if context.changes:
        context.put(StartTimer(timers.CHANGES_DUE, 0.0))


def replace_prompt_update(context: Context, event: server.Error | server.Warning) -> None:
    """Note that Phonic refuses ``update_system_prompt``, and tell what it said in another way."""
    if context.prompt_updates == "sent":
        context.changes.add("instructions")
    if context.prompt_updates != "refused":
        context.prompt_updates = "refused"
        context.put(
            Log("info", "Phonic refuses update_system_prompt; instructions become system messages")
        )


def cut_off_turns(context: Context, event: Event) -> None:
    """Close the open generation as interrupted, and let calls go: a reset is about to follow.

    An answer that LiveKit does not know of is taken back. An answer to a tool's output that was
    due is asked for, also if LiveKit has just interrupted it, as it does at a handoff.
    """
    answer_was_open = answer_has_not_begun(context, event)
    end_turn(context, interrupted=True)
    output = context.history.last_output()
    answer_is_due = answer_was_open or (output is not None and is_spoken_about(context, output))
    take_back_unclaimed(context)
    if context.caller_speaks:
        # What Phonic hears after the reset is a turn of its own.
        del context.caller_turns[-1:]
    end_caller_speech(context)
    context.leftover = "reset"
    outgoing.let_calls_go(context)
    if answer_is_due:
        await_answer(context, within=timers.SOON)


def cut_off_turns_for_reset(context: Context, event: Event) -> None:
    """If only a reset can tell it, close the open generation as interrupted, and let calls go."""
    if a_reset_is_due(context):
        cut_off_turns(context, event)


def drop_former_agent(context: Context, event: events.UpdateSession) -> None:
    """Forget what belongs to the agent that hands over: typed text, and which tools it offers.

    With push-to-talk, the caller's turn ends, as it does with a reset.
    """
    context.typed.clear()
    context.offered = None
    if context.caller_holds_the_button and not context.conversing:
        take_back_unclaimed(context)
        context.microphone = "muted"
        context.put(outgoing.gate(context))


def note_external_id(context: Context, event: events.SetExternalId) -> None:
    """Put the application's own id for the conversation into the config."""
    context.config = structs.replace(context.config, external_id=event.external_id)


def set_external_id(context: Context, event: events.SetExternalId) -> None:
    """Tell Phonic the application's own id for the conversation."""
    note_external_id(context, event)
    outgoing.deliver(context, client.SetExternalId(event.external_id))


def tell_changes(context: Context, event: Event) -> None:
    """Send what changed: the prompt, the tools, or a reset if it is more than one of them."""
    outgoing.tell_changes(context)


def _changes(context: Context, event: events.SettingsEvent | events.ClearAudio) -> Iterator[Change]:
    """What the event changes. The same value again is no change."""
    instructions = getattr(event, "instructions", UNSET)
    if instructions is not UNSET and instructions != context.instructions:
        yield "instructions"
    tools = getattr(event, "tools", UNSET)
    if tools is not UNSET and tools != context.tools:
        yield "tools"
    if getattr(event, "config", context.config) != context.config:
        yield "config"
    if getattr(event, "items", UNSET) is not UNSET:
        yield "history"
    if isinstance(event, events.ClearAudio):
        yield "caller_turn"
