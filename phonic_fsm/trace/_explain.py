"""Why a step came out as it did: the rows that were tried, and what the session remembers then.

A trace does not hold this. A replay can tell it, since guards only look, and the machine's memory
is at hand.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import Struct

from .._core.context import Context
from .._core.events import Event, name_of
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


def tried(context: Context, event: Event) -> tuple[Tried, ...]:
    """The rows that the machine is about to try. To be asked before the step."""
    rows = []
    for row in _rows_for(context.state, name_of(event)):
        answers = []
        for guard in row.guards:
            answers.append(guard(context, event))
            if not answers[-1]:
                break
        rows.append(Tried(row, tuple(answers)))
        if all(answers):
            break
    return tuple(rows)


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
