"""Finds the call that this process is to go on with, and takes it over.

``RealtimeModel.recover`` does it before there is a session; the model's next session then goes on
from what is made here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from functools import partial

import anyio
import anyio.to_thread
from livekit.agents import JobContext

from .._core.timers import GRACE
from .._runtime.fence import BEAT
from ..durable._dispatch import errand_in
from ..durable._fold import Folded, Unreadable, fold
from ..durable._ownership import Ownership
from ..durable._process import this_process
from ..durable._store import (
    HEAD_START,
    Ended,
    Holder,
    Journal,
    JournalError,
    Journals,
    NoJournal,
    OwnershipLost,
    Status,
    StoreFailed,
    Taken,
)
from .awaited import AwaitedCall, wait_for
from .errors import CallTakenOver
from .journal import holder_in
from .succession import Inherited, Remnant, Succession
from .takeover import Unread, answer, remove_former_agent, take_over

logger = logging.getLogger("phonic_fsm")

STARTS_WITHIN = 20.0
"""How long (s) an agent may take from its recovery to its session. Then the call is another's."""

LOOK_FOR_A_BEAT_EVERY = 0.1
"""Seconds between two looks whether the process that has a room's call works."""


@dataclass(frozen=True)
class BeginsAnew:
    """A call that begins anew here, as the store has failed."""

    journal: Journal | str
    """Its journal, which is still to be ended; its name if this process does not have it."""


async def find_and_take_over(
    store: Journals, context: JobContext | str
) -> tuple[Inherited | AwaitedCall, str] | BeginsAnew | None:
    """The call that this job is to go on with, and the metadata of its first job. One that moves is
    not there yet.

    ``None``: there is no such call, or it begins anew, and its journal has been ended. The log says
    why. Outside of a job, ``context`` is the journal's name.

    Raises:
        CallTakenOver: the call is not this job's to go on with. The job is shut down.
    """
    room = "" if isinstance(context, str) else context.job.room.name
    moves = not isinstance(context, str) and _moves(context)
    succession: Inherited | AwaitedCall
    try:
        status = await _find(store, context)
        if status is None:
            return None
        metadata = status.holder.metadata
        holder = this_process() if isinstance(context, str) else holder_in(context, metadata)
        if not isinstance(context, str) and moves and status.held == "held":
            succession = await wait_for(store, status, holder, context)
        else:
            succession = await _take_over_what_can_be_read(store, status, holder)
    except Unread as error:
        logger.warning("the call in room %s begins anew: %s", room, error)
        return BeginsAnew(error.journal)
    except JournalError as error:
        # In a move, the process before still has the call if the store fails.
        others = (Taken, Ended, OwnershipLost)
        is_anothers = isinstance(error, others) or (moves and isinstance(error, StoreFailed))
        if not is_anothers:
            logger.warning("the call in room %s begins anew: %s", room, error)
            return _begins_anew(context, error)
        # A second agent must not begin to talk to the caller.
        if not isinstance(context, str):
            logger.info("the job %s is shut down: %s", context.job.id, error)
            context.shutdown(str(error))
        raise CallTakenOver(str(error), body=None, retryable=False) from error
    moved = isinstance(succession, AwaitedCall) or (
        isinstance(succession, Succession) and succession.moved
    )
    if not isinstance(context, str) and not moved:
        await remove_former_agent(context, status.holder)
    return succession, metadata


async def _take_over_what_can_be_read(store: Journals, status: Status, holder: Holder) -> Inherited:
    """Take a journal over, and read it; if that fails, go on with its conversation.

    Raises:
        JournalError: as for ``take_over``, or Phonic keeps no conversation that it names.
    """

    async def read() -> Folded:
        return await answer(lambda: fold(store.read(status.name)))

    died = time.time() - status.beat_age
    try:
        taken = await take_over(store, status, holder, read)
    except Unread as error:
        # The call goes on here without it, and nobody else is to go on with it.
        is_ended = await _end(error.journal)
        problem = error.problem
        conversation_id = problem.conversation_id if isinstance(problem, Unreadable) else None
        if conversation_id is None or time.time() - died >= GRACE:
            if is_ended:
                raise problem from None
            raise
        logger.warning(
            "the journal %s cannot be read, so the call goes on by its conversation alone, and in "
            "a journal of its own: %s",
            status.name,
            problem,
        )
        return Remnant(conversation_id, died, None if is_ended else error.journal)
    shows = asyncio.create_task(_show_that_it_starts(taken.ownership), name="phonic-start")
    return replace(taken, starting=shows)


async def _end(journal: Journal) -> bool:
    """End a journal; returns whether the store has done it."""
    try:
        await anyio.to_thread.run_sync(journal.end)
    except StoreFailed:
        return False
    return True


async def _show_that_it_starts(ownership: Ownership) -> None:
    """Beat until cancelled, once the head start is over. If the process dies, that soon shows."""
    with anyio.move_on_after(STARTS_WITHIN):
        await anyio.sleep(HEAD_START - BEAT)
        while True:
            ownership.beat(lambda _: None)
            await anyio.sleep(BEAT)


def _begins_anew(context: JobContext | str, error: JournalError) -> BeginsAnew | None:
    """With the journal that is named, if it may be there: the store has failed."""
    name = _name(context)
    may_be_there = isinstance(error, StoreFailed) and not isinstance(error, NoJournal)
    return BeginsAnew(name) if name is not None and may_be_there else None


def _moves(context: JobContext) -> bool:
    errand = errand_in(context.job.metadata)
    return errand is not None and errand.moves


def _name(context: JobContext | str) -> str | None:
    """The journal that is named, as a guard's dispatch does."""
    if isinstance(context, str):
        return context
    errand = errand_in(context.job.metadata)
    return errand.phonic_fsm_journal if errand is not None else None


async def _find(store: Journals, context: JobContext | str) -> Status | None:
    """The journal that is named, or else that of the room."""
    name = _name(context)
    if name is not None:
        return await answer(partial(store.status, name))
    assert not isinstance(context, str)
    return await _find_in_room(store, context)


async def _find_in_room(store: Journals, context: JobContext) -> Status | None:
    """The newest call of this agent's name in this room that nobody has; ``None`` if there is none.

    If a process has one, its next heartbeat is waited for, as it may have died just now.

    Raises:
        Taken: it works. A second agent would talk over the first.
    """
    since = time.monotonic()
    while True:
        there = [
            status
            for status in await anyio.to_thread.run_sync(store.statuses)
            if _is_for(status.holder, context)
        ]
        held = [status for status in there if status.held == "held"]
        if not held:
            return min(there, key=lambda one: one.beat_age, default=None)
        # In a successor's head start, the age is 0 whether it works or not.
        if any(0 < status.beat_age < time.monotonic() - since for status in held):
            raise Taken(f"another process has the call in room {context.job.room.name}")
        await anyio.sleep(LOOK_FOR_A_BEAT_EVERY)


def _is_for(holder: Holder, context: JobContext) -> bool:
    """Whether the holder has, or had, what this job is asked for: not this job, but one like it."""
    job = context.job
    here = this_process()
    is_this_job = (holder.job, holder.host, holder.pid) == (job.id, here.host, here.pid)
    return holder.room == job.room.name and holder.agent_name == job.agent_name and not is_this_job
