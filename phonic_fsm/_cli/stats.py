"""``phonic-fsm stats``: measures recorded calls, and sums them up."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from phonic_fsm._report.end import Author
from phonic_fsm._report.overview import Measured, measured
from phonic_fsm._report.severity import SEVERITIES, Severity
from phonic_fsm.trace._stats import percentile

from . import findings
from .findings import NOTHING_AS_BAD, chosen_rules, exit_code
from .text import printable
from .traces import Reading, find_traces, read_all

WIDEST = 10_000
"""Columns. A terminal breaks longer lines itself, and a path that it has broken can be copied."""

_ENDED: dict[Author | Literal["not_ended"], str] = {
    "code": "by the agent's code",
    "livekit": "by LiveKit",
    "phonic": "by Phonic",
    "error": "by an error",
    "unknown": "by aclose(), called by the agent's code or by LiveKit",
    "not_ended": "without an end",
}


def run_stats(
    named: Sequence[Path],
    *,
    as_json: bool,
    fail_on: Severity | None,
    thresholds: Sequence[str] = (),
) -> int:
    """Print the figures; returns the exit code.

    Raises:
        CommandFailed: a name leads nowhere, none of the traces can be read, or a threshold is
            mistyped.
    """
    look = partial(measured, rules=chosen_rules(thresholds))
    readings = list(read_all(find_traces(named), look))
    summary = Summary()
    for reading in readings:
        summary.add(reading)
    if as_json:
        for line in (*map(_trace_as_json, readings), {"summary": summary.as_json()}):
            # In ASCII, so that no control character reaches the terminal.
            sys.stdout.write(json.dumps(line) + "\n")
    else:
        console = Console(highlight=False, width=WIDEST)
        summary.print_figures(console)
        if summary.traces == 1:
            _print_call(next(one.result for one in readings if one.result is not None), console)
        else:
            summary.print_ends_and_findings(console)
    return max(
        (exit_code(reading.result.findings, fail_on) for reading in readings if reading.result),
        default=NOTHING_AS_BAD,
    )


class Durations:
    """All durations of one name, such as tool calls, and the trace with the longest."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.longest: float | None = None
        self.longest_in = ""

    def add(self, values: Sequence[float], path: str) -> None:
        self.values += values
        longest = max(values, default=None)
        if longest is not None and (self.longest is None or longest > self.longest):
            self.longest, self.longest_in = longest, path

    def as_json(self) -> dict[str, Any]:
        return {
            "count": len(self.values),
            "p50": percentile(self.values, 50),
            "p95": percentile(self.values, 95),
            "max": self.longest,
        }


class Summary:
    """The sums over all traces."""

    def __init__(self) -> None:
        self.traces = self.unreadable = self.never_ready = 0
        self.seconds = 0.0
        self.steps = self.interruptions = self.dropped_audio_ms = 0
        self.dropped_audio_is_calculated = False
        self.durations = {
            name: Durations()
            for name in (
                "time_to_ready",
                "response_latency",
                "tool_wait",
                "tool_duration",
                "outage",
            )
        }
        self.ended: Counter[Author | Literal["not_ended"]] = Counter()
        """How many calls each author has ended; ``not_ended`` for those that have no end."""
        self.found: dict[tuple[Severity, str], list[str]] = {}
        """The traces with a finding, by its severity and its rule."""

    def add(self, reading: Reading[Measured]) -> None:
        if reading.result is None:
            self.unreadable += 1
            return
        figures, path = reading.result.figures, reading.path
        for kind in {(finding.severity, finding.rule) for finding in reading.result.findings}:
            self.found.setdefault(kind, []).append(path)
        self.traces += 1
        end = reading.result.end
        self.ended[end.by if end is not None else "not_ended"] += 1
        self.seconds += figures.seconds
        self.steps += figures.steps
        self.interruptions += figures.interruptions
        self.dropped_audio_ms += figures.dropped_audio_ms
        if figures.dropped_audio_ms and not figures.dropped_audio_is_measured:
            self.dropped_audio_is_calculated = True
        if figures.time_to_ready is None:
            self.never_ready += 1
        else:
            self.durations["time_to_ready"].add([figures.time_to_ready], path)
        self.durations["response_latency"].add(figures.response_latencies, path)
        self.durations["tool_wait"].add(figures.tool_waits, path)
        self.durations["tool_duration"].add(figures.tool_durations, path)
        self.durations["outage"].add(figures.outages, path)

    def as_json(self) -> dict[str, Any]:
        return {
            "traces": self.traces,
            "unreadable": self.unreadable,
            "never_ready": self.never_ready,
            "seconds": round(self.seconds, 6),
            "steps": self.steps,
            "interruptions": self.interruptions,
            "dropped_audio_ms": self.dropped_audio_ms,
            **{name: durations.as_json() for name, durations in self.durations.items()},
            "ended_by": dict(self.ended.most_common()),
            "findings": [
                {"severity": severity, "rule": rule, "traces": len(paths)}
                for severity, rule, paths in self._found()
            ],
        }

    def print_figures(self, console: Console) -> None:
        length = timedelta(seconds=round(self.seconds))
        unread = f"; {self.unreadable} not readable" if self.unreadable else ""
        console.print(f"{_traces(self.traces)}, {length} in all, {self.steps:,} steps{unread}")
        console.print(self._table())
        console.print(f"interruptions   {self.interruptions:,}")
        at_most = "at most " if self.dropped_audio_is_calculated else ""
        lost = f"{self.dropped_audio_ms / 1000:.1f} s of the caller's, in outages"
        console.print(f"audio lost      {at_most}{lost}")
        if self.never_ready:
            console.print(f"never ready     {_traces(self.never_ready)}", style="red")

    def print_ends_and_findings(self, console: Console) -> None:
        """Of how many traces each is true."""
        ends = "; ".join(f"{number:,} {_ENDED[by]}" for by, number in self.ended.most_common())
        console.print(f"ended           {ends}")
        for severity, rule, paths in self._found():
            first = printable(paths[0])
            where = first if len(paths) == 1 else f"{_traces(len(paths))}, such as {first}"
            console.print(Text(f"{severity:<15} {rule} in {where}"))

    def _found(self) -> list[tuple[Severity, str, list[str]]]:
        """What was found, the worst and the most frequent first."""
        found = [(*kind, paths) for kind, paths in self.found.items()]
        return sorted(found, key=lambda one: (SEVERITIES.index(one[0]), -len(one[2]), one[1]))

    def _table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("in seconds")
        for title in ("count", "p50", "p95", "max"):
            table.add_column(title, justify="right", no_wrap=True)
        if self.traces > 1:
            table.add_column("longest in", overflow="fold")
        for name, durations in self.durations.items():
            figures = durations.as_json()
            cells = [f"{figures['count']:,}"]
            cells += [
                "" if figures[k] is None else f"{figures[k]:.3f}" for k in ("p50", "p95", "max")
            ]
            if self.traces > 1:
                cells.append(printable(durations.longest_in))
            table.add_row(name.replace("_", " "), *map(Text, cells))
        return table


def _traces(number: int) -> str:
    return f"{number:,} trace{'' if number == 1 else 's'}"


def _print_call(seen: Measured, console: Console) -> None:
    """How the one call ended, and what stands out in it."""
    ended = [*findings.end_as_text(seen.end)] or [Text("no end: the trace stops before it")]
    for line in (*ended, *findings.as_text(seen.findings)):
        console.print(line)


def _trace_as_json(reading: Reading[Measured]) -> dict[str, Any]:
    seen = reading.result
    if seen is None:
        return {"trace": reading.path, "problem": reading.problem}
    figures = msgspec.to_builtins(seen.figures)
    end = msgspec.to_builtins(seen.end)
    return {
        "trace": reading.path,
        **figures,
        "end": end,
        "findings": findings.as_json(seen.findings),
    }
