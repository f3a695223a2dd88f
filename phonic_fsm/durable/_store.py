"""What a store of journals does: keeps lines, and says which process may add to them.

A journal is the complete trace of one call. The process that may continue it is its owner, and has
its lease: a number that only grows. Whoever takes a journal over gets the next number, and every
method of the former owner's ``Journal`` raises ``OwnershipLost`` from then on.

There are two stores: a directory (``_directory.py``) and Redis (``_redis.py``). Their methods wait
for a disk or a network, so they are called from threads, never from an event loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, Protocol

from msgspec import Struct

from ..trace._destination import fit_for_a_name

STILL_SECONDS = 3.0
"""If an owner's heart has not beaten for so many seconds, another process may take the journal
over."""

HEAD_START = 4.0
"""How long (s) after a takeover the heart may begin to beat: the agent's start may hold the event
loop."""

LASTING_SECONDS = 10.0
"""If an owner dies earlier than this, its journal may be what kills it."""

LIFETIME = 600.0
"""How long (s) a journal is kept after its call, unless its store is told otherwise."""

FORGOTTEN = 3600.0
"""How long (s) after the last heartbeat a journal is kept whose call nobody has ended."""

LONGEST_NAME = 80
"""The most bytes of a journal's name, without the number of a further session."""


class JournalError(Exception):
    """A journal cannot be used; the subclass says why."""

    __module__ = "phonic_fsm.durable"


class StoreFailed(JournalError):
    """The store cannot be reached, is full, or has lost the journal. The call goes on without."""

    __module__ = "phonic_fsm.durable"


class LinesLost(StoreFailed):
    """The store has lost lines that it had taken: another server has come in its place. Further
    lines are taken."""

    __module__ = "phonic_fsm.durable"


class NoJournal(StoreFailed):
    """The store has no journal of this name."""

    __module__ = "phonic_fsm.durable"


class OwnershipLost(JournalError):
    """Another process has this journal now, or it has been ended or handed over."""

    __module__ = "phonic_fsm.durable"


class Taken(JournalError):
    """The journal has an owner that lives, or another process was faster to take it over."""

    __module__ = "phonic_fsm.durable"


class Ended(JournalError):
    """The call is over, so nobody may take over its journal."""

    __module__ = "phonic_fsm.durable"


class Holder(Struct, frozen=True):
    """The process that has a journal, and the job that it runs."""

    host: str
    """Its host and, on Linux, its PID namespace: where its ``pid`` means this process."""
    pid: int
    started: float
    """When the process began (s since 1970), so that another one with its ``pid`` is told apart."""
    room: str = ""
    job: str = ""
    agent_name: str = ""
    """The name that LiveKit dispatches the worker by; empty for a worker that takes every room."""
    identity: str = ""
    """The agent's participant in the room."""
    metadata: str = ""
    """The metadata that the first job of this call was dispatched with."""


Wish = Literal["move", "handover", "leave"]
"""What an owner is asked: to move its call to another process; by a successor that is ready, to
hand it over; and to leave it at once, to whoever comes, as its worker is about to end."""

READY_SECONDS = 3.0
"""A successor that is ready says so again within so many seconds."""

Held = Literal["held", "still", "dead", "ended"]


class Status(Struct, frozen=True):
    """One journal, as a guard sees it."""

    name: str
    number: int
    """Its lease's number: 1 for the first owner."""
    holder: Holder
    """Its owner, or its last one."""
    held: Held
    """``held``: its owner works. ``still``: its owner's process exists, but its heart has stopped.
    ``dead``: nobody has it, because the owner's process is gone, its lease is over, or it has
    handed the journal over. ``ended``: the call is over."""
    crashes: int
    """How many owners in a row have died early, the last one included if it has died. An owner that
    lasted for 10 s begins the count anew, so the first death is 1 in any case."""
    beat_age: float
    """Seconds since the owner's last heartbeat."""
    handed_over: bool = False
    """Whether the last owner has handed the journal over to a successor that waits for it."""
    is_silent: bool = False
    """Whether nothing but the silence of its heart says that it is ``still`` or ``dead``: its
    process may work, and not reach the store."""


class Journal(Protocol):
    """A journal that this process owns.

    Every method raises ``OwnershipLost`` once another process has it, or it has been ended, and
    ``StoreFailed`` if the store does not work; the methods can be called again then.
    """

    @property
    def name(self) -> str:
        """Its name in the store."""

    @property
    def number(self) -> int:
        """The number of this process's lease."""

    def append(self, lines: bytes) -> None:
        """Add whole lines, all or none.

        After ``StoreFailed`` it is not known whether they are there (the answer may have been
        lost). If the next call begins with the same lines, no line is lost and none is there twice.
        """

    def beat(self) -> Wish | None:
        """Show that the owner works, and learn what it is asked. Called once a second because
        the event loop says so, so a loop that stands still shows, too."""

    def check(self) -> None:
        """Raise ``OwnershipLost`` if another process has the journal."""

    def end(self) -> None:
        """Say that the call is over, on purpose: nobody takes the journal over. Its lifetime
        begins."""

    def release(self, parting: bytes = b"") -> None:
        """Hand the journal over: another process may take it at once, and this is no crash.

        ``parting`` is a few KB for the next owner. A store that is full may lose them.
        """

    def take_parting(self) -> bytes:
        """What the owner before has left for this one, once; empty if there is nothing."""


class Journals(Protocol):
    """A place where journals are kept; ``journals`` makes one.

    Every method raises ``StoreFailed`` if the store does not work, and ``NoJournal`` for a name
    that it does not know.
    """

    @property
    def place(self) -> str:
        """Where it is, in words and without secrets."""

    @property
    def look_every(self) -> float:
        """How often (s) a guard looks."""

    @property
    def outlives_a_beat(self) -> float:
        """For how long (s) after a heartbeat nobody else can have the journal while its owner's
        process exists. It is infinite where that process is always killed first."""

    def begin(self, name: str, holder: Holder) -> Journal:
        """A new journal, whose owner is the holder.

        Raises:
            Taken: there is a journal of this name.
        """

    def take_over(self, name: str, holder: Holder) -> Journal:
        """Make the holder the journal's owner.

        If the heart of the last owner has stopped and its process is on this host, it is killed
        first. A last line that was cut off is removed. The new owner's heart must beat within 4 s.

        Raises:
            Taken: its owner works, or cannot be killed, or another process was faster.
            Ended: the call is over.
        """

    def ask(self, name: str, number: int, wish: Wish) -> None:
        """Ask the owner with this number for something; its next heartbeat learns of it.

        A handover is asked for by a successor that is ready. The wish is over after 3 s.

        Raises:
            Ended: the call is over.
            OwnershipLost: another process has the journal.
        """

    def read(self, name: str) -> Iterator[bytes]:
        """The journal's lines, each with its line break; a last line that is cut off is left
        out."""

    def read_on(self, name: str, after: str = "") -> Iterator[tuple[str, bytes]]:
        """Whole lines, as many together as is convenient, each time with a mark of how far they go.

        It begins behind this mark; with the first line if it is empty.
        """

    def statuses(self, *, ended: bool = False) -> list[Status]:
        """Every journal whose call is not over, and those of ended calls if they are asked for."""

    def status(self, name: str) -> Status:
        """One journal. Who waits for it asks often, and the store may hold a whole fleet's."""

    def may_dispatch(self, name: str, number: int, seconds: float) -> bool:
        """Whether the caller may send a successor to this journal at this number.

        Of several callers, one gets True in so many seconds.
        """

    def remove_expired(self) -> None:
        """Remove the journals whose lifetime is over since the call's end, and those that nobody
        has ended an hour after the last heartbeat."""


def journal_name(room: str, job: str, session: int = 1) -> str:
    """The name of a journal; ``session`` counts the realtime sessions of a job."""
    job = fit_for_a_name(job, LONGEST_NAME // 2)
    room = fit_for_a_name(room, LONGEST_NAME - 1 - len(job.encode()))
    return f"{room}.{job}" if session == 1 else f"{room}.{job}.{session}"


def checked_name(name: str) -> str:
    """The name. It may come from a job's metadata, and must lead to a journal and nowhere else.

    Raises:
        NoJournal: no journal can have this name.
    """
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise NoJournal(f"{name!r} is no journal's name")
    return name


def crashes_so_far(crashes: int, seconds: float) -> int:
    """How many owners in a row have died early, when one has died after so many seconds.

    ``crashes`` is the number before.
    """
    return crashes + 1 if seconds < LASTING_SECONDS else 1
