"""Why a step came out as it did: the rows that were tried, and what the session remembers then.

A trace does not hold this. A replay can tell it, since the machine says what its guards answered,
and its memory is at hand.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import Struct

from .._core.context import Context
from .._core.events import Event, name_of
from .._core.machine import Answers, SessionMachine, Step
from .._core.table import Row, rows_for

_rows_for = cache(rows_for)


class Tried(Struct, frozen=True):
    """A row of the table that was tried."""

    row: Row
    answers: tuple[bool, ...]
    """What its guards said, in their order, up to the first no."""


class Explanation(Struct, frozen=True):
    tried: tuple[Tried, ...]
    """In the order of the table; the last one was taken."""
    context: dict[str, Any]
    """The session's memory after the step, see ``snapshot``."""


def explain(machine: SessionMachine, event: Event) -> tuple[Step, Explanation]:
    """Have the machine take the event, and note what led it."""
    answers: Answers = []
    step = machine.step(event, answers)
    rows = _rows_for(step.source, name_of(event))
    tried = tuple(Tried(row, tuple(said)) for row, said in zip(rows, answers, strict=False))
    return step, Explanation(tried, snapshot(machine.context))


def snapshot(context: Context) -> dict[str, Any]:
    """What a session remembers, as plain values under the context's own names.

    Flat, so that what a step leaves alone can be told from what it changes. Texts stand as their
    length, messages as their types; the config and the conversation are left out.
    """
    generation, reply = context.generation, context.reply
    return {
        "user_speaking": context.user_speaking,
        "generation": generation and generation.response_id,
        "generation.phase": generation and generation.phase,
        "generation.seconds": generation and round(generation.seconds, 3),
        "generation.characters": generation and len(generation.text),
        "pending_calls": dict(context.pending_calls),
        "unacknowledged": list(context.unacknowledged),
        "reply": reply and reply.request_id,
        "reply.message": reply and _tag(reply.message),
        "reply.phase": reply and reply.phase,
        "held": [_tag(message) for message in context.held],
        "changes": sorted(context.changes),
        "typed": list(context.typed.values()),
        "microphone": context.microphone,
        "unclaimed": context.unclaimed,
        "wait": context.wait,
        "orphaned_calls": sorted(context.orphaned_calls),
        "drops": context.drops,
        "leftover": context.leftover,
        "attempts": context.attempts,
        "continuing": context.continuing,
        "conversation_id": context.conversation_id,
        "last_message_id": context.last_message_id,
    }


def _tag(message: Struct) -> str:
    return str(message.__struct_config__.tag)
