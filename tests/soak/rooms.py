"""Ten calls at a time in a LiveKit server's rooms, while their processes are moved, ended, killed
and stopped: every call goes on, and nothing is lost.

It is a part of ``tox -e soak``, or::

    PYTHONPATH=tests python -m soak.rooms --minutes 10 --seed 1

It needs a LiveKit server, and a Redis unless ``--place directory`` is given. No bound here is what
a call usually takes. But ten calls want two processors: a process that does not get on for seconds
is taken for dead, and if that happens three times in a row, the call is given up. What a question
has lost while processes stood still is told apart; if that is much, the soak has failed, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import anyio.to_process
import anyio.to_thread
from anyio.abc import TaskGroup
from soak.visits import SCENARIO, Account, Stall, Visit, examine, examine_phonic
from support.ports import free_port
from support.redis_server import RedisServer
from support.takeovers import House, seconds_of_two

from phonic_fsm.durable import JournalError, Status
from phonic_fsm.simulator import ConversationRecord
from phonic_fsm.testing import AgentWorker, LiveKitServer, PhonicSimulator, RoomCall

AGENT = Path(__file__).parents[1] / "support" / "busy_agent.py"

GUESTS = 10
"""Calls at a time."""

BOUND = 120.0
"""Seconds within which a call goes on, a worker ends, a process is gone. It takes a tenth of that
on a machine that does nothing else."""

MOST_BLOWS = 2
"""That a call gets between two answers; at most one of them is deadly. A third early death in a row
would be taken for poison, and on a busy machine a slow start is taken for a death."""

PAUSE = (4.0, 12.0)
"""Between two blows (s)."""

ONE_AFTER_THE_OTHER = 3.0
"""Seconds between the first calls of two guests: each worker keeps few processes ready."""

SAMPLE_EVERY = 5.0
"""Seconds between two counts of what may grow."""

STALL = 0.1
"""Seconds by which the callers' process must be late for it to be noted."""

MOST_UNCLEAR = 0.05
"""If more than this share of the questions has lost something while processes stood still, the
machine is too busy to show anything."""

TOLERANCE = 1.25
"""How much more there may be in the last third of the time than in the one before."""


@dataclass
class Figures:
    """What a soak comes to."""

    visits: int = 0
    questions: int = 0
    steps: int = 0
    afresh: int = 0
    blows: Counter[str] = field(default_factory=Counter)
    outages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds of each, by their cause."""
    samples: list[dict[str, float]] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    """Losses while processes stood still."""

    def enter(self, visit: Visit, account: Account) -> None:
        self.visits += 1
        self.questions += len(visit.questions)
        self.steps += account.steps
        self.afresh += account.afresh
        for outage in account.outages:
            if outage.ended is not None:
                self.outages[outage.cause].append(outage.ended - outage.began)

    def third(self, name: str, which: int) -> float:
        """The mean of a count over a third of the time: 0, 1 or 2."""
        size = len(self.samples) // 3
        return statistics.mean(s[name] for s in self.samples[which * size : (which + 1) * size])

    def grown(self) -> list[str]:
        if len(self.samples) < 3:
            return []
        names = self.samples[0]
        return [n for n in names if self.third(n, 2) > TOLERANCE * self.third(n, 1)]

    @property
    def shows_nothing(self) -> bool:
        """Whether the machine was too busy to tell."""
        return len(self.unclear) > MOST_UNCLEAR * self.questions

    def __str__(self) -> str:
        rows = {
            "calls": f"{self.visits}, in which {self.questions} questions were answered",
            "blows": ", ".join(f"{count} × {kind}" for kind, count in self.blows.most_common()),
            **{
                f"after a {cause}": f"{len(times)} times, goes on after "
                f"{statistics.median(times):.2f} s in the median, {max(times):.2f} s at most"
                for cause, times in sorted(self.outages.items())
            },
            "begun afresh": self.afresh,
            "replayed": f"{self.steps} steps",
        }
        if len(self.samples) >= 3:
            for name in self.samples[0]:
                rows[name] = " ".join(f"{self.third(name, which):.1f}" for which in range(3))
        rows["grown"] = ", ".join(self.grown()) or "nothing"
        too_much = ", which is too much to show anything" if self.shows_nothing else ""
        rows["lost"] = len(self.losses) or "nothing"
        rows["unclear"] = f"{len(self.unclear)} losses while processes stood still{too_much}"
        lines = [f"{name:16} {value}" for name, value in rows.items()]
        return "\n".join(lines + [f"    {loss}" for loss in self.losses + self.unclear])


class Soak:
    """The house, those who call, and what is done to their calls' processes."""

    def __init__(
        self, house: House, phonic: PhonicSimulator, seed: int, folder: Path, keep: Path
    ) -> None:
        self.figures = Figures()
        self._house, self._phonic = house, phonic
        self._seed, self._folder, self._keep = seed, folder, keep
        self._visits: list[Visit] = []
        self._leaving: list[AgentWorker] = []
        """Workers that have been killed or told to end."""
        self._stalls: list[Stall] = []
        """Those of this process."""
        self._rng = random.Random(seed)
        self._seen_off: TaskGroup
        self._blows: dict[str, tuple[float, Callable[[], Awaitable[bool]]]] = {
            "a move": (4, self._move),
            "a job killed": (3, partial(self._strike, signal.SIGKILL)),
            "a job stopped": (2, partial(self._strike, signal.SIGSTOP)),
            "a worker killed": (1, partial(self._kill_worker, with_jobs=False)),
            "a worker killed with its jobs": (1, partial(self._kill_worker, with_jobs=True)),
            "a worker told to end": (2, self._end_worker),
        }

    async def run(self, seconds: float, guests: int) -> Figures:
        """Have so many calls at a time for so long, and end well."""
        until = anyio.current_time() + seconds
        async with anyio.create_task_group() as self._seen_off:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch)
                tasks.start_soon(self._note_stalls)
                async with anyio.create_task_group() as calling:
                    for number in range(guests):
                        calling.start_soon(self._be_guest, number, until)
                    calling.start_soon(self._harm, until)
                tasks.cancel_scope.cancel()
            self._leaving += self._house.workers
            for worker in self._house.workers:
                worker.terminate()
                self._seen_off.start_soon(self._see_off, worker, 0)
        open_calls = await anyio.to_thread.run_sync(self._house.store.statuses)
        for status in open_calls:
            self._lose(f"nobody has ended {status.name}, which is {status.held}")
        return self.figures

    # -- the guests -----------------------------------------------------------------------------

    async def _be_guest(self, number: int, until: float) -> None:
        """Call, talk, hang up, and call again."""
        rng = random.Random(f"{self._seed}-{number}")
        livekit = self._house.livekit
        await anyio.sleep(number * ONE_AFTER_THE_OTHER)
        while anyio.current_time() < until:
            async with RoomCall(
                livekit.url, **livekit.credentials, agent_name="clerk", patience=BOUND
            ) as call:
                visit = Visit(call)
                self._visits.append(visit)
                complaint = await visit.live(rng)
                self._visits.remove(visit)
            await self._settle(visit, complaint)

    async def _settle(self, visit: Visit, complaint: str | None) -> None:
        """See how the call ends, and examine what is left of it."""
        losses = [] if complaint is None else [complaint]
        unclear: list[str] = []
        losses += await self._until_over(visit)
        journals = await anyio.to_thread.run_sync(self._copy_journals, visit)
        mine = [one for one in self._phonic.conversations if _is_in(visit.room, one)]
        if len(journals) == 1:
            audio = b"".join(bytes(one.audio) for one in mine)
            account = await anyio.to_process.run_sync(
                examine, journals[0], visit.questions, audio, self._stalls
            )
            losses += account.losses
            unclear += account.unclear
            if len(mine) != 1 + account.afresh:
                losses.append(
                    f"{len(mine)} conversations at Phonic, {1 + account.afresh} in the journal"
                )
            self.figures.enter(visit, account)
        else:
            losses.append(f"the call has {len(journals)} journals")
        losses += examine_phonic(mine, self._house.runs.read_text().splitlines())
        losses += [
            f"two agents were heard for {s:.2f} s" for s in seconds_of_two(visit.call) if s > 0
        ]
        if losses or unclear:
            self._keep.mkdir(parents=True, exist_ok=True)
            kept = ", ".join(str(shutil.copy(journal, self._keep)) for journal in journals)
            for loss in losses:
                self._lose(f"{visit.room}: {loss} ({kept})")
            self.figures.unclear += [f"{visit.room}: {loss} ({kept})" for loss in unclear]
        for journal in journals:
            journal.unlink()
        for conversation in mine:
            self._phonic.conversations.remove(conversation)

    async def _until_over(self, visit: Visit) -> list[str]:
        """Wait until nobody can go on with the call, and the last process is gone."""
        losses = []

        async def has_ended() -> bool:
            return all(status.held == "ended" for status in await self._statuses(visit))

        async def is_gone() -> bool:
            return not any(visit.room in worker.jobs for worker in self._workers)

        if not await _within_bound(has_ended):
            losses.append("the caller has hung up, and the journal has not ended")
        if not await _within_bound(is_gone):
            losses.append("the caller has hung up, and a process of the call goes on")
        return losses

    def _copy_journals(self, visit: Visit) -> list[Path]:
        """The call's journals; there should be one."""
        store = self._house.store
        paths = []
        for status in store.statuses(ended=True):
            if visit.owns(status.name):
                paths.append(self._folder / f"{status.name}.jsonl")
                paths[-1].write_bytes(b"".join(store.read(status.name)))
        return paths

    async def _statuses(self, visit: Visit) -> list[Status]:
        there = await anyio.to_thread.run_sync(partial(self._house.store.statuses, ended=True))
        return [status for status in there if visit.owns(status.name)]

    # -- what is done to their calls --------------------------------------------------------------

    async def _harm(self, until: float) -> None:
        weights = [weight for weight, _ in self._blows.values()]
        while True:
            await anyio.sleep(self._rng.uniform(*PAUSE))
            if anyio.current_time() >= until:
                return
            [kind] = self._rng.choices(list(self._blows), weights)
            if await self._blows[kind][1]():
                self.figures.blows[kind] += 1

    async def _pick(self, *, to_kill: bool) -> tuple[Visit, Status] | None:
        """A visit that can bear a blow, and its journal."""
        fit = [visit for visit in self._visits if _can_bear(visit, to_kill=to_kill)]
        if not fit:
            return None
        visit = self._rng.choice(fit)
        there = [one for one in await self._statuses(visit) if one.held != "ended"]
        return (visit, there[0]) if len(there) == 1 else None

    async def _move(self) -> bool:
        picked = await self._pick(to_kill=False)
        if picked is None:
            return False
        visit, status = picked
        with suppress(JournalError):  # it is between two processes, or over
            self._house.store.ask(status.name, status.number, "move")
            visit.strike(deadly=False)
            return True
        return False

    async def _strike(self, how: signal.Signals) -> bool:
        picked = await self._pick(to_kill=True)
        if picked is None:
            return False
        visit, status = picked
        with suppress(ProcessLookupError):
            os.kill(status.holder.pid, how)
            visit.strike(deadly=True)
            return True
        return False

    async def _kill_worker(self, *, with_jobs: bool) -> bool:
        worker = self._pick_worker()
        if worker is None:
            return False
        if with_jobs:
            os.killpg(worker.pid, signal.SIGKILL)
        else:
            worker.kill()
        await self._replace(worker, -signal.SIGKILL)
        return True

    async def _end_worker(self) -> bool:
        worker = self._pick_worker()
        if worker is None:
            return False
        worker.terminate()
        await self._replace(worker, 0)
        return True

    def _pick_worker(self) -> AgentWorker | None:
        """One whose calls can all bear it."""
        worker = self._rng.choice(self._house.workers)
        here = [visit for visit in self._visits if visit.room in worker.jobs]
        if not all(_can_bear(visit, to_kill=True) for visit in here):
            return None
        for visit in here:
            visit.strike(deadly=True)
        return worker

    async def _replace(self, worker: AgentWorker, code: int) -> None:
        self._house.workers.remove(worker)
        self._leaving.append(worker)
        self._seen_off.start_soon(self._see_off, worker, code)
        await self._house.employ()

    async def _see_off(self, worker: AgentWorker, code: int) -> None:
        """Wait until a worker and all that it has started have ended."""
        try:
            ended = await worker.ended()
        except TimeoutError:
            self._lose(f"a worker has not ended within {BOUND:g} s:\n{worker.log[-2000:]}")
            return
        if ended != code:
            self._lose(f"a worker has ended with {ended}, not with {code}")

        async def are_gone() -> bool:
            return not _members(worker.pid)

        if not await _within_bound(are_gone):
            self._lose(f"a worker has left the processes {_members(worker.pid)} behind")
        self._leaving.remove(worker)

    @property
    def _workers(self) -> list[AgentWorker]:
        return [*self._house.workers, *self._leaving]

    # -- what may grow ----------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(SAMPLE_EVERY)
            self.figures.samples.append(self._count())

    async def _note_stalls(self) -> None:
        while True:
            due = time.time() + STALL
            await anyio.sleep(STALL)
            if time.time() > due + STALL:
                self._stalls.append(Stall(due, time.time()))

    def _count(self) -> dict[str, float]:
        [guard] = self._house.guards
        return {
            "processes": sum(len(_members(worker.pid)) for worker in self._workers),
            "guard's MB": _memory(guard.pid),
            "guard's files": len(os.listdir(f"/proc/{guard.pid}/fd")),
            "own files": len(os.listdir("/proc/self/fd")),
            "own tasks": len(asyncio.all_tasks()),
        }

    def _lose(self, what: str) -> None:
        self.figures.losses.append(what)
        sys.stdout.write(f"lost: {what}\n")
        sys.stdout.flush()


def _can_bear(visit: Visit, *, to_kill: bool) -> bool:
    return visit.is_open and visit.blows < MOST_BLOWS and not (to_kill and visit.is_struck_down)


async def _within_bound(happens: Callable[[], Awaitable[bool]]) -> bool:
    """Wait until it happens; returns whether it did."""
    with anyio.move_on_after(BOUND):
        while not await happens():  # noqa: ASYNC110 - no process tells that it is gone
            await anyio.sleep(0.2)
        return True
    return False


def _is_in(room: str, conversation: ConversationRecord) -> bool:
    config = conversation.config
    return config is not None and room in (config.system_prompt or "")


def _members(session: int) -> list[int]:
    """The processes of a session, by its first process; those that nobody has waited for left
    out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of a process, in brackets, may hold spaces.
            state, _, _, its_session = path.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


def _memory(pid: int) -> float:
    """Resident (MB)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def soak(
    seed: int, seconds: float, guests: int, *, place: str, folder: Path, keep: Path
) -> Figures:
    """The soak in a house of its own."""
    port = free_port()
    async with (
        LiveKitServer() as livekit,
        PhonicSimulator(SCENARIO, port=port) as phonic,
        House(livekit, place, folder, port, agent=AGENT, patience=BOUND) as house,
    ):
        await house.open()
        figures = await Soak(house, phonic, seed, folder, keep).run(seconds, guests)
        if figures.losses:
            await anyio.to_thread.run_sync(_write, keep / "house.log", house.log)
        return figures


def main() -> int:
    parser = argparse.ArgumentParser(description="Calls whose processes die: nothing may be lost.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--calls", type=int, default=GUESTS, help="at a time")
    parser.add_argument("--place", choices=("redis", "directory"), default="redis")
    parser.add_argument("--keep", type=Path, default=Path("build/soak"), help="for journals")
    arguments = parser.parse_args()
    sys.stdout.write(f"{arguments.minutes:g} minutes, seed {arguments.seed}\n")
    sys.stdout.flush()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place = str(folder / "journals")
        if arguments.place == "redis":
            place = stack.enter_context(RedisServer(folder / "redis")).url
        run = partial(soak, place=place, folder=folder, keep=arguments.keep)
        figures = anyio.run(run, arguments.seed, arguments.minutes * 60, arguments.calls)
    sys.stdout.write(f"{figures}\n")
    return 1 if figures.losses or figures.grown() or figures.shows_nothing else 0


if __name__ == "__main__":
    sys.exit(main())
