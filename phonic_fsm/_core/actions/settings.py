"""Instructions, tools and options, before the config is sent and after."""

from __future__ import annotations

from msgspec import structs

from ..._wire import client
from .. import events, outgoing, timers
from ..context import Change, Context
from ..effects import StartTimer
from ..events import Event
from ..guards import changes_of
from ..turns import end_turn, end_user_speech


def take_inputs(context: Context, event: events.SettingsEvent) -> None:
    """Take the instructions, tools or history for the config."""
    _take(context, event)


def note_changes(context: Context, event: events.SettingsEvent | events.ClearAudio) -> None:
    """Note what changed; it goes out at the end of the tick, in one message."""
    context.changes |= _take(context, event)
    if context.changes and context.gate == "open":
        context.put(StartTimer(timers.CHANGES_DUE, 0.0))


def end_turns(context: Context, event: Event) -> None:
    """Close the open generation as interrupted: a reset is about to start a fresh turn."""
    end_turn(context, interrupted=True)
    end_user_speech(context)
    context.discarding = True


def drop_former_agent(context: Context, event: events.UpdateSession) -> None:
    """Forget the calls and the typed text of the agent that hands over."""
    context.pending_calls.clear()
    context.typed.clear()


def take_external_id(context: Context, event: events.SetExternalId) -> None:
    """Put the user's own id of the conversation into the config."""
    context.config = structs.replace(context.config, external_id=event.external_id)


def set_external_id(context: Context, event: events.SetExternalId) -> None:
    """Tell Phonic the user's own id of the conversation."""
    take_external_id(context, event)
    outgoing.deliver(context, client.SetExternalId(event.external_id))


def tell_changes(context: Context, event: Event) -> None:
    """Send what changed: the prompt, the tools, or a reset for more than one of them."""
    outgoing.tell_changes(context)


def _take(context: Context, event: events.SettingsEvent | events.ClearAudio) -> set[Change]:
    """Take the event's values; the result says which of them are new."""
    changes = changes_of(context, event)
    for change in changes:
        if change == "conversation":
            context.conversation.replace(event.items)  # type: ignore[union-attr, arg-type]
        elif change != "caller_turn":
            setattr(context, change, getattr(event, change))
    return changes
