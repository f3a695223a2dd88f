"""The machine itself: one ``transitions.Machine`` for the process, one context per session.

``transitions`` keeps its models in a list and hangs methods on each; a session would stay alive
in it and cost much to make. So the one machine has no model of its own: an event's transitions
are triggered on whatever context is at hand, which only needs a ``state``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from transitions import Machine

from .context import Context, Settings
from .effects import Effect
from .events import EVENTS, Event
from .states import State
from .table import TABLE

# transitions logs every callback at INFO; at 50 audio chunks a second nobody can want that.
_transitions_logger = logging.getLogger("transitions")
if _transitions_logger.level == logging.NOTSET:
    _transitions_logger.setLevel(logging.WARNING)


class Step(Struct, frozen=True):
    """What one event made of a session."""

    event: Event
    source: State
    target: State
    effects: list[Effect]
    """To be carried out in this order."""


def _triggers() -> dict[type[Any], Callable[..., bool]]:
    machine = Machine(
        model=None,
        states=State,
        initial=State.connecting,
        auto_transitions=False,
        send_event=False,
    )
    for row in TABLE:
        machine.add_transition(
            trigger=row.event,
            source=list(row.sources),
            dest=row.target,
            conditions=list(row.guards),
            before=list(row.actions),
        )
    return {kind: machine.events[name].trigger for name, kind in EVENTS.items()}


_TRIGGERS = _triggers()


class SessionMachine:
    """One session's machine: feed it events, carry out the effects that each step returns."""

    __slots__ = ("context",)

    def __init__(self, settings: Settings) -> None:
        self.context = Context(settings=settings, config=settings.config)

    @property
    def state(self) -> State:
        return self.context.state

    def step(self, event: Event) -> Step:
        """Take one event. Never waits, never raises for anything that an event holds."""
        context = self.context
        source = context.state
        effects: list[Effect] = []
        context.effects = effects
        _TRIGGERS[type(event)](context, context, event)
        return Step(event, source, context.state, effects)
