"""A call that another process still has, and is to hand over to this one."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial

import anyio
import anyio.to_thread
from livekit.agents import JobContext, llm

from .._core.machine import SessionMachine
from ..durable._fold import Folded, Unreadable, fold
from ..durable._store import Holder, Journals, OwnershipLost, Status, StoreFailed, Taken
from .past import Past
from .succession import Succession, history_items
from .takeover import answer, remove_former_agent, take_over

logger = logging.getLogger("phonic_fsm")

LONGEST_HANDOVER = 15.0
"""How long (s) a successor waits for the call. The process that has it waits 10 s for a moment."""

LONGEST_LULL = 5.0
"""How long (s) a successor waits for a moment at which nobody speaks, before its agent starts: what
the agent is told of is whole then."""

ASK_EVERY = 1.0
"""Seconds between two times that a successor says that it is ready."""

LOOK_EVERY = 0.02
"""Seconds between two looks whether the call was handed over."""


class AwaitedCall:
    """A call that another process still has, and is to hand over to this one.

    The agent starts meanwhile, so that little is left to do once the call is handed over.
    """

    def __init__(
        self,
        store: Journals,
        status: Status,
        holder: Holder,
        context: JobContext,
        *,
        folded: Folded,
        mark: str,
    ) -> None:
        """``folded`` is what the journal came to, as far as the ``mark``."""
        self._store, self._status, self._holder, self._context = store, status, holder, context
        self.folded, self._mark = folded, mark
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
        return history_items(self.folded, self.machine)

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
            OwnershipLost: the process that had the call has it no more, and what the agent was told
                is true no more. Another successor is to go on with the call.
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
            status = await answer(partial(self._store.status, self._status.name))
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
        await answer(partial(self._store.ask, name, number, "handover"))

    async def _take(self, status: Status) -> Succession:
        # If it cannot be read, its next successor may go on with its conversation.
        taken = await take_over(self._store, status, self._holder, self._read_on)
        if not taken.moved:
            await remove_former_agent(self._context, status.holder)
        if self.folded.account.state != self._state:
            # Its last owner has remembered it since. A guard sends one whose agent knows it.
            await answer(taken.journal.release)
            raise OwnershipLost(
                "the call is left to another successor: its last owner has remembered something "
                "that this agent does not know"
            )
        parting = b""
        with suppress(StoreFailed):  # without it, the call goes on all the same
            parting = await anyio.to_thread.run_sync(taken.journal.take_parting)
        return replace(taken, parting=parting)

    async def _read_on(self) -> Folded:
        """Take what the journal has got since it was last read."""
        self._mark, lines = await answer(partial(_read, self._store, self._status.name, self._mark))
        self.folded.go_on(lines)
        return self.folded

    def decline(self, problem: str) -> None:
        """End the job, as the call is not its own."""
        logger.info("the job %s is shut down: %s", self._context.job.id, problem)
        self._context.shutdown(problem)


async def wait_for(
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
    awaited = AwaitedCall(store, status, holder, context, folded=folded, mark=mark)
    await awaited.until_it_rests()
    return awaited


def _read(store: Journals, name: str, after: str = "") -> tuple[str, list[bytes]]:
    """The lines behind a mark, and the mark behind them."""
    added = list(store.read_on(name, after))
    lines = [line for _, part in added for line in part.splitlines(keepends=True)]
    return (added[-1][0] if added else after), lines
