"""Finds the call that this process is to go on with, and takes it over.

``RealtimeModel.recover`` does it before there is a session; the model's next session then goes on
from what is made here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import aiohttp
import anyio
import anyio.to_thread
import msgspec
from livekit import api
from livekit.agents import JobContext, get_job_context, llm

from .._core import memory
from .._core.context import Settings
from .._core.events import TakeOver
from .._core.history import Message
from .._core.machine import SessionMachine
from .._core.states import State
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
    journal_name,
)
from . import chat
from .errors import CallTakenOver
from .past import Past

logger = logging.getLogger("phonic_fsm")

T = TypeVar("T")

_Read = tuple[str, Folded]
"""How far a journal was read, and what it came to."""

LONGEST_STATE = 64 * 2**10
"""The most bytes of what the application remembers, as JSON."""

STARTS_WITHIN = 20.0
"""How long (s) an agent may take from its recovery to its session. Then the call is another's."""

REMOVED_WITHIN = 2.0
"""Seconds that LiveKit gets to remove the participant of the process that is gone."""


STORE_BACK_WITHIN = 10.0
"""How long (s) a store that does not work is waited for, if a call is to be gone on with that it is
known to have: a Redis that fails over is away for some seconds."""

ASK_STORE_EVERY = 0.2
"""Seconds between two attempts meanwhile."""

LONGEST_HANDOVER = 15.0
"""How long (s) a successor waits for the call. The process that has it waits 10 s for a moment."""

LONGEST_LULL = 5.0
"""How long (s) a successor waits for a moment at which nobody speaks, before its agent starts: what
the agent is told of is whole then."""

ASK_EVERY = 1.0
"""Seconds between two times that a successor says that it is ready."""

LOOK_EVERY = 0.02
"""Seconds between two looks whether the call was handed over."""

LOOK_FOR_A_BEAT_EVERY = 0.1
"""Seconds between two looks whether the process that has a room's call works."""


@dataclass(frozen=True)
class Succession:
    """What a session goes on from."""

    journal: Journal
    ownership: Ownership
    folded: Folded
    died: float
    """When the process before was last alive, or handed the call over (s since 1970)."""
    starting: asyncio.Task[None] | None = None
    """Shows that this process works, until its session does, if there is none yet."""
    moved: bool = False
    """Whether it was handed over."""
    parting: bytes = b""
    """What the process before has told of the caller's audio, as it left."""

    @property
    def machine(self) -> SessionMachine:
        return self.folded.machine

    @property
    def number(self) -> int:
        return self.journal.number

    def event(self, repeatable: tuple[str, ...]) -> TakeOver:
        """The first event of the session that goes on."""
        now = time.time()
        account, started = self.folded.account, self.folded.started.timestamp()
        lost = self.died
        if self.machine.state is State.reconnecting and account.lost_at is not None:
            lost = started + account.lost_at
        return TakeOver(
            cause="move" if self.moved else "death",
            lost_for=round(max(now - lost, 0.0), 3),
            repeatable=repeatable,
            unheard=account.unheard(self.died - started),
        )

    def items(self, machine: SessionMachine) -> list[llm.ChatItem]:
        """The history as chat items, each with the time when it was added."""
        return _items(self.folded, machine)

    def past(self, repeatable: tuple[str, ...], metadata: str) -> Past:
        """What the agent is told. The machine itself takes no step yet."""
        context = self.machine.context
        preview = SessionMachine.from_memory(memory.encode(context), context.settings)
        event = self.event(repeatable)
        preview.step(event)
        spoken = [
            item.text
            for item in preview.context.history
            if isinstance(item, Message) and item.role == "assistant" and item.interrupted
        ]
        cut_off = event.unheard or context.generation is not None
        return Past(
            chat_ctx=llm.ChatContext(self.items(preview)),
            state=self.folded.account.state,
            interrupted=(spoken[-1] if spoken else "") if cut_off else None,
            conversation_id=context.conversation_id,
            gap=round(time.time() - self.died, 3),
            metadata=metadata,
        )


class AwaitedCall:
    """A call that another process still has, and is to hand over to this one.

    The agent starts meanwhile, so that little is left to do once the call is handed over.
    """

    def __init__(
        self, store: Journals, status: Status, holder: Holder, context: JobContext, read: _Read
    ) -> None:
        self._store, self._status, self._holder, self._context = store, status, holder, context
        self._mark, self.folded = read
        self._state = self.folded.account.state
        """What the application had remembered when the agent was told."""

    @property
    def machine(self) -> SessionMachine:
        return self.folded.machine

    @property
    def number(self) -> int:
        return self._status.number + 1

    def items(self) -> list[llm.ChatItem]:
        """The history so far as chat items, each with the time when it was added."""
        return _items(self.folded, self.machine)

    def past(self, metadata: str) -> Past:
        """What the agent is told. Nothing has been cut off, as the call goes on."""
        return Past(
            chat_ctx=llm.ChatContext(self.items()),
            state=self.folded.account.state,
            interrupted=None,
            conversation_id=self.machine.context.conversation_id,
            gap=0.0,
            metadata=metadata,
        )

    async def until_it_rests(self) -> None:
        """Wait for a moment at which nobody speaks, or ``LONGEST_LULL``."""
        with anyio.move_on_after(LONGEST_LULL):
            while not self.machine.context.rests:
                await anyio.sleep(ASK_EVERY / 10)
                await self._read_on()
        self._state = self.folded.account.state

    async def handed_over(self) -> Succession:
        """Ask for the call, and take it over when it is handed over.

        Raises:
            Taken: it was not handed over in time, or what the agent was told is true no more.
            JournalError: as for ``take_over``.
        """
        until, asks_at = time.monotonic() + LONGEST_HANDOVER, 0.0
        while True:
            now = time.monotonic()
            if now >= asks_at:
                await self._read_on()
                if self.folded.account.state != self._state:
                    raise Taken("the call stays where it is: it has remembered something new")
                await self._ask()
                asks_at = now + ASK_EVERY
            status = await anyio.to_thread.run_sync(
                _insist, partial(self._store.status, self._status.name)
            )
            if status.number != self._status.number:
                raise Taken(f"another process has the call of journal {status.name}")
            if status.held != "held":
                # A guard that looks has it for a moment.
                with suppress(Taken):
                    return await self._take(status)
            if now >= until:
                raise Taken("the call stays where it is: it was not handed over in time")
            await anyio.sleep(LOOK_EVERY)

    async def _ask(self) -> None:
        name, number = self._status.name, self._status.number
        ask = partial(self._store.ask, name, number, "handover")
        await anyio.to_thread.run_sync(_insist, ask)

    async def _take(self, status: Status) -> Succession:
        died = time.time() - status.beat_age
        name = status.name
        take = partial(self._store.take_over, name, self._holder)
        journal = await anyio.to_thread.run_sync(_insist, take)
        await self._read_on()
        if self.machine.state is State.closed:
            await anyio.to_thread.run_sync(journal.end)
            raise Ended(f"the call of journal {name} is over")
        if not status.handed_over:
            await _remove(self._context, status.holder.room, status.holder.identity)
        ownership = Ownership(self._store, name, self._holder, journal)
        died = max(died, self.folded.started.timestamp() + self.folded.last)
        parting = await anyio.to_thread.run_sync(journal.take_parting)
        return Succession(
            journal, ownership, self.folded, died, moved=status.handed_over, parting=parting
        )

    async def _read_on(self) -> None:
        """Take what the journal has got since it was last read."""
        self._mark, lines = await anyio.to_thread.run_sync(
            _insist, partial(_read, self._store, self._status.name, self._mark)
        )
        self.folded.go_on(lines)

    def decline(self, problem: str) -> None:
        """End the job, as the call is not its own."""
        logger.info("the job %s is shut down: %s", self._context.job.id, problem)
        self._context.shutdown(problem)


def _read(store: Journals, name: str, after: str = "") -> tuple[str, list[bytes]]:
    """The lines behind a mark, and the mark behind them."""
    added = list(store.read_on(name, after))
    lines = [line for _, part in added for line in part.splitlines(keepends=True)]
    return (added[-1][0] if added else after), lines


def _items(folded: Folded, machine: SessionMachine) -> list[llm.ChatItem]:
    started, times = folded.started.timestamp(), folded.account.times
    return chat.restored(machine.context.history, started, times)


@dataclass(frozen=True)
class Remnant:
    """What a session goes on from if the journal cannot be read: Phonic's conversation."""

    conversation_id: str
    died: float
    """When the process before was last alive (s since 1970)."""

    @property
    def lost_for(self) -> float:
        """Seconds since then."""
        return round(max(time.time() - self.died, 0.0), 3)

    def event(self) -> TakeOver:
        """The first event of the session that goes on."""
        return TakeOver(lost_for=self.lost_for, conversation_id=self.conversation_id)

    def past(self, metadata: str) -> Past:
        """What the agent is told."""
        return Past(
            chat_ctx=llm.ChatContext.empty(),
            state=None,
            interrupted=None,
            conversation_id=self.conversation_id,
            gap=self.lost_for,
            metadata=metadata,
        )


Inherited = Succession | Remnant
"""What a session goes on from that has its call."""


_sessions = itertools.count(1)
"""Numbers the realtime sessions of this process: a job may have several."""


def new_ownership(store: Journals, settings: Settings) -> Ownership:
    """The journal of a new call. It begins with its first line."""
    context = get_job_context(required=False)
    number = next(_sessions)
    if context is None:
        return Ownership(store, journal_name("", settings.id_seed, number), this_process())
    holder = _holder(context, context.job.metadata)
    return Ownership(store, journal_name(holder.room, holder.job, number), holder)


def _holder(context: JobContext, metadata: str) -> Holder:
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


async def take_over(store: Journals, name: str, holder: Holder) -> Succession:
    """Take a journal over, and read it.

    Raises:
        JournalError: it cannot be taken over, or cannot be read; the subclass says why.
    """
    journal, folded, died, moved = await anyio.to_thread.run_sync(_take_over, store, name, holder)
    ownership = Ownership(store, name, holder, journal)
    starting = asyncio.create_task(_show_that_it_starts(ownership), name="phonic-start")
    return Succession(journal, ownership, folded, died, starting, moved)


async def _show_that_it_starts(ownership: Ownership) -> None:
    """Beat until cancelled, once the head start is over. If the process dies, that soon shows."""
    with anyio.move_on_after(STARTS_WITHIN):
        await anyio.sleep(HEAD_START - BEAT)
        while True:
            await ownership.beat()
            await anyio.sleep(BEAT)


def _insist(question: Callable[[], T]) -> T:
    """The store's answer, once it works again.

    Raises:
        StoreFailed: it has not answered within ``STORE_BACK_WITHIN``.
    """
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


def _take_over(store: Journals, name: str, holder: Holder) -> tuple[Journal, Folded, float, bool]:
    status = _insist(partial(store.status, name))
    if status.held == "held":
        raise Taken(f"the journal {name} has an owner that works")
    beat = time.time() - status.beat_age
    journal = _insist(partial(store.take_over, name, holder))
    try:
        folded = _insist(lambda: fold(store.read(name)))
        if folded.machine.state is State.closed:
            raise Ended(f"the call of journal {name} is over")
    except JournalError:
        # Nobody else can go on with it either.
        journal.end()
        raise
    died = max(beat, folded.started.timestamp() + folded.last)
    if not folded.is_complete:
        logger.warning("the journal %s is not complete; the call goes on from what it has", name)
    return journal, folded, died, status.handed_over


async def find_and_take_over(
    store: Journals, context: JobContext | str
) -> tuple[Inherited | AwaitedCall, str] | None:
    """The call that this job is to go on with, and the metadata of its first job. One that moves is
    not there yet.

    ``None`` if there is none, or it cannot be gone on with; the log says why. Outside of a job,
    ``context`` is the journal's name.

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
        holder = this_process() if isinstance(context, str) else _holder(context, metadata)
        if not isinstance(context, str) and moves and status.held == "held":
            succession = await _wait_for(store, status, holder, context)
        else:
            succession = await _take_over_what_can_be_read(store, status, holder)
    except JournalError as error:
        # In a move, the process before still has the call if the store fails.
        others = (Taken, Ended, OwnershipLost)
        is_anothers = isinstance(error, others) or (moves and isinstance(error, StoreFailed))
        if not is_anothers:
            logger.warning("the call in room %s begins anew: %s", room, error)
            return None
        # A second agent must not begin to talk to the caller.
        if not isinstance(context, str):
            logger.info("the job %s is shut down: %s", context.job.id, error)
            context.shutdown(str(error))
        raise CallTakenOver(str(error), body=None, retryable=False) from error
    moved = isinstance(succession, AwaitedCall) or (
        isinstance(succession, Succession) and succession.moved
    )
    if not isinstance(context, str) and not moved:
        await _remove(context, room, status.holder.identity)
    return succession, metadata


async def _take_over_what_can_be_read(store: Journals, status: Status, holder: Holder) -> Inherited:
    """Take a journal over, and read it; if that fails, go on with its conversation.

    Raises:
        JournalError: as for ``take_over``, or Phonic keeps no conversation that it names.
    """
    died = time.time() - status.beat_age
    try:
        return await take_over(store, status.name, holder)
    except Unreadable as error:
        if error.conversation_id is None or time.time() - died >= GRACE:
            raise
        logger.warning(
            "the journal %s cannot be read, so the call goes on by its conversation alone, and in "
            "a journal of its own: %s",
            status.name,
            error,
        )
        return Remnant(error.conversation_id, died)


async def _wait_for(
    store: Journals, status: Status, holder: Holder, context: JobContext
) -> AwaitedCall:
    """Join the room, and wait for a moment to begin.

    Raises:
        Taken: it cannot be read here, so it stays where it is.
    """
    try:
        mark, lines = await anyio.to_thread.run_sync(_read, store, status.name)
        folded = await anyio.to_thread.run_sync(fold, lines)
    except Unreadable as error:
        raise Taken(f"the call stays where it is: its journal cannot be read: {error}") from None
    await context.connect()
    awaited = AwaitedCall(store, status, holder, context, (mark, folded))
    await awaited.until_it_rests()
    return awaited


def _moves(context: JobContext) -> bool:
    errand = errand_in(context.job.metadata)
    return errand is not None and errand.moves


def _named(metadata: str) -> str | None:
    """The journal that a guard's dispatch names."""
    errand = errand_in(metadata)
    return errand.phonic_fsm_journal if errand is not None else None


async def _find(store: Journals, context: JobContext | str) -> Status | None:
    """The journal that is named, or else that of the room."""
    named = context if isinstance(context, str) else _named(context.job.metadata)
    if named is not None:
        return await anyio.to_thread.run_sync(_insist, partial(store.status, named))
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


async def _remove(context: JobContext, room: str, identity: str) -> None:
    """Remove the dead process's participant: the caller would see two agents, and wait for one."""
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
