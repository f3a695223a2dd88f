"""Runs a fleet in virtual time through a fault, seed after seed, and says what broke.

    PYTHONPATH=tests python -m fleet.simulate --seeds 100 --calls 200

The same seed makes the same run, byte by byte. If a seed breaks something, the journals of the
calls concerned are written, so that ``phonic-fsm replay`` and ``phonic-fsm report`` open them.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.fleet import Fleet
from fleet.process import lines_of
from fleet.scenarios import SCENARIOS

from phonic_fsm._core.context import Settings

MOST_TRACES = 10
"""The most calls of a failing seed whose journals are written."""


def write_traces(fleet: Fleet, folder: Path) -> list[Path]:
    """The journals of the calls in which something broke."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for name, _ in fleet.ledger.broken if name))
    paths = []
    for name in names[:MOST_TRACES]:
        path = folder / f"{name}.jsonl"
        steps = fleet.store.journals[name].steps
        path.write_bytes(b"".join(lines_of(Settings(id_seed=name), steps)))
        paths.append(path)
    return paths


@contextmanager
def no_garbage_collector() -> Iterator[None]:
    """A run with 10,000 calls keeps millions of values. To look through them again and again took
    more than half of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A fleet in virtual time: no call may be lost.")
    parser.add_argument("scenarios", nargs="*", help=f"of {', '.join(SCENARIOS)}; all by default")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds of each scenario")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--keep", type=Path, default=Path("build/fleet"), help="for journals")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]!r}: choose from {', '.join(SCENARIOS)}")
    failed = 0
    for name in arguments.scenarios or SCENARIOS:
        began = time.perf_counter()
        rows = []
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            fleet = SCENARIOS[name].fleet(seed, arguments.calls)
            with no_garbage_collector():
                ledger = fleet.run()
            rows.append(ledger.figures())
            if ledger.broken:
                failed += 1
                _write(f"{name}, seed {seed}: {len(ledger.broken)} breaches")
                for call, what in ledger.broken[:MOST_TRACES]:
                    _write(f"  {call or 'fleet'}: {what}")
                for path in write_traces(fleet, arguments.keep / f"{name}-{seed}"):
                    _write(f"  {path}")
        took = time.perf_counter() - began
        _write(f"{name} ({SCENARIOS[name].summary}): {arguments.seeds} seeds in {took:.1f} s")
        _write(f"  {json.dumps(summary(rows))}")
    return 1 if failed else 0


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure; of the worst times and the peaks, the worst."""
    keys = sorted({key for row in rows for key in row}, key=lambda key: (key not in rows[0], key))
    return {
        key: max(row.get(key, 0.0) for row in rows)
        if key in ("worst s", "peak/s")
        else round(sum(row.get(key, 0.0) for row in rows) / len(rows), 2)
        for key in keys
    }


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
