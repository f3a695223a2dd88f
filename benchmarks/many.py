"""Many sessions in one process: what a chunk pair costs, how late event loop and answers are."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

from livekit import rtc

from .contestants import Caller, Name, call, ignore, talking
from .measuring import CONTESTANTS, Benchmark, Cpu, Figures, Measure, over_tls, percentile
from .meters import collect_metrics
from .server import CHUNK_SECONDS, PHASES, Script, stamp_in

TRACES = "PHONIC_FSM_TRACE"
JOURNALS = "PHONIC_FSM_JOURNAL"

PROBE_SECONDS = 0.02
"""How often the event loop is asked whether it is late."""


async def live(
    name: Name, url: str, *, sessions: int, seconds: float, kept: str | None = None
) -> Figures:
    """Every session speaks and is spoken to, 50 chunks a second each way.

    ``kept`` is the environment variable that says where something of the sessions is written.
    """
    with written(kept) if kept else nullcontext():
        async with _all_talking(name, url, sessions, Script(greet=1, talk=True)) as callers:
            before = sum(caller.frames for caller in callers)
            lags: list[float] = []
            cpu = Cpu()
            async with _meanwhile(_note_lags(lags)):
                pushed = await _speak(callers, seconds)
            used, elsewhere = cpu.seconds(), cpu.seconds_of_other_threads()
            read = sum(caller.frames for caller in callers) - before
    pairs = (pushed + read) / 2
    return {
        "us": used / pairs * 1e6,
        **({"writer_us": elsewhere / pairs * 1e6} if kept else {}),
        "share_read": read * CHUNK_SECONDS / sessions / seconds,
        "lag_p99_ms": percentile(lags, 0.99) * 1e3,
    }


async def silent(name: Name, url: str, *, sessions: int, seconds: float) -> Figures:
    """Nobody says anything, and nobody has a microphone: only the stream of silence goes out."""
    async with _all_talking(name, url, sessions, Script(greet=1)):
        cpu = Cpu()
        await asyncio.sleep(seconds)
        return {"us": cpu.us_per(round(sessions * seconds / CHUNK_SECONDS))}


async def recorded(
    name: Name, url: str, *, sessions: int, seconds: float, kept: str = TRACES
) -> Figures:
    """The same with a trace or a journal of each session, right after the same without."""
    plain = await live(name, url, sessions=sessions, seconds=seconds)
    figures = await live(name, url, sessions=sessions, seconds=seconds, kept=kept)
    return {**figures, "times_plain": figures["us"] / plain["us"]}


async def metered(name: Name, url: str, *, sessions: int, seconds: float) -> Figures:
    """The same with metrics that are collected once a second, right after the same without.

    A process can set its meter provider once only, so each round has a process of its own. What
    that does for the first time is done before either of the two.
    """
    await live(name, url, sessions=sessions, seconds=seconds / 2)
    plain = await live(name, url, sessions=sessions, seconds=seconds)
    collect_metrics()
    figures = await live(name, url, sessions=sessions, seconds=seconds)
    return {**figures, "times_plain": figures["us"] / plain["us"]}


@contextmanager
def written(variable: str) -> Iterator[None]:
    """What is kept of the sessions made meanwhile is written into a directory."""
    with (
        tempfile.TemporaryDirectory() as directory,
        patch.dict(os.environ, {variable: directory}),
    ):
        yield


async def answers(
    name: Name, url: str, *, sessions: int, seconds: float, turn: int = 50, ahead: int = 0
) -> Figures:
    """Each caller's turn is answered by one of the same length, streamed ahead.

    Measured is what is added between the last frame's push and the answer's first frame in the
    stream, loopback included, the server's own time not. ``turn`` is the turns' length (chunks),
    ``ahead`` that of one that one more session gets all at once, every other second.
    """
    added: list[float] = []
    script = Script(greet=1, answer=turn)

    def note(frame: rtc.AudioFrame) -> None:
        stamp = stamp_in(frame.data.cast("B"))
        if stamp.pushed:
            added.append(stamp.added)

    async with AsyncExitStack() as stack:
        callers = await stack.enter_async_context(_all_talking(name, url, sessions, script, note))
        if ahead:
            burst = Script(greet=1, answer=ahead)
            greedy = await stack.enter_async_context(talking(name, url, burst))
            await stack.enter_async_context(_meanwhile(_ask_again(greedy)))
        await _speak(callers, seconds, answer_every=turn)
        await asyncio.sleep(CHUNK_SECONDS)
    return {
        "p50_ms": percentile(added, 0.5) * 1e3,
        "p99_ms": percentile(added, 0.99) * 1e3,
    }


@asynccontextmanager
async def _all_talking(
    name: Name,
    url: str,
    sessions: int,
    script: Script,
    on_first_frame: Callable[[rtc.AudioFrame], None] = ignore,
) -> AsyncIterator[list[Caller]]:
    callers: list[Caller] = []
    try:
        for _ in range(sessions):
            caller = await call(name, url, script, on_first_frame)
            callers.append(caller)
            await caller.generated.wait()
        yield callers
    finally:
        await asyncio.gather(*(caller.close() for caller in callers))


async def _speak(callers: list[Caller], seconds: float, *, answer_every: int = 0) -> int:
    """Push everybody's audio at its pace, at one of up to ``PHASES`` moments of a chunk's time.

    One of so many frames is to be answered. Returns how many were pushed.
    """
    began = due = time.monotonic()
    phases = min(PHASES, len(callers))
    tick = pushed = 0
    while due - began < seconds:
        for number in range(tick % phases, len(callers), phases):
            # Their turns end at different moments.
            ends = answer_every > 0 and (tick // phases + number) % answer_every == 0
            callers[number].speak(to_be_answered=ends)
            pushed += 1
        tick += 1
        due += CHUNK_SECONDS / phases
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return pushed


async def _note_lags(lags: list[float]) -> None:
    """How late the event loop is, again and again."""
    while True:
        due = time.monotonic() + PROBE_SECONDS
        await asyncio.sleep(PROBE_SECONDS)
        lags.append(time.monotonic() - due)


async def _ask_again(caller: Caller) -> None:
    while True:
        caller.speak(to_be_answered=True)
        await asyncio.sleep(2)


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


ONE_CORE = 50
"""More sessions than the plugin serves on one core."""


def _on_one_core(sessions: int) -> tuple[str, ...]:
    return CONTESTANTS if sessions <= ONE_CORE else ("phonic_fsm", "floor")


def _live(sessions: int) -> Benchmark:
    return Benchmark(
        name=f"live_{sessions}",
        title=f"{sessions} live session(s), 50 chunks/s each way",
        measure=live,
        contestants=_on_one_core(sessions),
        arguments={"sessions": sessions, "seconds": 3.0},
        quick=None,
        rounds=2,
    )


def _answers(sessions: int, **arguments: float) -> Benchmark:
    return Benchmark(
        name=f"answers_{sessions}",
        title=f"end of the caller's speech to the first frame, {sessions} session(s)",
        measure=answers,
        contestants=_on_one_core(sessions),
        arguments={"sessions": sessions, "seconds": 4.0, **arguments},
        quick=None,
        rounds=3,
    )


CURVE = (1, 10, 25, 50, 100, 200, 300)
"""Numbers of sessions."""


def _forty(name: str, title: str, measure: Measure, **further: Any) -> Benchmark:
    """Of a session, with enough of them that what they share does not count."""
    return Benchmark(
        name=name,
        title=title,
        measure=measure,
        arguments={"sessions": 40, "seconds": 3.0, **further.pop("arguments", {})},
        quick={"seconds": 1.0},
        **further,
    )


OURS = ("phonic_fsm",)

LIVE = _forty("live", "live session, 50 chunks/s each way, a chunk pair (CPU)", live)

BENCHMARKS = (
    LIVE,
    over_tls(LIVE),
    _forty(
        "silence",
        "session in which nothing is said, 20 ms of silence to Phonic (CPU)",
        silent,
        contestants=OURS,
    ),
    _forty(
        "recorded",
        "live session that is recorded, a chunk pair (CPU)",
        recorded,
        contestants=OURS,
    ),
    _forty(
        "journalled",
        "live session that keeps a journal, a chunk pair (CPU)",
        recorded,
        contestants=OURS,
        arguments={"kept": JOURNALS},
    ),
    _forty(
        "metered",
        "live session with metrics, a chunk pair (CPU)",
        metered,
        contestants=OURS,
        fresh=True,
    ),
    *map(_live, CURVE),
    _answers(1, seconds=10.0, turn=10),
    _answers(50),
    _answers(200),
    Benchmark(
        name="fairness",
        title="end of the caller's speech to the first frame, 20 session(s) beside one that gets "
        "30 s at once, again and again",
        measure=answers,
        arguments={"sessions": 20, "seconds": 4.0, "ahead": 1500},
        quick=None,
        rounds=3,
    ),
)
