"""What happens to a fleet. A scenario sets its fault up, and leaves the rest to the simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet.fleet import FAULT, Fleet, Rules, Worker

TRIED = 0.3
"""Seconds within which a session has tried for the first time, and heard the answer."""

Arrange = Callable[[Fleet], None]


@dataclass(frozen=True)
class Scenario:
    summary: str
    arrange: Arrange
    zones: tuple[str, ...] = ("a", "b")

    fault: float = FAULT
    """When every call has been cut off, and has tried at once to go on (s)."""

    def fleet(self, seed: int, calls: int, rules: Rules | None = None) -> Fleet:
        fleet = Fleet(seed, calls, self.zones, rules)
        fleet.clock.after(self.fault + TRIED, fleet.ledger.forget)
        self.arrange(fleet)
        return fleet


def _lose_zone(fleet: Fleet) -> None:
    def die() -> None:
        for worker in fleet.workers:
            if worker.zone == "a":
                fleet.take_down(worker)

    fleet.clock.after(FAULT, die)


def _restart_phonic(fleet: Fleet) -> None:
    fleet.clock.after(FAULT, fleet.phonic.restart, 3.0)


def _refuse_for_a_minute(fleet: Fleet) -> None:
    """Every connection is cut in the middle of the minute."""
    fleet.phonic.busy = (FAULT, FAULT + 60.0)
    fleet.clock.after(FAULT + 20.0, fleet.phonic.restart, 0.0)


def _fail_over(fleet: Fleet) -> None:
    """A few workers die with the former Redis."""

    def fail() -> None:
        for worker in fleet.workers[:: len(fleet.workers)]:
            fleet.take_down(worker)
        fleet.store.fail_over(5.0)

    fleet.clock.after(FAULT, fail)


def _cut_off_workers(fleet: Fleet) -> None:
    """For 20 s, the workers of a zone do not reach Redis, by which the guards judge them."""
    fleet.store.cut["a"] = [(FAULT, FAULT + 20.0)]

    def suspect() -> None:
        fleet.store.suspects.update(
            name
            for name, call in fleet.calls.items()
            if call.process is not None and call.process.zone == "a"
        )

    fleet.clock.after(FAULT, suspect)


def _poison(fleet: Fleet) -> None:
    def poison() -> None:
        call = fleet.calls[min(fleet.calls)]
        call.is_poison = True
        if call.process is not None:
            call.process.die()

    fleet.clock.after(FAULT, poison)


def _deploy(fleet: Fleet) -> None:
    """A quarter of the workers at a time, and each is back after 5 s."""

    def stop(workers: list[Worker]) -> None:
        for worker in workers:
            worker.is_up = False
            for process in sorted(worker.jobs, key=lambda process: process.call.name):
                process.move()

    def start(workers: list[Worker]) -> None:
        for worker in workers:
            worker.is_up = True

    for wave in range(4):
        workers = fleet.workers[wave::4]
        fleet.clock.after(FAULT + 6.0 * wave, stop, workers)
        fleet.clock.after(FAULT + 6.0 * wave + 5.0, start, workers)


SCENARIOS: dict[str, Scenario] = {
    "zone": Scenario("a zone dies with every call in it", _lose_zone, ("a",)),
    "restart": Scenario("Phonic restarts, and is away for 3 s", _restart_phonic),
    "refused": Scenario(
        "Phonic answers 429 for a minute", _refuse_for_a_minute, fault=FAULT + 20.0
    ),
    "failover": Scenario("Redis fails over, and is away for 5 s", _fail_over),
    "partition": Scenario("a zone's workers do not reach Redis for 20 s", _cut_off_workers),
    "poison": Scenario("a call kills each process that has it", _poison),
    "deploy": Scenario("a deploy in four waves", _deploy),
}
