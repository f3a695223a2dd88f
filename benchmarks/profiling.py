"""Where the time goes: a profile of the two hot paths, by layer.

``cProfile`` makes Python calls look dearer than they are beside what C does, so these are shares,
to be compared with each other, and no times.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from . import chunks
from .contestants import Name
from .measuring import Benchmark, Figures

SYSTEM_CALLS = ("'_socket.socket' objects", "'select.epoll' objects", "posix.urandom")

LAYERS = (
    ("phonic_fsm/core", "machine: phonic_fsm.core"),
    ("phonic_fsm/wire", "messages: phonic_fsm.wire, msgspec"),
    ("phonic_fsm/runtime", "carrying: phonic_fsm.runtime"),
    ("phonic_fsm/adapter", "LiveKit's side: phonic_fsm.adapter"),
    ("transitions", "machine: transitions"),
    ("/logging/", "machine: transitions"),  # Its messages, which nobody reads.
    ("websockets", "websocket: websockets"),
    ("livekit", "frames and channels: livekit"),
    ("/asyncio/", "event loop: asyncio"),
    ("selectors.py", "event loop: asyncio"),
)
"""Parts of a path, and what is found there; what is not in here is the benchmark's own."""

Function = tuple[str, int, str]


async def profile(
    name: Name, url: str, *, path: Callable[..., Coroutine[Any, Any, Figures]], **arguments: Any
) -> Figures:
    """The layers' shares of one path, in percent."""
    profiler = cProfile.Profile()
    profiler.enable()
    await path(name, url, **arguments)
    profiler.disable()
    return _shares(pstats.Stats(profiler).stats)  # type: ignore[attr-defined]


def _shares(stats: dict[Function, Any]) -> Figures:
    seconds: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in stats.items():
        if function[0] != "~":
            seconds[_layer(function[0])] += own
        elif any(part in function[2] for part in SYSTEM_CALLS):
            seconds["system calls"] += own
        elif "msgspec" in function[2]:
            seconds["messages: phonic_fsm.wire, msgspec"] += own
        else:
            # Built-ins belong to whoever calls them.
            for caller, (_, _, own_there, _) in callers.items():
                seconds[_layer(caller[0])] += own_there
    del seconds[""]
    return {layer: spent / seconds.total() * 100 for layer, spent in seconds.most_common()}


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
