"""How long one message holds up the event loop, and with it every other call of the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from .contestants import Name, talking
from .many import TRACES, written
from .measuring import Benchmark, Figures
from .server import HOSTILE, Script


async def holds(name: Name, url: str, *, times: int) -> Figures:
    """Each of the server's worst messages, in a session of its own that is recorded.

    A message's figure is its least of so many times, since other programs hold up the loop as well.
    """
    with written(TRACES):
        figures = {
            kind: min([await _hold(name, url, kind) for _ in range(times)]) * 1e3
            for kind in HOSTILE
        }
    return {"hold_ms": max(figures.values()), **figures}


async def _hold(name: Name, url: str, kind: str) -> float:
    async with talking(name, url, Script(greet=1, hostile=kind)) as caller:
        over = asyncio.Event()
        caller.session.on("input_audio_transcription_completed", partial(_note_the_end, over))
        async with _turns() as turns:
            caller.speak(to_be_answered=True)
            await over.wait()
            # Others, such as the thread that writes the trace, have their share of it afterwards.
            await asyncio.sleep(0.05)
        return max(turns)


def _note_the_end(over: asyncio.Event, heard: object) -> None:
    if getattr(heard, "transcript", "") == "word":
        over.set()


@asynccontextmanager
async def _turns() -> AsyncIterator[list[float]]:
    """How long the turns of the event loop take meanwhile (s)."""
    turns: list[float] = []

    async def look() -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(0)
            now = time.monotonic()
            turns.append(now - began)
            began = now

    looking = asyncio.create_task(look())
    try:
        yield turns
    finally:
        looking.cancel()


BENCHMARKS = (
    Benchmark(
        name="hostile",
        title=f"the longest that one of {len(HOSTILE)} hostile messages holds up all calls",
        measure=holds,
        contestants=("phonic_fsm",),
        arguments={"times": 5},
        quick={"times": 2},
    ),
)
