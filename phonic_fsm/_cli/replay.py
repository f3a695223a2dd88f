"""``phonic-fsm replay``: shows a trace's steps, and whether the machine still does the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from phonic_fsm._core.states import State
from phonic_fsm._report.end import End
from phonic_fsm._report.findings import Finding
from phonic_fsm._report.lanes import LaneBuilder
from phonic_fsm._report.rules import Rule, findings
from phonic_fsm._report.severity import Severity
from phonic_fsm.trace._follow import followed
from phonic_fsm.trace._kinds import kinds_of
from phonic_fsm.trace._reader import TraceError, TraceReader
from phonic_fsm.trace._replay import ReplayedStep, replay

from .entries import Entry, chosen_kinds, entries
from .failure import CommandFailed
from .findings import as_json, as_text, chosen_rules, end_as_text, exit_code
from .following import Hang, steps_and_hangs
from .painter import Painter, put
from .text import printable

IDENTICAL, DIVERGED = 0, 1


@dataclass(frozen=True, kw_only=True)
class View:
    """What ``replay`` shows, as its options say."""

    only: tuple[str, ...] = ()
    until: int | None = None
    every_chunk: bool = False
    full: bool = False
    step: bool = False
    follow: bool = False
    as_json: bool = False
    fail_on: Severity | None = None
    thresholds: tuple[str, ...] = ()


def run_replay(path: Path, view: View) -> int:
    """Print the steps and a verdict, or step through them; returns the exit code.

    Raises:
        CommandFailed: the trace cannot be read, a threshold is mistyped, or --step has no terminal.
    """
    rules = chosen_rules(view.thresholds)
    only = chosen_kinds(view.only)
    console = Console(highlight=False, soft_wrap=not view.step)
    if view.step:
        _check_terminal(console)
    try:
        reader: TraceReader
        steps: Iterator[ReplayedStep | Hang]
        if view.follow:
            reader = growing = followed(path)
            steps = steps_and_hangs(growing)
        else:
            reader = TraceReader(path)
            steps = replay(reader)
        lanes = LaneBuilder(reader.header.settings, redacted=reader.header.redacted)
        replayed = _Replayed(reader, steps, None if view.step else view.until, lanes, rules)
        if view.as_json:
            found = _print_json(replayed, only)
            return max(replayed.exit_code, exit_code(found, view.fail_on))
        shown = entries(replayed, only=only, every_chunk=view.every_chunk)
        if view.step:
            from .stepper import Stepper  # noqa: PLC0415

            Stepper(shown, reader.header, console).run(view.until or 1)
            return replayed.exit_code
        painter = Painter(reader.header, None if view.full else console.width)
        put(painter.title(), console)
        former: Entry | None = None
        for entry in shown:
            for line in painter.paint(entry, former):
                put(line, console)
            former = former if isinstance(entry, Hang) else entry
    except TraceError as error:
        raise CommandFailed(printable(str(error))) from error
    found = replayed.findings()
    for line in (*as_text(found), *end_as_text(replayed.end)):
        console.print(line)
    _print_verdict(replayed, console)
    return max(replayed.exit_code, exit_code(found, view.fail_on))


def _check_terminal(console: Console) -> None:
    if not (sys.stdin.isatty() and console.is_terminal and not console.is_dumb_terminal):
        raise CommandFailed("--step needs a terminal; without one, use --until and --only")


class _Replayed:
    """Gives the replayed steps up to a number, and remembers the last."""

    def __init__(
        self,
        reader: TraceReader,
        steps: Iterator[ReplayedStep | Hang],
        until: int | None,
        lanes: LaneBuilder,
        rules: Sequence[Rule],
    ) -> None:
        self._reader = reader
        self._steps = steps
        self._lanes = lanes
        self._rules = rules
        self.until = until
        self.last: ReplayedStep | None = None

    def __iter__(self) -> Iterator[ReplayedStep | Hang]:
        for step in self._steps:
            if isinstance(step, Hang):
                yield step
                continue
            self.last = step
            if step.difference is None:
                # Of another one, no machine has checked what is recorded.
                self._lanes.take(step.line)
            yield step
            if step.line.seq == self.until:
                return

    def findings(self) -> list[Finding]:
        """What stands out in the call; nothing is said of a part of it."""
        last = self.last
        if last is not None and (last.line.seq == self.until or last.difference is not None):
            return []
        return findings(self._lanes.lanes(self._reader.end), self._rules)

    @property
    def end(self) -> End | None:
        """How the call ended, if it did and the machine has replayed it up to there."""
        return self._lanes.lanes().end

    @property
    def exit_code(self) -> int:
        return IDENTICAL if self.last is None or self.last.difference is None else DIVERGED


def _print_verdict(replayed: _Replayed, console: Console) -> None:
    last = replayed.last
    if last is None:
        console.print(Text("identical: the trace has no steps", "green"))
    elif last.difference is None:
        steps = f"{last.line.seq} step{'s' if last.line.seq != 1 else ''}"
        if last.line.seq == replayed.until:
            end = f"; stopped there, in {last.line.target}"
        elif last.line.target == State.closed.value:
            end = ""
        else:
            end = f"; it ends in {last.line.target}, not closed"
        console.print(Text(f"identical: {steps} replayed{end}", "green"))


def _print_json(replayed: _Replayed, only: frozenset[str]) -> list[Finding]:
    for step in replayed:
        if isinstance(step, Hang):
            _emit(
                {
                    "waits_for": step.standing.waits_for,
                    "since": step.standing.since,
                    "seconds": round(step.seconds, 3),
                    "state": step.standing.state,
                    "is_written": step.is_written,
                }
            )
            continue
        line = step.line
        if step.difference is None and only and not kinds_of(line) & only:
            continue
        _emit(
            {
                "seq": line.seq,
                "t": line.t,
                "event": line.event,
                "from": line.source,
                "to": line.target,
                "effects": line.effects,
                "identical": step.difference is None,
            }
        )
    last = replayed.last
    verdict: dict[str, Any] = {"verdict": "identical", "steps": last.line.seq if last else 0}
    if last is not None and last.difference is not None:
        difference = last.difference
        verdict |= {
            "verdict": "diverged",
            "where": difference.where,
            "expected": difference.expected,
            "got": difference.got,
        }
    found = replayed.findings()
    _emit({**verdict, "end": msgspec.to_builtins(replayed.end), "findings": as_json(found)})
    return found


def _emit(value: dict[str, Any]) -> None:
    # In ASCII, so that no control character reaches the terminal.
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
