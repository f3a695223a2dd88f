"""A whole job in a LiveKit room: what it costs, and how long an answer is on its way.

A caller asks, and hears the answer out, again and again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil

from phonic_fsm.testing import AgentWorker, LiveKitServer, RoomCall

from .contestants import Name
from .many import JOURNALS, TRACES, written
from .measuring import CONTESTANTS, Benchmark, Figures
from .room_phonic import running_phonic
from .turn_end import QUESTION

ROOT = Path(__file__).parent.parent

PATIENCE = 60.0


class Answer(NamedTuple):
    """How long one was on its way (s), without the time that it took to decide about it."""

    there: float
    """From the end of the caller's sound to whoever decides."""
    back: float
    """From the decision to the first sound at the caller's ear."""


async def whole_job(
    name: Name, url: str, *, calls: int, executor: str, frame_ms: int, turns: int
) -> Figures:
    """So many calls at once, so many questions each; the caller is heard in frames of this length.

    The server of ``url`` answers nobody's voice, so there is another one.
    """
    _use_all_processors()
    async with AsyncExitStack() as stack:
        phonic = stack.enter_context(running_phonic())
        livekit = await stack.enter_async_context(LiveKitServer())
        environment = {
            "PYTHONPATH": str(ROOT),
            "BENCH_CONTESTANT": name,
            "BENCH_EXECUTOR": executor,
            "BENCH_FRAME_MS": str(frame_ms),
            "BENCH_PHONIC": phonic,
        }
        script = ROOT / "benchmarks" / "room_agent.py"
        worker = await stack.enter_async_context(
            AgentWorker(script, livekit, environment, patience=PATIENCE)
        )
        before = _private_bytes([worker.pid])
        callers = [
            await stack.enter_async_context(
                RoomCall(
                    livekit.url,
                    api_key=livekit.api_key,
                    api_secret=livekit.api_secret,
                    patience=PATIENCE,
                )
            )
            for _ in range(calls)
        ]
        await asyncio.gather(*(_ask(caller) for caller in callers))
        jobs = list(worker.jobs.values()) if executor == "PROCESS" else [worker.pid]
        began, used = time.monotonic(), _cpu_seconds(jobs)
        answers = await asyncio.gather(*(_ask_again(caller, turns) for caller in callers))
        used = _cpu_seconds(jobs) - used
        seconds = time.monotonic() - began
        held = _private_bytes(jobs) - (before if executor == "THREAD" else 0)
    ways = [answer for of_caller in answers for answer in of_caller]
    return {
        "core": used / seconds / calls * 100,
        "MB": held / calls / 1e6,
        "answer_ms": median(way.there + way.back for way in ways) * 1e3,
        "there_ms": median(way.there for way in ways) * 1e3,
        "back_ms": median(way.back for way in ways) * 1e3,
    }


async def kept_job(name: Name, url: str, *, kept: str, **arguments: Any) -> Figures:
    """What a job costs of which something is written, right after the same without.

    ``kept`` is the environment variable that says where.
    """
    plain = await whole_job(name, url, **arguments)
    with written(kept):
        figures = await whole_job(name, url, **arguments)
        assert os.listdir(os.environ[kept]), "nothing was written"
    return {"core": figures["core"], "times_plain": figures["core"] / plain["core"]}


async def _ask_again(caller: RoomCall, turns: int) -> list[Answer]:
    return [await _ask(caller) for _ in range(turns)]


async def _ask(caller: RoomCall) -> Answer:
    await caller.until_agent()
    await caller.say(QUESTION)
    told = len(caller.transcripts)
    await caller.until_answer()
    heard, answered = await _stamps(caller, told)
    ended, latency = caller._mouth.closed_at, caller.latency
    assert ended is not None
    assert latency is not None
    answer = Answer(there=heard - ended, back=ended + latency - answered)
    await caller.until(lambda: not caller.ear.hears and caller.ear.silence > 0.5, "silence")
    return answer


async def _stamps(caller: RoomCall, told: int) -> tuple[float, float]:
    """When the caller's sound came to its end over there, and when the answer was begun (s)."""

    def stamps() -> list[int]:
        texts = [t.text.split()[:2] for t in caller.transcripts[told:] if t.identity != "caller"]
        return [int(word) for text in texts for word in text if word.isdigit()]

    await caller.until(lambda: len(stamps()) >= 2, "the answer's first words")
    heard, answered = stamps()[:2]
    return heard / 1e9, answered / 1e9


def _cpu_seconds(processes: Iterable[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in processes]
    return float(sum(used.user + used.system for used in times))


def _private_bytes(processes: Iterable[int]) -> int:
    """Of memory that would be free if these processes were not there."""
    return sum(int(psutil.Process(pid).memory_full_info().uss) for pid in processes)


def _use_all_processors() -> None:
    """Have this process, its threads and what it starts run wherever the system likes.

    WebRTC has threads of its own: bound to one processor, they would wait for the job's own.
    """
    if hasattr(os, "sched_setaffinity"):
        for thread in psutil.Process().threads():
            os.sched_setaffinity(thread.id, range(os.cpu_count() or 1))


def _job(
    calls: int, executor: str, *, frame_ms: int = 50, contestants: tuple[str, ...] = CONTESTANTS
) -> Benchmark:
    short = f", heard in frames of {frame_ms} ms" if frame_ms != 50 else ""
    return Benchmark(
        name=f"room_{calls}_{executor.lower()}" + (f"_{frame_ms}ms" if short else ""),
        title=f"{calls} call{'s' if calls > 1 else ''}, {executor}{short}",
        measure=whole_job,
        contestants=contestants,
        arguments={"calls": calls, "executor": executor, "frame_ms": frame_ms, "turns": 4},
        quick=None,
        rounds=2 if calls > 1 or executor == "THREAD" else 3,
        fresh=True,
        livekit=True,
    )


BENCHMARKS = (
    _job(1, "PROCESS"),
    _job(1, "PROCESS", frame_ms=20, contestants=("phonic_fsm", "floor")),
    _job(4, "PROCESS"),
    _job(1, "THREAD"),
    _job(4, "THREAD"),
)


def _kept(what: str, kept: str) -> Benchmark:
    return Benchmark(
        name=f"room_{what}",
        title=f"a call's job in a room, with a {what} (CPU)",
        measure=kept_job,
        contestants=("phonic_fsm",),
        arguments={
            "calls": 1,
            "executor": "PROCESS",
            "frame_ms": 50,
            "turns": 4,
            "kept": kept,
        },
        quick=None,
        rounds=3,
        fresh=True,
        livekit=True,
    )


KEPT = (_kept("trace", TRACES), _kept("journal", JOURNALS))
"""They have no bare job beside them, so they are in the table of sessions."""
