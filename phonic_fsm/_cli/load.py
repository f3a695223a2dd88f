"""``phonic-fsm load``: many callers at the user's own worker, and a table of what they heard."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

import anyio
from livekit import api
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from phonic_fsm._load.advice import advice
from phonic_fsm._load.figures import COUNTS, DISTRIBUTIONS, Figures, Limit
from phonic_fsm._load.plan import SCENARIO, Plan
from phonic_fsm._load.test import ROOM_FAILURES, LiveKit, LoadTest
from phonic_fsm._load.usage import Usage
from phonic_fsm._runtime.endpoint import is_on_this_machine
from phonic_fsm.simulator import PhonicSimulator

from .failure import INTERRUPTED, CommandFailed
from .interrupt import run_until_interrupted
from .text import printable, shown_address

HERE = "ws://127.0.0.1:7880"

LATE = 0.1
"""If this program itself is later than this (s), its figures are partly its own."""


class Target(NamedTuple):
    """What is tested, as the options name it."""

    url: str | None
    agent_name: str | None
    phonic_port: int
    worker_pid: int | None


def run_load(plan: Plan, target: Target, fail_on: Sequence[str], *, as_json: bool) -> int:
    """Hold the calls, and print what they come to; returns the exit code.

    Raises:
        CommandFailed: an option is wrong, the server cannot be used, or the port is taken.
    """
    livekit = _livekit(target.url)
    # What its client says about each room that is left would tear the table. It writes to the root
    # logger, too, which has a handler from then on.
    of_livekit = logging.getLogger("livekit")
    of_livekit.addHandler(logging.NullHandler())
    of_livekit.propagate = False
    try:
        limits = [Limit.read(written) for written in fail_on]
        usage = None if target.worker_pid is None else Usage(target.worker_pid)
    except ValueError as error:
        raise CommandFailed(printable(str(error))) from None
    if usage is None and any(limit.name.startswith("worker.") for limit in limits):
        raise CommandFailed("--fail-on worker.… needs --worker-pid")
    test = LoadTest(plan, livekit, target.agent_name, usage)
    progress = Console(highlight=False, stderr=True)
    simulator = PhonicSimulator(SCENARIO, port=target.phonic_port) if target.phonic_port else None

    async def work() -> None:
        await _must_answer(livekit)
        async with AsyncExitStack() as stack:
            if simulator is not None:
                await _simulate(stack, simulator, target.phonic_port)
                progress.print(
                    f"simulating Phonic at {simulator.url}: the worker's PHONIC_BASE_URL",
                    markup=False,
                )
            await _run_and_show(test, progress)

    interrupted = run_until_interrupted(work)
    found = test.figures()
    broken = [problem for limit in limits if (problem := limit.broken_by(found))]
    if as_json:
        sys.stdout.write(json.dumps({"figures": found, "broken": broken}) + "\n")
    else:
        Console(highlight=False).print(_table(found))
    for problem in broken:
        progress.print(problem, markup=False, soft_wrap=True)
    uncalled = simulator.url if simulator is not None and not simulator.conversations else None
    advised = advice(test.calls, shown_address(livekit.url), target.agent_name, uncalled)
    if advised:
        progress.print(printable(advised), markup=False, soft_wrap=True)
    if test.not_removed:
        progress.print(
            f"rooms that could not be removed: {len(test.not_removed):,}; LiveKit's server removes "
            "them when nobody has been there for a while",
            soft_wrap=True,
        )
    lateness = found["lateness.p99"] or 0.0
    if lateness > LATE:
        progress.print(
            f"this program was {lateness:.2f} s late itself: the latencies are partly its own",
            soft_wrap=True,
        )
    return INTERRUPTED if interrupted else int(bool(broken))


def _livekit(url: str | None) -> LiveKit:
    named = url or os.environ.get("LIVEKIT_URL") or HERE
    if "@" in named:
        # LiveKit's client cannot use them, and quotes the address when it says so.
        raise CommandFailed(
            "LiveKit's address must hold no credentials: these go into LIVEKIT_API_KEY"
        )
    try:
        is_here = is_on_this_machine(named)
    except ValueError:
        raise CommandFailed("LiveKit's address cannot be read: check LIVEKIT_URL") from None
    if url is None and not is_here:
        raise CommandFailed(
            "LIVEKIT_URL is not on this machine: to test it, name it with --url "
            f"{shown_address(named)}"
        )
    key, secret = (os.environ.get(f"LIVEKIT_API_{name}", "") for name in ("KEY", "SECRET"))
    if not key or not secret:
        raise CommandFailed("LiveKit's key is missing: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET")
    return LiveKit(named, key, secret)


async def _must_answer(livekit: LiveKit) -> None:
    where = shown_address(livekit.url)
    try:
        async with livekit.api() as server:
            await server.room.list_rooms(api.ListRoomsRequest(names=["none"]))
    except api.TwirpError as error:
        raise CommandFailed(f"LiveKit at {where} refuses: {printable(error.message)}") from None
    except (*ROOM_FAILURES, ValueError) as error:
        raise CommandFailed(f"LiveKit at {where}: {printable(str(error))}") from None


async def _simulate(stack: AsyncExitStack, simulator: PhonicSimulator, port: int) -> None:
    try:
        await stack.enter_async_context(simulator)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CommandFailed(f"cannot listen on port {port}: {reason}") from None


async def _run_and_show(test: LoadTest, console: Console) -> None:
    if not console.is_terminal:
        await test.run()
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        async with anyio.create_task_group() as tasks:

            async def show() -> None:
                while True:
                    now = Text(f"{test.going_on:,} of {len(test.rooms):,} calls go on")
                    live.update(Group(now, _table(test.figures())), refresh=True)
                    await anyio.sleep(0.5)

            tasks.start_soon(show)
            await test.run()
            tasks.cancel_scope.cancel()


def _table(found: Figures) -> Group:
    times = Table(box=SIMPLE_HEAD, pad_edge=False)
    times.add_column("")
    for title in ("count", "p50", "p95", "p99", "max"):
        times.add_column(title, justify="right", no_wrap=True)
    for name, says in DISTRIBUTIONS.items():
        parts = [_shown(found[f"{name}.{part}"], ".3f") for part in ("p50", "p95", "p99", "max")]
        times.add_row(says, _shown(found[f"{name}.count"], ",.0f"), *parts)
    counts = Table(box=None, pad_edge=False, show_header=False)
    counts.add_column()
    counts.add_column(justify="right")
    for name, says in COUNTS.items():
        counts.add_row(says, _shown(found[name], ",.1f" if name.startswith("worker.") else ",.0f"))
    return Group(times, counts)


def _shown(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)
