"""``phonic-fsm diff``: shows each step in which two traces, or a trace and the machine, differ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from phonic_fsm._report.comparison import Comparison
from phonic_fsm._report.numbers import duration
from phonic_fsm.trace._diff import ComparedStep, compare_traces, compare_with_machine
from phonic_fsm.trace._reader import TraceError, TraceReader

from .failure import CommandFailed
from .pages import write_page
from .painter import Painter, put
from .text import printable, value_of

ALIKE, DIFFERENT = 0, 1


def run_diff(a: Path, b: Path | None, *, full: bool, times: bool, html: Path | None) -> int:
    """Print the differing steps and how many they are; returns the exit code.

    Raises:
        CommandFailed: a file is not a readable trace, or the page cannot be written.
    """
    console = Console(highlight=False, soft_wrap=True)
    first: int | None = None
    count = 0
    try:
        reader = TraceReader(a)
        page = Comparison(reader, TraceReader(b) if b is not None else None, times=times)
        painter = Painter(reader.header, None if full else console.width - 2)
        for step in compare_with_machine(a) if b is None else compare_traces(a, b, times=times):
            page.take(step)
            if not step.differs:
                continue
            count += 1
            if first is None:
                first = _number(step)
            if html is None:
                for line in _paint(step, painter, full=full):
                    put(line, console)
    except TraceError as error:
        raise CommandFailed(printable(str(error))) from error
    if html is not None:
        write_page(html, page.html())
    where = f"; see {html}" if html is not None else ""
    if first is None:
        console.print(Text(printable(f"no step differs{where}"), "green"))
        return ALIKE
    steps = f"{count} steps differ" if count != 1 else "1 step differs"
    console.print(Text(printable(f"{steps}, the first at step {first}{where}"), "red"))
    return DIFFERENT


def _number(differing: ComparedStep) -> int:
    line = differing.expected or differing.got
    assert line is not None
    return line.seq


def _paint(differing: ComparedStep, painter: Painter, *, full: bool) -> Iterator[Text]:
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
        for time in differing.times:
            if time.differs:
                what = printable(time.what)
                yield painter.aside(f"{what} - {duration(time.expected)}", "red")
                yield painter.aside(f"{'':{len(what)}} + {duration(time.got)}", "green")
    else:
        for sign, line, style in (("-", expected, "red"), ("+", got, "green")):
            if line is not None:
                yield Text(f"{sign} ", style) + painter.step(line)


def _from_where_they_part(one: str, other: str) -> tuple[str, str]:
    """Both values from shortly before they differ, so that the difference fits on the line."""
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))
    alike -= 20
    return (f"…{one[alike:]}", f"…{other[alike:]}") if alike > 0 else (one, other)
