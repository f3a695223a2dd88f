"""Where the time goes: a profile of the two hot paths, by layer and by function.

``cProfile`` makes Python calls look dearer than they are beside what C does, so these are shares,
to be compared with each other, and no times.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from . import chunks
from .contestants import Name
from .measuring import Benchmark, Figures

SYSTEM = "system calls"
MESSAGES = "messages: phonic_fsm._wire, msgspec"

SYSTEM_CALLS = ("'_socket.socket' objects", "'select.epoll' objects", "posix.urandom")

LAYERS = (
    ("phonic_fsm/_core", "machine: phonic_fsm._core"),
    ("phonic_fsm/_wire", MESSAGES),
    ("phonic_fsm/_runtime", "carrying: phonic_fsm._runtime"),
    ("phonic_fsm/_adapter", "LiveKit's side: phonic_fsm._adapter"),
    ("websockets", "websocket: websockets"),
    ("livekit", "frames and channels: livekit"),
    ("/asyncio/", "event loop: asyncio"),
    ("selectors.py", "event loop: asyncio"),
)
"""Parts of a path, and what is found there; what is not in here is the benchmark's own."""

LAYER_NAMES = {SYSTEM, *(name for _, name in LAYERS)}

FUNCTIONS = 12
"""The dearest ones are told."""

Function = tuple[str, int, str]


async def profile(
    name: Name, url: str, *, path: Callable[..., Coroutine[Any, Any, Figures]], **arguments: Any
) -> Figures:
    """The shares of the layers and of the dearest functions in one path, in percent."""
    profiler = cProfile.Profile()
    profiler.enable()
    await path(name, url, **arguments)
    profiler.disable()
    return _shares(pstats.Stats(profiler).stats)  # type: ignore[attr-defined]


def _shares(stats: dict[Function, Any]) -> Figures:
    layers: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in stats.items():
        parts = Counter(_parts(function, own, callers))
        del parts[""]
        layers.update(parts)
        functions[_name(function)] += sum(parts.values())
    told = [*layers.most_common(), *functions.most_common(FUNCTIONS)]
    return {name: spent / layers.total() * 100 for name, spent in told}


def _parts(function: Function, own: float, callers: dict[Function, Any]) -> dict[str, float]:
    """The time in a function itself, by layer."""
    file, _, name = function
    if file != "~":
        return {_layer(file): own}
    if any(part in name for part in SYSTEM_CALLS):
        return {SYSTEM: own}
    if "msgspec" in name:
        return {MESSAGES: own}
    # Built-ins belong to whoever calls them.
    parts: Counter[str] = Counter()
    for caller, (_, _, own_there, _) in callers.items():
        parts[_layer(caller[0])] += own_there
    return dict(parts)


def _name(function: Function) -> str:
    file, _, name = function
    if file == "~":
        return name.strip("{}<>")
    path = Path(file)
    return f"{path.parent.name}/{path.stem}.{name}"


def _layer(path: str) -> str:
    return next((layer for part, layer in LAYERS if part in path), "")


BENCHMARKS = (
    Benchmark(
        name="profile_receive",
        title="receiving a chunk",
        measure=partial(profile, path=chunks.receive),
        contestants=("phonic_fsm",),
        arguments={"chunks": 20_000},
        quick=None,
        rounds=1,
    ),
    Benchmark(
        name="profile_send",
        title="sending a frame",
        measure=partial(profile, path=chunks.send),
        contestants=("phonic_fsm",),
        arguments={"frames": 20_000, "burst": 500},
        quick=None,
        rounds=1,
    ),
)
