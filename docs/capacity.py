"""The tables of ``docs/capacity.md``: what so many calls take, computed of what was measured.

``docs/performance.json`` has what a job in a room uses (``python -m benchmarks``), and
``docs/capacity.json`` what a call costs elsewhere (``python -m benchmarks.capacity``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from statistics import median

from phonic_fsm.durable._store import LIFETIME

DOCS = Path(__file__).parent

CALLS = (100, 10_000, 1_000_000)
"""At once."""

CALL_S = 300.0
"""How long a call is taken to last (s)."""

CORES, GB = 8, 32
"""What a host is taken to have, for workers and for LiveKit."""

IN_USE = 0.7
"""The share of a host that is planned for; above it a worker takes no calls."""

REDIS_CORE, REDIS_GB = 0.5, 16
"""What is planned for of one Redis, which works on one core."""

LOOK_S = 1.0
"""If a guard's look takes longer than this (s), it sees a death so much later."""

CONNECTIONS_PER_S = 500
"""Phonic's limit. Beyond it, it answers 429."""

GRACE_S = 30
"""How long (s) Phonic keeps a conversation whose connection was lost."""


def _room(figure: str) -> float:
    results = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))["results"]
    rounds = results["room_1_process"]["rounds"]["phonic_fsm"]
    return float(median(one[figure] for one in rounds))


MEASURED: dict[str, float] = json.loads((DOCS / "capacity.json").read_text(encoding="utf-8"))

JOB_CORE, JOB_MB = _room("core") / 100, _room("MB")
LIVEKIT_CORE = MEASURED["livekit_core"] / 100
REDIS_S = MEASURED["redis_us_per_s"] / 1e6
GUARD_S = MEASURED["guard_us"] / 1e6

PER_HOST = int(min(CORES * IN_USE / JOB_CORE, GB * IN_USE * 1000 / JOB_MB))
"""Calls of a worker's host."""

JOURNAL_MB = MEASURED["redis_memory_kB_per_s"] * CALL_S / 1000
"""A whole call's journal."""

KEPT = LIFETIME / CALL_S
"""Journals of calls that are over, for each that goes on."""

REDIS_MB = JOURNAL_MB * (0.5 + KEPT)
"""In Redis for each call that goes on: half of its own journal, and those that are over."""

Row = tuple[str, Callable[[int], str]]

ROWS: tuple[Row, ...] = (
    ("worker hosts", lambda calls: f"{ceil(calls / PER_HOST):,}"),
    ("LiveKit hosts", lambda calls: f"{ceil(calls * LIVEKIT_CORE / CORES / IN_USE):,}"),
    ("Redis, cores", lambda calls: f"{calls * REDIS_S:,.2f}"),
    ("Redis, memory (GB)", lambda calls: f"{calls * REDIS_MB / 1000:,.1f}"),
    ("Redis servers", lambda calls: f"{redis_servers(calls):,}"),
    ("a look of one guard at all of it (s)", lambda calls: f"{calls * GUARD_S:,.2f}"),
    (
        "traces a day, if it is so all day (GB)",
        lambda calls: f"{calls * MEASURED['trace_kB_per_s'] * 86_400 / 1e6:,.0f}",
    ),
    ("new connections to Phonic (1/s)", lambda calls: f"{calls / CALL_S:,.1f}"),
    ("time to resume all calls (s)", lambda calls: f"{calls / CONNECTIONS_PER_S:,.1f}"),
)


def redis_servers(calls: int) -> int:
    """How many are needed, by what runs out first."""
    return ceil(calls * max(REDIS_S / REDIS_CORE, REDIS_MB / 1000 / REDIS_GB))


LIMITS = {
    "a worker's host is full": PER_HOST,
    "one host is full of LiveKit's server": CORES * IN_USE / LIVEKIT_CORE,
    f"one Redis has {REDIS_GB} GB of journals": REDIS_GB * 1000 / REDIS_MB,
    "one Redis uses half a core": REDIS_CORE / REDIS_S,
    f"a guard's look takes {LOOK_S:g} s": LOOK_S / GUARD_S,
    "more calls are lost at once than Phonic lets resume": CONNECTIONS_PER_S * GRACE_S,
    "more calls begin than Phonic lets connect": CONNECTIONS_PER_S * CALL_S,
}
"""What comes to its end, and at how many calls at once."""


def measured() -> Iterator[str]:
    """What one call takes."""
    yield "| One call | Measured |"
    yield "|---|---|"
    yield f"| its job, of a core | {JOB_CORE:.1%} |"
    yield f"| its job, memory | {JOB_MB:.0f} MB |"
    yield f"| so a core holds, at 70 % | {IN_USE / JOB_CORE:.1f} calls |"
    yield f"| and a GB | {1000 / JOB_MB:.0f} calls |"
    yield f"| LiveKit's server, of a core | {LIVEKIT_CORE:.1%} |"
    yield f"| Redis, scripts | {MEASURED['redis_scripts_per_s']:.1f}/s |"
    yield f"| Redis, time in them | {MEASURED['redis_us_per_s']:.0f} µs/s |"
    yield f"| Redis, sent to it | {MEASURED['redis_in_kB_per_s']:.1f} kB/s |"
    yield f"| Redis, memory | {MEASURED['redis_memory_kB_per_s']:.1f} kB/s |"
    yield f"| its trace, on the disk | {MEASURED['trace_kB_per_s']:.1f} kB/s |"
    yield f"| a guard's look at its journal | {MEASURED['guard_us']:.0f} µs |"


def fleet() -> Iterator[str]:
    """What so many calls at once take."""
    yield f"| Calls at once | {' | '.join(f'{calls:,}' for calls in CALLS)} |"
    yield "|---|" + "---:|" * len(CALLS)
    for name, of in ROWS:
        yield f"| {name} | {' | '.join(of(calls) for calls in CALLS)} |"


def limits() -> Iterator[str]:
    """What comes to its end, the first first."""
    yield "| | Calls at once |"
    yield "|---|---:|"
    for name, calls in sorted(LIMITS.items(), key=lambda one: one[1]):
        yield f"| {name} | {calls:,.0f} |"
