"""``phonic-fsm diff``: shows each step in which two traces, or a trace and the machine, differ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from phonic_fsm.trace._diff import DifferingStep, diff_traces, diff_with_machine
from phonic_fsm.trace._reader import TraceError, TraceReader

from .failure import CommandFailed
from .painter import Painter, put
from .text import printable, value_of

ALIKE, DIFFERENT = 0, 1


def run_diff(a: Path, b: Path | None, *, full: bool) -> int:
    """Print the differing steps and how many they are; returns the exit code.

    Raises:
        CommandFailed: a file is not a readable trace.
    """
    console = Console(highlight=False, soft_wrap=True)
    first: int | None = None
    count = 0
    try:
        painter = Painter(TraceReader(a).header, None if full else console.width - 2)
        for differing in diff_with_machine(a) if b is None else diff_traces(a, b):
            count += 1
            if first is None:
                first = _number(differing)
            for line in _paint(differing, painter, full=full):
                put(line, console)
    except TraceError as error:
        raise CommandFailed(printable(str(error))) from error
    if first is None:
        console.print(Text("no step differs", "green"))
        return ALIKE
    steps = f"{count} steps differ" if count != 1 else "1 step differs"
    console.print(Text(f"{steps}, the first at step {first}", "red"))
    return DIFFERENT


def _number(differing: DifferingStep) -> int:
    line = differing.expected or differing.got
    assert line is not None
    return line.seq


def _paint(differing: DifferingStep, painter: Painter, *, full: bool) -> Iterator[Text]:
    expected, got = differing.expected, differing.got
    if expected is not None and got is not None:
        yield Text("  ") + painter.step(expected)
        if got.seq != expected.seq:
            yield painter.aside(f"step {got.seq} of the other")
        for difference in differing.differences:
            where = printable(difference.where)
            one, other = value_of(difference.expected), value_of(difference.got)
            if not full:
                one, other = _from_where_they_part(one, other)
            yield painter.aside(f"{where} - {one}", "red")
            yield painter.aside(f"{'':{len(where)}} + {other}", "green")
    else:
        for sign, line, style in (("-", expected, "red"), ("+", got, "green")):
            if line is not None:
                yield Text(f"{sign} ", style) + painter.step(line)


def _from_where_they_part(one: str, other: str) -> tuple[str, str]:
    """Both values from shortly before they differ, so that the difference fits on the line."""
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))
    alike -= 20
    return (f"…{one[alike:]}", f"…{other[alike:]}") if alike > 0 else (one, other)
