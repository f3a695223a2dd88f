"""Rounds: in each, every contestant is measured once, in turn, so that a noisy minute hits all.

Each contestant has a process that lives through all rounds; CPU time is that process's alone.
Where the system allows it, contestants run on one processor and the server on another.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

from msgspec import Struct, structs

PATIENCE = 300
"""Seconds after which a measurement is given up: something never came."""

CONTESTANTS = ("phonic_fsm", "plugin", "floor")

Figures = dict[str, float]
"""By name; the unit is in the name (``us``, ``ms``, ``kB``)."""

Measure = Callable[..., Figures | Coroutine[Any, Any, Figures]]


class Benchmark(Struct, frozen=True, kw_only=True):
    """One thing to measure."""

    name: str
    title: str
    measure: Measure
    """Called in the contestant's process with its name, the server's URL and ``arguments``."""
    contestants: tuple[str, ...] = CONTESTANTS
    arguments: dict[str, Any] = {}
    quick: dict[str, Any] | None = {}
    """What differs for a quick run; ``None``: it is left out."""
    tls: bool = False
    """Against a server that is reached over TLS."""
    livekit: bool = False
    """In a room of a LiveKit server, which must be installed."""
    fresh: bool = False
    """Every measurement has a process of its own."""
    rounds: int | None = None
    """Fewer than usual, for what takes long."""


def over_tls(benchmark: Benchmark) -> Benchmark:
    """The same over TLS; left out of a quick run."""
    return structs.replace(
        benchmark,
        name=f"{benchmark.name}_tls",
        title=f"{benchmark.title}, over TLS",
        tls=True,
        quick=None,
    )


class Result(Struct, frozen=True, kw_only=True):
    """What the rounds gave."""

    title: str
    rounds: dict[str, list[Figures]]
    """By contestant, in order. A round that came to no end has no figures."""

    def values(self, contestant: str, figure: str) -> list[float]:
        """Of the rounds that have this figure."""
        rounds = self.rounds.get(contestant, [])
        return [figures[figure] for figures in rounds if figure in figures]

    def median(self, contestant: str, figure: str) -> float:
        return median(self.values(contestant, figure))

    def unfinished(self, contestant: str) -> int:
        """How many rounds came to no end."""
        return self.rounds.get(contestant, []).count({})

    def ratio(self, contestant: str, figure: str, *, to: str = "phonic_fsm") -> float | None:
        """How many times as much as the other one: the median of each round's ratio."""
        pairs = zip(self.rounds.get(contestant, []), self.rounds.get(to, []), strict=False)
        ratios = [
            one[figure] / other[figure] for one, other in pairs if figure in one and figure in other
        ]
        return median(ratios) if ratios else None


class Cpu:
    """CPU time of this process since it was made, in seconds."""

    def __init__(self) -> None:
        gc.collect()
        self._began = time.process_time()
        self._thread_began = time.thread_time()

    def seconds(self) -> float:
        return time.process_time() - self._began

    def seconds_of_other_threads(self) -> float:
        return self.seconds() - (time.thread_time() - self._thread_began)

    def us_per(self, count: int) -> float:
        return self.seconds() / count * 1e6


def stay_on_processor(number: int) -> None:
    """Keep this process on one of the processors that it may use: 0 is the contestants'."""
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        if len(processors) > number:
            os.sched_setaffinity(0, {processors[number]})


def percentile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Workers:
    """The contestants' processes, made when first needed."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._pools: dict[str, ProcessPoolExecutor] = {}

    def run(self, contestant: str, measure: Measure, *arguments: Any, fresh: bool) -> Figures:
        if fresh:
            with _worker() as pool:
                return pool.submit(_measure, measure, contestant, *arguments).result()
        if contestant not in self._pools:
            self._pools[contestant] = self._stack.enter_context(_worker())
        return self._pools[contestant].submit(_measure, measure, contestant, *arguments).result()

    def close(self) -> None:
        self._stack.close()


@contextmanager
def _worker() -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=stay_on_processor, initargs=(0,)) as pool:
        yield pool


def _measure(measure: Measure, contestant: str, url: str, arguments: dict[str, Any]) -> Figures:
    figures = measure(contestant, url, **arguments)
    if isinstance(figures, Coroutine):
        return asyncio.run(asyncio.wait_for(figures, PATIENCE))
    return figures


def run(benchmark: Benchmark, workers: Workers, url: str, *, rounds: int, quick: bool) -> Result:
    """All rounds of one benchmark; progress goes to stderr."""
    arguments = benchmark.arguments | ((benchmark.quick or {}) if quick else {})
    taken: dict[str, list[Figures]] = {contestant: [] for contestant in benchmark.contestants}
    for number in range(min(rounds, benchmark.rounds or rounds)):
        for contestant in benchmark.contestants:
            try:
                figures = workers.run(
                    contestant, benchmark.measure, url, arguments, fresh=benchmark.fresh
                )
            except asyncio.TimeoutError as error:
                # That too is a result, and the rounds before it are not lost.
                why = str(error) or "no reason given"
                print(f"\n{benchmark.name} of {contestant}: {why}", file=sys.stderr)  # noqa: T201
                figures = {}
            taken[contestant].append(figures)
        print(f"\r{benchmark.title}: round {number + 1}", end="", file=sys.stderr)  # noqa: T201
    print(file=sys.stderr)  # noqa: T201
    return Result(title=benchmark.title, rounds=taken)
