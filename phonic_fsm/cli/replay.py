"""``phonic-fsm replay``: a trace, step by step, and whether the machine still does the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from phonic_fsm.trace.reader import TraceError
from phonic_fsm.trace.replay import ReplayedStep, replay

from .failure import CommandFailed
from .text import brief, printable

IDENTICAL, DIVERGED = 0, 1


def run_replay(path: Path, *, as_json: bool) -> int:
    """Print the steps and a verdict; returns the exit code.

    Raises:
        CommandFailed: the file is not a readable trace.
    """
    console = Console(highlight=False, soft_wrap=True)
    show = _print_json if as_json else _print_step
    last: ReplayedStep | None = None
    try:
        for step in replay(path):
            show(console, step)
            last = step
    except TraceError as error:
        raise CommandFailed(printable(str(error))) from error
    if as_json:
        _print_json_verdict(console, last)
    else:
        _print_verdict(console, last)
    return IDENTICAL if last is None or last.difference is None else DIVERGED


def _print_step(console: Console, step: ReplayedStep) -> None:
    line = step.line
    moved = line.source != line.target
    text = Text.assemble(
        (f"{line.seq:>5} {line.t:>9.3f}  ", "dim"),
        (brief(line.event, 60), "cyan"),
        "  ",
        (f"{line.source} → {line.target}" if moved else line.source, "bold" if moved else "dim"),
    )
    console.print(text)
    for effect in line.effects:
        console.print(Text.assemble(" " * 17, ("· ", "dim"), brief(effect)))


def _print_verdict(console: Console, last: ReplayedStep | None) -> None:
    if last is None:
        console.print(Text("identical: the trace has no steps", "green"))
    elif last.difference is None:
        steps = f"{last.line.seq} step{'s' if last.line.seq != 1 else ''}"
        end = "" if last.line.target == "closed" else f"; it ends in {last.line.target}, not closed"
        console.print(Text(f"identical: {steps} replayed{end}", "green"))
    else:
        difference = last.difference
        console.print(
            Text(
                f"diverged at step {last.line.seq} (line {last.line.seq + 1}), "
                f"{printable(difference.where)}:",
                "red",
            )
        )
        console.print(Text(f"  expected  {_value(difference.expected)}"))
        console.print(Text(f"  got       {_value(difference.got)}"))


def _print_json(console: Console, step: ReplayedStep) -> None:
    line = step.line
    _emit(
        console,
        {
            "seq": line.seq,
            "t": line.t,
            "event": line.event,
            "from": line.source,
            "to": line.target,
            "effects": line.effects,
            "identical": step.difference is None,
        },
    )


def _print_json_verdict(console: Console, last: ReplayedStep | None) -> None:
    verdict: dict[str, Any] = {"verdict": "identical", "steps": last.line.seq if last else 0}
    if last is not None and last.difference is not None:
        difference = last.difference
        verdict |= {
            "verdict": "diverged",
            "where": difference.where,
            "expected": difference.expected,
            "got": difference.got,
        }
    _emit(console, verdict)


def _emit(console: Console, value: dict[str, Any]) -> None:
    # ASCII only: a JSON line cannot carry a control character into the terminal.
    console.file.write(json.dumps(value) + "\n")


def _value(value: Any) -> str:
    return "nothing" if value is None else printable(json.dumps(value, ensure_ascii=False))
