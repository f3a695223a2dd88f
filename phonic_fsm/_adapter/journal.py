"""The journal of a new call, and what the application keeps in it."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from livekit.agents import JobContext, get_job_context

from .._core.context import Settings
from ..durable._ownership import Ownership
from ..durable._process import this_process
from ..durable._store import Holder, Journal, Journals, journal_name

LONGEST_STATE = 64 * 2**10
"""The most bytes of what the application remembers, as JSON."""

_sessions = itertools.count(1)
"""Numbers the realtime sessions of this process: a job may have several."""


def new_ownership(
    store: Journals, settings: Settings, former: Journal | str | None = None
) -> Ownership:
    """The journal of a call that begins. Its first line begins it.

    ``former`` is one of the same call that is still to be ended, or its name.
    """
    context = get_job_context(required=False)
    number = next(_sessions)
    if context is None:
        name, holder = journal_name("", settings.id_seed, number), this_process()
    else:
        holder = holder_in(context, context.job.metadata)
        name = journal_name(holder.room, holder.job, number)
    return Ownership(store, name, holder, former=former)


def holder_in(context: JobContext, metadata: str) -> Holder:
    """This process, in a job, as a journal's owner, with the metadata of the call's first job."""
    return this_process(
        room=context.job.room.name,
        job=context.job.id,
        agent_name=context.job.agent_name,
        identity=context.local_participant_identity,
        metadata=metadata,
    )


def rememberable(value: object) -> Any:
    """The value as JSON has it.

    Raises:
        ValueError: it is no JSON value, or takes more than ``LONGEST_STATE``.
    """
    try:
        data = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"remember: the value is no JSON value: {error}") from None
    if len(data) > LONGEST_STATE:
        raise ValueError(
            f"remember: the value takes {len(data):,} bytes; it may take {LONGEST_STATE:,}"
        )
    return msgspec.json.decode(data)
