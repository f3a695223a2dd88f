"""How a process takes over a call that another one had: its journal, and its place in the room."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import aiohttp
import anyio
import anyio.to_thread
from livekit import api
from livekit.agents import JobContext

from .._core.states import State
from ..durable._fold import Folded
from ..durable._ownership import Ownership
from ..durable._store import (
    Ended,
    Holder,
    Journal,
    JournalError,
    Journals,
    NoJournal,
    Status,
    StoreFailed,
)
from .succession import Succession

logger = logging.getLogger("phonic_fsm")

T = TypeVar("T")

REMOVED_WITHIN = 2.0
"""Seconds that LiveKit gets to remove the participant of the process that is gone."""

STORE_BACK_WITHIN = 10.0
"""How long (s) a store that does not work is waited for, if a call is to be gone on with that it is
known to have: a Redis that fails over is away for some seconds."""

ASK_STORE_EVERY = 0.2
"""Seconds between two attempts meanwhile."""


class Unread(JournalError):
    """A journal is this process's now, and cannot be read; ``problem`` says why.

    It is still to be ended, or a guard would send another agent.
    """

    def __init__(self, problem: JournalError, journal: Journal) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.journal = journal


async def take_over(
    store: Journals, status: Status, holder: Holder, read: Callable[[], Awaitable[Folded]]
) -> Succession:
    """Take over a journal that nobody has, and read it.

    Raises:
        Unread: it cannot be read.
        Ended: the call is over.
        JournalError: it cannot be taken over; the subclass says why.
    """
    beat = time.time() - status.beat_age
    journal = await answer(partial(store.take_over, status.name, holder))
    try:
        folded = await read()
    except JournalError as error:
        raise Unread(error, journal) from error
    if folded.machine.state is State.closed:
        with suppress(StoreFailed):  # whoever takes it over next, does it then
            await anyio.to_thread.run_sync(journal.end)
        raise Ended(f"the call of journal {status.name} is over")
    if not folded.is_complete:
        logger.warning(
            "the journal %s is not complete; the call goes on from what it has", status.name
        )
    return Succession(
        journal,
        Ownership(store, status.name, holder, journal),
        folded,
        died=max(beat, folded.started.timestamp() + folded.last),
        moved=status.handed_over,
    )


async def answer(question: Callable[[], T]) -> T:
    """What the store answers, in a thread, once it works.

    Raises:
        StoreFailed: it has not answered within ``STORE_BACK_WITHIN``.
    """
    return await anyio.to_thread.run_sync(_insist, question)


def _insist(question: Callable[[], T]) -> T:
    until, is_told = time.monotonic() + STORE_BACK_WITHIN, False
    while True:
        try:
            return question()
        except NoJournal:
            raise
        except StoreFailed as error:
            if time.monotonic() >= until:
                raise
            if not is_told:
                logger.warning("the store of the journals is waited for: %s", error)
                is_told = True
        time.sleep(ASK_STORE_EVERY)


async def remove_former_agent(context: JobContext, holder: Holder) -> None:
    """Remove the dead process's participant: the caller would see two agents, and wait for one."""
    room, identity = holder.room, holder.identity
    if not identity or identity == context.local_participant_identity:
        return
    try:
        with anyio.fail_after(REMOVED_WITHIN):
            await context.api.room.remove_participant(
                api.RoomParticipantIdentity(room=room, identity=identity)
            )
    except api.TwirpError as error:
        if error.code != api.TwirpErrorCode.NOT_FOUND:
            logger.warning("the former agent stays in room %s: %s", room, error)
    except (aiohttp.ClientError, TimeoutError) as error:
        logger.warning("the former agent stays in room %s: %s", room, error or "no answer")
