"""A fleet in virtual time: callers, LiveKit, workers and guards around the store and Phonic."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from fleet.clock import Clock
from fleet.ledger import LONGEST_CALL, Ledger
from fleet.phonic import Phonic
from fleet.process import Process
from fleet.store import Store

from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._core.states import CONVERSING
from phonic_fsm._runtime.lease import Verdict, may_end
from phonic_fsm.durable._dispatch import LONGEST_ANSWER
from phonic_fsm.durable._fold import Folded
from phonic_fsm.durable._guard import ASKED_AT_ONCE
from phonic_fsm.durable._judge import Judge, is_poisonous, patience
from phonic_fsm.durable._redis import RedisJournals
from phonic_fsm.durable._store import Holder, JournalError, Status, StoreFailed

ARRIVING = 24.0
"""Seconds in which the calls begin. At 10,000 that is fewer a second than Phonic takes."""

FAULT = 30.0
"""When the fault comes (s)."""

STAY = (25.0, 50.0)
"""How long after the fault a caller hangs up (s)."""

HORIZON = FAULT + 170.0
"""When the simulation ends (s): everything must be over by then."""

PATIENCE = 60.0
"""Seconds of silence after which a caller hangs up."""

REPEATS_AFTER = 10.0
"""Seconds without an answer after which a caller says something again."""

CALLS_PER_WORKER = 25

IDLE = 4
"""Processes that a worker keeps ready, as LiveKit's workers do."""

STARTING = 0.5
"""Seconds that a worker takes to get another process ready; one after the other."""

JOINING = 0.2
"""Seconds from a dispatch to the agent's code, in a process that is ready."""

GUARDS = 2


class Rules:
    """What a test breaks on purpose. Here, all is as the package has it."""

    def take_over(self, store: Store, name: str, holder: Holder, owner: Process, zone: str) -> None:
        store.take_over(name, holder, owner, zone)

    def check(self, store: Store, name: str, owner: Process) -> None:
        store.check(name, owner)

    def recover(self, process: Process, folded: Folded) -> SessionMachine:
        return folded.machine

    def may_end(self, verdict: Verdict, *, is_safe: bool) -> bool:
        return may_end(verdict, is_safe=is_safe)


@dataclass(eq=False)
class Worker:
    zone: str
    jobs: set[Process] = field(default_factory=set)
    is_up: bool = True
    """Whether LiveKit gives it jobs."""
    ready: deque[float] = field(default_factory=lambda: deque([0.0] * IDLE))
    """When each of the processes that wait for a job was ready, or will be."""

    def delay(self, now: float) -> float:
        """Seconds until a job that comes now runs."""
        begins = max(now, self.ready.popleft())
        last = self.ready[-1] if self.ready else begins
        self.ready.append(max(now, last) + STARTING)
        return begins + JOINING - now


class Call:
    """A caller, and the processes that have served the call."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.name = f"call{number:05d}"
        self.is_poison = False
        self.is_over = False
        """Whether the caller has left, or the session has given the call up."""
        self.process: Process | None = None
        """The one that is in the room."""
        self._fleet = fleet
        self._said = 0
        self._turn = 0
        self._last_voice = fleet.clock.now
        self._leaves_at = fleet.fault + fleet.rng.uniform(*STAY)
        self.began = fleet.clock.now

    def hear_voice(self) -> None:
        self._last_voice = self._fleet.clock.now

    def hear_end(self) -> None:
        """The assistant has finished an answer."""
        self._turn += 1
        self._fleet.clock.after(self._fleet.rng.uniform(1.0, 6.0), self.speak, self._turn)

    def speak(self, turn: int) -> None:
        """Say the next thing, unless the assistant has spoken meanwhile."""
        if turn != self._turn or self.is_over:
            return
        clock = self._fleet.clock
        silent = clock.now - self._last_voice > PATIENCE
        if silent or (clock.now >= self._leaves_at and self.is_heard):
            self.hang_up(silent=silent)
            return
        process = self.process
        if process is not None and self.is_heard:
            self._said += 1
            assert process.connection is not None
            self._fleet.phonic.hear(process.connection, f"{self.name} says {self._said}.")
        clock.after(REPEATS_AFTER if self.is_heard else 1.0, self.speak, turn)

    @property
    def is_heard(self) -> bool:
        process = self.process
        return (
            process is not None
            and process.died is None
            and process.machine.state in CONVERSING
            and process.connection is not None
            and process.connection.is_open
        )

    def hang_up(self, *, silent: bool) -> None:
        ledger, now = self._fleet.ledger, self._fleet.clock.now
        ledger.regain(self.name, now, "hung up")
        if silent:
            ledger.counts["hung up, as nobody spoke"] += 1
        self.end()
        process = self.process
        if process is not None and process.died is None:
            process.be_removed()

    def end(self) -> None:
        self.is_over = True
        if self._fleet.clock.now - self.began > LONGEST_CALL:
            self._fleet.ledger.breach(self.name, "it lasted too long")


class Guard:
    """Looks as ``durable/_guard.py`` does, and decides by the same rules."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._judge = Judge()
        self._waiting: deque[Status] = deque()
        self._asking = 0
        """How many calls LiveKit is asked about."""
        fleet.clock.after(fleet.rng.random() * RedisJournals.look_every, self.look)

    def look(self) -> None:
        """Look once, and again when all that this look has led to is done."""
        fleet = self._fleet
        try:
            statuses = fleet.store.statuses()
        except StoreFailed:
            self._judge.look_in_vain()
            fleet.clock.after(RedisJournals.look_every, self.look)
            return
        self._waiting.extend(self._judge.due(statuses, fleet.clock.now))
        self._go_on()

    def _go_on(self) -> None:
        """Take the next calls in turn."""
        while self._waiting and self._asking < ASKED_AT_ONCE:
            status = self._waiting.popleft()
            if is_poisonous(status):
                self._fleet.ledger.counts["given up as poisonous"] += 1
                self._end(status)
            else:
                self._asking += 1
                self._ask(self._help, status)
        if not self._asking:
            self._fleet.clock.after(RedisJournals.look_every, self.look)

    def _ask(self, then: Callable[..., None], *arguments: object) -> None:
        """Ask LiveKit, and do something when it has answered."""
        seconds = self._fleet.livekit_takes()
        if seconds is None:
            self._fleet.ledger.counts["LiveKit was too slow"] += 1
            self._fleet.clock.after(LONGEST_ANSWER, self._is_done)
        else:
            self._fleet.clock.after(seconds, then, *arguments)

    def _is_done(self) -> None:
        self._asking -= 1
        self._go_on()

    def _help(self, status: Status) -> None:
        fleet, now = self._fleet, self._fleet.clock.now
        has_caller = not fleet.calls[status.name].is_over
        verdict = self._judge.verdict(status, has_caller, now)
        try:
            if verdict == "end":
                self._end(status)
            elif verdict == "send" and fleet.store.may_dispatch(
                status.name, status.number, patience(status)
            ):
                self._ask(self._dispatch, status)
                return
        except StoreFailed:
            pass
        self._is_done()

    def _dispatch(self, status: Status) -> None:
        self._fleet.ledger.counts["dispatches"] += 1
        self._fleet.dispatch(self._fleet.calls[status.name])
        self._is_done()

    def _end(self, status: Status) -> None:
        store = self._fleet.store
        ending = Process(self._fleet, self._fleet.calls[status.name], Worker(""))
        try:
            store.take_over(status.name, status.holder, ending, "")
            store.finish(status.name, ending, released=False)
        except JournalError:
            return
        finally:
            ending.leave()
        ledger, now = self._fleet.ledger, self._fleet.clock.now
        ledger.regain(status.name, now, "lost")
        self._fleet.calls[status.name].end()


class Fleet:
    """All of it. ``zones`` says how the calls are spread at first; each zone has room for all."""

    def __init__(
        self, seed: int, calls: int, zones: tuple[str, ...] = ("a", "b"), rules: Rules | None = None
    ) -> None:
        self.seed = seed
        self.fault = FAULT
        self.rng = random.Random(seed)
        self.rules = rules or Rules()
        self.clock = Clock()
        # 500 a second for 10,000 calls; fewer calls meet the same crowd at a smaller door.
        self.ledger = Ledger(limit=max(1, calls // 20), calls=calls)
        self.store = Store(self.clock)
        self.phonic = Phonic(self.clock, self.rng, self.ledger)
        each = max(2, calls // CALLS_PER_WORKER)
        self._in_zone = {zone: [Worker(zone) for _ in range(each)] for zone in ("a", "b")}
        self.workers = [worker for there in self._in_zone.values() for worker in there]
        self.calls: dict[str, Call] = {}
        self._livekit_free = 0.0
        for number in range(calls):
            begins = ARRIVING * (number + self.rng.random()) / calls
            self.clock.after(begins, self._arrive, number, zones[number % len(zones)])
        self._guards = [Guard(self) for _ in range(GUARDS)]

    def run(self) -> Ledger:
        """Run it to the end."""
        self.clock.after(FAULT - 0.5, self.ledger.forget)
        self.clock.run(HORIZON)
        for name, call in self.calls.items():
            if not call.is_over:
                self.ledger.breach(name, "its caller is still there")
            if self.store.status(name).held != "ended":
                self.ledger.breach(name, "its journal is not ended")
        self.ledger.judge_herd()
        return self.ledger

    def _arrive(self, number: int, zone: str) -> None:
        call = Call(self, number)
        self.calls[call.name] = call
        worker = self._choose(self._in_zone[zone])
        call.process = process = Process(self, call, worker)
        worker.jobs.add(process)
        process.begin()
        self.clock.after(self.rng.uniform(0.5, 2.0), call.speak, 0)

    def livekit_takes(self) -> float | None:
        """Seconds that LiveKit's server takes for a request; ``None`` if too many wait.

        It does four in the time in which Phonic takes one connection: at 10,000 calls, 2,000/s.
        """
        now = self.clock.now
        waits = max(self._livekit_free - now, 0.0)
        if waits > LONGEST_ANSWER - 0.1:
            return None
        self._livekit_free = now + waits + 0.25 / self.ledger.limit
        return self._livekit_free - now + 0.01

    def dispatch(self, call: Call) -> None:
        """Give the call to a worker."""
        up = [worker for worker in self.workers if worker.is_up]
        if not up or call.is_over:
            return
        worker = self._choose(up)
        process = Process(self, call, worker)
        worker.jobs.add(process)
        self.clock.after(worker.delay(self.clock.now), self._start, process)

    def _start(self, process: Process) -> None:
        if process.died is None:
            process.recover()

    def _choose(self, workers: list[Worker]) -> Worker:
        """The one of two that has fewer jobs."""
        one, other = self.rng.choice(workers), self.rng.choice(workers)
        return one if len(one.jobs) <= len(other.jobs) else other

    def take_down(self, worker: Worker) -> None:
        """A worker dies, with all of its jobs."""
        worker.is_up = False
        for process in sorted(worker.jobs, key=lambda process: process.call.name):
            process.die()
