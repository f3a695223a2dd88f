"""Choices: the last action of a row, where the state follows from what the session remembers.

In statechart terms such a row is an internal transition that ends in a choice. No row spells out
the rules that stand here, and nothing but a choice and a row's own target sets the state.
"""

from __future__ import annotations

from .. import outgoing
from ..context import Context
from ..events import Event
from ..states import State


def settle(context: Context, event: Event) -> None:
    """Settle in the state that follows from what is remembered."""
    if context.generation is not None:
        context.state = State.speaking
    elif context.caller_speaks:
        context.state = State.listening
    elif context.pending_calls:
        context.state = State.tool_pending
    else:
        context.state = State.ready


def configure(context: Context, event: Event) -> None:
    """Send the config once instructions and tools have both been given; until then, wait."""
    if context.instructions is None or context.tools is None:
        context.state = State.awaiting_inputs
    else:
        outgoing.send_config(context)
        context.state = State.config_sent
