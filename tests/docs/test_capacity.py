"""``docs/capacity.md``: its figures follow from the measured ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "capacity.md").read_text(encoding="utf-8")
MEASURED = json.loads((DOCS / "capacity.json").read_text(encoding="utf-8"))
ROUNDS = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))["results"]
JOBS = [one["core"] / 100 for one in ROUNDS["room_1_process"]["rounds"]["phonic_fsm"]]


def row(name: str) -> list[float]:
    cells = re.findall(rf"^\| {re.escape(name)} \| (.+) \|$", PAGE, re.MULTILINE)
    assert len(cells) == 1, name
    return [float(cell.replace(",", "")) for cell in cells[0].split(" | ")]


@pytest.mark.parametrize("at", range(3))
def test_hosts_hold_all_calls_and_none_is_to_spare(at: int) -> None:
    calls = row("Calls at once")[at]
    of_a_host = 8 * 0.7 // median(JOBS)
    hosts = row("worker hosts")[at]
    assert (hosts - 1) * of_a_host < calls <= hosts * of_a_host
    assert row("LiveKit hosts")[at] >= calls * MEASURED["livekit_core"] / 100 / (8 * 0.7)


@pytest.mark.parametrize("at", range(3))
def test_redis_holds_the_journals_of_calls_that_are_over(at: int) -> None:
    calls = row("Calls at once")[at]
    journal = MEASURED["redis_memory_kB_per_s"] * 300 / 1e6  # GB
    over = calls / 300 * 600
    memory = journal * (over + calls / 2)
    assert row("Redis, memory (GB)")[at] == pytest.approx(memory, abs=0.051)
    assert row("Redis servers")[at] >= memory / 16
    look = calls * MEASURED["guard_us"] / 1e6
    assert row("a look of one guard at all of it (s)")[at] == pytest.approx(look, abs=0.005)


def test_the_limits_stand_in_their_order() -> None:
    table = PAGE.partition("## What comes to its end first")[2].partition("<!-- end -->")[0]
    limits = [int(n.replace(",", "")) for n in re.findall(r"\| ([\d,]+) \|$", table, re.MULTILINE)]
    assert len(limits) == 7
    assert limits == sorted(limits)
    assert 500 * 30 in limits
    assert 500 * 300 in limits
