"""What a session costs by itself: to start it, to keep it, to hand it over."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from statistics import median

import msgspec
import psutil

from .contestants import Name, call, talking
from .measuring import PATIENCE, Benchmark, Cpu, Figures, over_tls
from .server import Script


async def start(name: Name, url: str, *, sessions: int) -> Figures:
    """From ``session()`` to ready, one after the other: ready is whoever has been greeted."""
    cpu_ms, wall_ms = [], []
    for _ in range(sessions):
        cpu, began = Cpu(), time.perf_counter()
        caller = await call(name, url, Script(greet=1))
        await caller.generated.wait()
        wall_ms.append((time.perf_counter() - began) * 1e3)
        cpu_ms.append(cpu.seconds() * 1e3)
        await caller.close()
    return {"ms": median(cpu_ms), "wall_ms": median(wall_ms)}


def cold_start(name: Name, url: str) -> Figures:
    """The import and the first session of a process that has imported LiveKit Agents."""
    prompt = msgspec.json.encode(Script(greet=1)).decode()
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.cold", name, url, prompt],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    imported, greeted = map(float, ran.stdout.split())
    return {"import_ms": imported * 1e3, "ms": greeted * 1e3}


async def start_together(name: Name, url: str, *, sessions: int) -> Figures:
    """All at once, until the last is ready; then all are closed at once."""
    cpu, began = Cpu(), time.perf_counter()
    callers = await asyncio.gather(*(call(name, url, Script(greet=1)) for _ in range(sessions)))
    await asyncio.gather(*(caller.generated.wait() for caller in callers))
    figures = {"ms": cpu.seconds() * 1e3, "wall_ms": (time.perf_counter() - began) * 1e3}
    cpu, began = Cpu(), time.perf_counter()
    await asyncio.gather(*(caller.close() for caller in callers))
    closing_ms = (time.perf_counter() - began) * 1e3
    return {**figures, "closing_ms": cpu.seconds() * 1e3, "closing_wall_ms": closing_ms}


async def memory(name: Name, url: str, *, before: int, further: int) -> Figures:
    """Resident memory of each further session that has spoken and been spoken to."""
    process = psutil.Process()
    async with AsyncExitStack() as stack:

        async def grow(sessions: int) -> int:
            for _ in range(sessions):
                caller = await stack.enter_async_context(talking(name, url, Script(greet=50)))
                await caller.turn_read.wait()
                for _ in range(10):
                    caller.speak()
            gc.collect()
            return int(process.memory_info().rss)

        began_with = await grow(before)
        return {"kB": (await grow(further) - began_with) / further / 1000}


async def handoff(name: Name, url: str, *, times: int) -> Figures:
    """From another agent's instructions and tools to the turn that follows the reset."""
    script = Script(greet=1)
    async with talking(name, url, script) as caller:
        cpu_ms, wall_ms = [], []
        for number in range(times):
            await caller.turn_read.wait()
            caller.turn_read.clear()
            caller.generated.clear()
            prompt = f"{msgspec.json.encode(script).decode()} You are agent {number}."
            cpu, began = Cpu(), time.perf_counter()
            await caller.session._update_session(
                instructions=prompt, chat_ctx=caller.session.chat_ctx, tools=[]
            )
            await caller.generated.wait()
            wall_ms.append((time.perf_counter() - began) * 1e3)
            cpu_ms.append(cpu.seconds() * 1e3)
        return {"ms": median(cpu_ms), "wall_ms": median(wall_ms)}


START = Benchmark(
    name="start",
    title="start one session, session() to ready",
    measure=start,
    arguments={"sessions": 20},
    quick={"sessions": 5},
)

BENCHMARKS = (
    START,
    over_tls(START),
    Benchmark(
        name="cold_start",
        title="import the package and start the first session, beyond livekit-agents",
        measure=cold_start,
        contestants=("phonic_fsm", "plugin"),
    ),
    Benchmark(
        name="start_together",
        title="start 100 sessions at once, then close them at once",
        measure=start_together,
        arguments={"sessions": 100},
        quick={"sessions": 20},
        contestants=("phonic_fsm", "plugin"),
    ),
    Benchmark(
        name="memory",
        title="resident memory per further session",
        measure=memory,
        arguments={"before": 20, "further": 100},
        quick={"before": 5, "further": 20},
        fresh=True,
    ),
    Benchmark(
        name="handoff",
        title="hand the conversation over to another agent",
        measure=handoff,
        arguments={"times": 50},
        quick={"times": 10},
        contestants=("phonic_fsm", "plugin"),
    ),
)
