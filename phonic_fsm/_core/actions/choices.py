"""Choices: rules by which the next state follows from what the session remembers.

A choice is the last action of its row. In statechart terms, such a row is an internal transition
that ends in a choice. Only a choice, or the target of a row, sets the state; no row spells out a
rule that stands here.
"""

from __future__ import annotations

from .. import outgoing, timers
from ..context import Context
from ..effects import StartTimer
from ..events import Event
from ..states import State
from ..turns import ask_if_possible, repeat_calls


def settle(context: Context, event: Event) -> None:
    """Go to the state that follows from who speaks and what is pending.

    A reply that waited for the end of a turn is asked for now, and calls that did are repeated.
    """
    if context.reply is not None:
        ask_if_possible(context)
    if context.repeats:
        repeat_calls(context)
    if context.generation is not None:
        context.state = State.speaking
    elif context.caller_speaks:
        context.state = State.listening
    elif context.calls_in("pending"):
        context.state = State.tool_pending
    else:
        context.state = State.ready
        if "past" in context.changes and context.rests:
            context.put(StartTimer(timers.CHANGES_DUE, 0.0))


def configure(context: Context, event: Event) -> None:
    """Send the config if instructions and tools have both been given; otherwise, wait for them."""
    if context.instructions is None or context.tools is None:
        context.state = State.awaiting_inputs
    else:
        outgoing.send_config(context)
        context.state = State.config_sent
