"""One chunk in, one frame out: the path on which nearly all time is spent."""

from __future__ import annotations

import asyncio

from .contestants import Name, talking
from .measuring import Benchmark, Cpu, Figures, over_tls
from .server import Script


async def receive(name: Name, url: str, *, chunks: int) -> Figures:
    """A turn that is streamed ahead, from the socket to whoever reads the audio stream."""
    async with talking(name, url, Script(greet=1, answer=chunks)) as caller:
        await caller.turn_read.wait()
        caller.turn_read.clear()
        before = caller.frames
        cpu = Cpu()
        caller.speak(to_be_answered=True)
        await caller.turn_read.wait()
        return {"us": cpu.us_per(caller.frames - before)}


async def send(name: Name, url: str, *, frames: int, burst: int) -> Figures:
    """Frames of the caller, one a turn of the event loop, until the server has heard them all."""
    async with talking(name, url, Script(greet=1, count=burst)) as caller:
        await caller.turn_read.wait()
        cpu = Cpu()
        for _ in range(frames // burst):
            caller.heard.clear()
            for _ in range(burst):
                caller.speak()
                await asyncio.sleep(0)
            await caller.heard.wait()
        return {"us": cpu.us_per(frames)}


_PLAIN = (
    Benchmark(
        name="receive",
        title="receive one assistant chunk, socket to audio stream (CPU)",
        measure=receive,
        arguments={"chunks": 4000},
        quick={"chunks": 1000},
    ),
    Benchmark(
        name="send",
        title="send one 20 ms caller frame, push_audio to socket (CPU)",
        measure=send,
        arguments={"frames": 4000, "burst": 500},
        quick={"frames": 1000},
    ),
)

BENCHMARKS = (*_PLAIN, *map(over_tls, _PLAIN))
