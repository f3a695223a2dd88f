"""Redis as the journals use it (``durable/_redis.py``), in virtual time: the same rules, no socket.

A journal keeps steps; they become lines when a successor reads them. Heartbeats are computed when
somebody looks, so a fleet that works costs no events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleet.clock import Clock

from phonic_fsm._core.machine import Step
from phonic_fsm.durable._store import (
    HEAD_START,
    STILL_SECONDS,
    Ended,
    Held,
    Holder,
    OwnershipLost,
    Status,
    StoreFailed,
    Taken,
    crashes_so_far,
)

if TYPE_CHECKING:
    from fleet.process import Process

BEAT = 1.0
"""Seconds between two heartbeats of an owner."""

REPLICATED_AFTER = 0.2
"""What was written within so many seconds before a failover is lost."""


@dataclass
class Lease:
    """Who has a journal. It is replaced, never changed."""

    number: int
    holder: Holder
    owner: Process
    since: float
    crashes: int = 0
    held: bool = True
    open: bool = True
    granted_until: float = 0.0
    """The head start that a successor has."""


@dataclass
class Entry:
    lease: Lease
    steps: list[tuple[float, Step]] = field(default_factory=list)
    """Each with the time when it was taken; its lines."""
    written: list[float] = field(default_factory=list)
    """When each of them was written."""
    past: list[tuple[float, Lease]] = field(default_factory=list)
    """The leases before, each with the time when it was replaced."""
    dispatched: tuple[int, float] = (0, 0.0)


class Store:
    """``down`` says from when to when it does not answer, ``cut`` the same for the workers of a
    zone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.journals: dict[str, Entry] = {}
        self.down: list[tuple[float, float]] = []
        self.cut: dict[str, list[tuple[float, float]]] = {}
        self.suspects: set[str] = set()
        """The journals that may be without an owner: only these can concern a guard."""

    # -- whether it can be reached ---------------------------------------------------------------

    def outages(self, zone: str) -> list[tuple[float, float]]:
        return self.down + self.cut.get(zone, [])

    def reach(self, zone: str) -> None:
        """Raise ``StoreFailed`` if it cannot be reached from there now."""
        now = self._clock.now
        if any(start <= now < end for start, end in self.outages(zone)):
            raise StoreFailed("Redis does not answer")

    def fail_over(self, seconds: float) -> None:
        """A replica takes its place after so many seconds. It lacks what was written last."""
        now = self._clock.now
        self.down.append((now, now + seconds))
        kept = now - REPLICATED_AFTER
        for name, entry in self.journals.items():
            while entry.written and entry.written[-1] > kept:
                entry.written.pop()
                entry.steps.pop()
            while entry.past and entry.past[-1][0] > kept:
                former = entry.past.pop()[1]
                entry.lease.owner.learn_later()
                entry.lease = former
            self.suspects.add(name)

    # -- an owner's side -------------------------------------------------------------------------

    def begin(self, name: str, holder: Holder, owner: Process) -> Lease:
        self.reach(owner.zone)
        lease = Lease(1, holder, owner, self._clock.now)
        self.journals[name] = Entry(lease)
        return lease

    def check(self, name: str, owner: Process) -> None:
        self.reach(owner.zone)
        lease = self.journals[name].lease
        if lease.owner is not owner or not (lease.held and lease.open):
            raise OwnershipLost(name)

    def append(self, name: str, owner: Process, steps: Iterable[tuple[float, Step]]) -> None:
        self.check(name, owner)
        entry = self.journals[name]
        for step in steps:
            entry.steps.append(step)
            entry.written.append(self._clock.now)

    def finish(self, name: str, owner: Process, *, released: bool) -> None:
        self.check(name, owner)
        lease = self.journals[name].lease
        self._replace(
            name,
            Lease(
                lease.number,
                lease.holder,
                owner,
                lease.since,
                lease.crashes,
                held=False if released else lease.held,
                open=released,
            ),
        )
        self.suspects.add(name) if released else self.suspects.discard(name)

    def take_over(self, name: str, holder: Holder, owner: Process, zone: str) -> int:
        """Returns the new lease's number."""
        self.reach(zone)
        status = self.status(name)
        if status.held == "ended":
            raise Ended(name)
        if status.held == "held":
            raise Taken(name)
        return self.seize(name, holder, owner)

    def seize(self, name: str, holder: Holder, owner: Process) -> int:
        """Take a journal over without asking whether anybody has it."""
        status, now = self.status(name), self._clock.now
        lease = Lease(
            status.number + 1,
            holder,
            owner,
            now,
            status.crashes,
            granted_until=now + HEAD_START - STILL_SECONDS,
        )
        self._replace(name, lease)
        return lease.number

    def _replace(self, name: str, lease: Lease) -> None:
        entry = self.journals[name]
        entry.past.append((self._clock.now, entry.lease))
        former, entry.lease = entry.lease.owner, lease
        if former is not lease.owner:
            former.learn_later()

    # -- a guard's side --------------------------------------------------------------------------

    def statuses(self) -> list[Status]:
        """Those of the journals that may be without an owner."""
        self.reach("")
        found = []
        for name in sorted(self.suspects):
            status = self.status(name)
            if status.held == "ended" or (status.held == "held" and self._is_well(name)):
                self.suspects.discard(name)
            found.append(status)
        return found

    def may_dispatch(self, name: str, number: int, seconds: float) -> bool:
        self.reach("")
        entry, now = self.journals[name], self._clock.now
        if entry.lease.number != number:
            return False
        marked, at = entry.dispatched
        if marked == number and now - at < seconds:
            return False
        entry.dispatched = number, now
        return True

    def status(self, name: str) -> Status:
        lease, now = self.journals[name].lease, self._clock.now
        age = now - max(self.last_beat(lease.owner), lease.since)
        held: Held = "held"
        if not lease.open:
            held = "ended"
        elif not lease.held or (age >= STILL_SECONDS and now >= lease.granted_until):
            held = "dead"
        crashes = lease.crashes
        if held == "dead" and lease.held:
            crashes = crashes_so_far(crashes, max(0.0, now - age - lease.since))
        is_silent = held == "dead" and lease.held
        return Status(
            name,
            lease.number,
            lease.holder,
            held,
            crashes,
            max(0.0, age),
            is_silent=is_silent,
        )

    def _is_well(self, name: str) -> bool:
        """Whether its owner lives, and reaches the store, and has done so for a while."""
        owner, now = self.journals[name].lease.owner, self._clock.now
        return owner.died is None and all(
            now < start or now > end + STILL_SECONDS for start, end in self.outages(owner.zone)
        )

    def last_beat(self, owner: Process) -> float:
        """When a heartbeat of this process has last arrived, if it was there then."""
        until = self._clock.now if owner.died is None else min(owner.died, self._clock.now)
        beat = owner.beat_before(until)
        for start, end in reversed(self.outages(owner.zone)):
            if start <= beat < end:
                beat = owner.beat_before(start)
        return beat
