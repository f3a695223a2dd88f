"""Calls that are killed: two workers, a guard, and what the caller notices of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL
from typing import IO

import anyio
import pytest
from anyio.abc import Process

from phonic_fsm.durable import Journals, Status, journals
from phonic_fsm.durable._fold import Folded, fold
from phonic_fsm.testing import AgentWorker, LiveKitServer, RoomCall, Scenario, Turn
from phonic_fsm.testing._leash import leashed
from phonic_fsm.trace import replay

from .rooms import PATIENCE

AGENT = Path(__file__).with_name("surviving_agent.py")

LONG = "We have a table by the window, one in the garden, and one in the quiet room at the back."

SCENARIO = Scenario(
    replies=("Welcome to the house.", "The garden is free."),
    turns=(Turn(caller="Where can we sit?", assistant=LONG),),
)


ON_ONE_HOST = pytest.mark.parametrize("house", ["directory"], indirect=True)
"""For what depends on the place of the journals in nothing."""


class House:
    """Two workers with journals in one place, and guards."""

    def __init__(
        self,
        livekit: LiveKitServer,
        place: str,
        folder: Path,
        phonic_port: int,
        *,
        agent: Path = AGENT,
        patience: float = PATIENCE,
    ) -> None:
        self.livekit = livekit
        self._agent = agent
        self._patience = patience
        self.place = place
        self.store: Journals = journals(place)
        self.runs = folder / "runs"
        self.runs.touch()
        self.workers: list[AgentWorker] = []
        self.guards: list[Process] = []
        self._log = (folder / "guards.log").open("wb")
        self._stack = AsyncExitStack()
        self.environment = {
            "PHONIC_BASE_URL": f"ws://127.0.0.1:{phonic_port}",
            "PHONIC_API_KEY": "any",
            "PHONIC_FSM_JOURNAL": place,
            "LIVEKIT_AGENT_NAME": "clerk",
            "RUNS": str(self.runs),
        }

    async def __aenter__(self) -> House:
        return self

    async def open(self) -> None:
        """Start two workers and a guard."""
        for _ in range(2):
            await self.employ()
        await self.watch()

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        self._log.close()

    async def employ(self, through: tuple[str, ...] = ()) -> AgentWorker:
        """Start another worker, by a program that starts its command."""
        worker = AgentWorker(self._agent, self.livekit, self.environment, patience=self._patience)
        worker._command[:0] = through
        self.workers.append(await self._stack.enter_async_context(worker))
        return worker

    async def watch(self, through: tuple[str, ...] = ()) -> Process:
        """Start another guard, by a program that starts its command."""
        guard = await self._stack.enter_async_context(
            _guard(self.livekit, self.place, self._log, through)
        )
        self.guards.append(guard)
        return guard

    @property
    def log(self) -> str:
        """What the guards and the workers have written."""
        guards = Path(self._log.name).read_text()
        return guards + "\n".join(worker.log for worker in self.workers)

    def status(self, call: RoomCall) -> Status:
        """The journal of a call."""
        there = self.store.statuses(ended=True)
        [found] = [status for status in there if status.holder.room == call.room.name]
        return found

    def kill(self, call: RoomCall, how: signal.Signals = signal.SIGKILL) -> int:
        """Kill the process that has the call, or stop it; returns its id."""
        pid = self.status(call).holder.pid
        os.kill(pid, how)
        return pid

    def worker_of(self, call: RoomCall) -> AgentWorker:
        """The worker whose job has the call."""
        pid = self.status(call).holder.pid
        [worker] = [w for w in self.workers if pid in w.jobs.values()]
        return worker

    async def until_taken_over(self, call: RoomCall, number: int = 2) -> Status:
        with anyio.fail_after(PATIENCE):
            while (status := self.status(call)).number < number:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        return status

    def folded(self, call: RoomCall) -> Folded:
        """What a recovery would make of the journal."""
        return fold(self.store.read(self.status(call).name))

    def replays(self, call: RoomCall, folder: Path) -> list[str]:
        """The journal's events, if a replay of the whole journal makes the same decisions."""
        path = folder / "journal.jsonl"
        path.write_bytes(b"".join(self.store.read(self.status(call).name)))
        events = []
        for step in replay(path):
            assert step.difference is None, step
            events.append(step.line.event["type"])
        return events


@asynccontextmanager
async def _guard(
    livekit: LiveKitServer, place: str, log: IO[bytes], through: tuple[str, ...]
) -> AsyncIterator[Process]:
    environment = {
        **os.environ,
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.api_key,
        "LIVEKIT_API_SECRET": livekit.api_secret,
    }
    async with await anyio.open_process(
        leashed(*through, sys.executable, "-m", "phonic_fsm", "guard", place),
        env=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=log,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


def no_two_at_once(call: RoomCall) -> None:
    """No agent is heard once its successor is."""
    assert max(seconds_of_two(call), default=0.0) <= 0


def seconds_of_two(call: RoomCall) -> list[float]:
    """For how long each agent was still heard when its successor already was; negative: there was
    silence in between."""
    agents = list(dict.fromkeys(stay.identity for stay in call.stays))
    heard = [call.ears[agent].stretches for agent in agents if agent in call.ears]
    return [
        (former[-1].heard_until if former[-1].ended is None else former[-1].ended)
        - successor[0].began
        for former, successor in pairwise(stretches for stretches in heard if stretches)
    ]


async def heard_again(call: RoomCall, since: float) -> float:
    """Seconds from ``since`` until the caller hears an agent that was not there then."""

    def again() -> float | None:
        newcomers = {stay.identity for stay in call.stays if stay.joined > since}
        heard = [call.ears[newcomer] for newcomer in newcomers & call.ears.keys()]
        return min((ear.stretches[0].began for ear in heard if ear.stretches), default=None)

    await call.until(lambda: again() is not None, "the successor's voice")
    began = again()
    assert began is not None
    return began - since
