"""What a session goes on from that has the call of another process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from livekit.agents import llm

from .._core import memory
from .._core.events import TakeOver
from .._core.history import Message
from .._core.machine import SessionMachine
from .._core.states import State
from ..durable._fold import Folded
from ..durable._ownership import Ownership
from ..durable._store import Journal
from . import chat
from .past import Past


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
        return history_items(self.folded, machine)

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
            gap=round(max(time.time() - self.died, 0.0), 3),
            metadata=metadata,
        )


def history_items(folded: Folded, machine: SessionMachine) -> list[llm.ChatItem]:
    """The machine's history as chat items, each with the time when it was added."""
    started, times = folded.started.timestamp(), folded.account.times
    return chat.restored(machine.context.history, started, times)


@dataclass(frozen=True)
class Remnant:
    """What a session goes on from if the journal cannot be read: Phonic's conversation."""

    conversation_id: str
    died: float
    """When the process before was last alive (s since 1970)."""
    journal: Journal | None = None
    """The one that cannot be read, if it is still to be ended."""

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
