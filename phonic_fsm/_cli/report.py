"""``phonic-fsm report``: a call as a page, or an index and a page for each call of a directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from phonic_fsm._report import Report, make_report
from phonic_fsm._report.index import Listed, make_index
from phonic_fsm._report.log import Log
from phonic_fsm._report.rules import Rule
from phonic_fsm.trace._reader import TraceError

from .failure import CommandFailed
from .findings import chosen_rules
from .pages import write_page
from .replay import DIVERGED, IDENTICAL
from .text import printable
from .traces import find_traces


def run_report(
    trace: Path, out: Path, *, thresholds: Sequence[str] = (), log: Path | None = None
) -> int:
    """Write the page of a trace, or those of a directory's traces; returns the exit code.

    A page may replace an older one, but no other file.

    Raises:
        CommandFailed: a trace cannot be read to its end (the page has the steps before it), none
            of a directory's traces can be read, a page cannot be written, a threshold is
            mistyped, or the log has no timestamps.
    """
    make = _Maker(chosen_rules(thresholds), None if log is None else _read(log))
    if trace.is_dir():
        return _report_on_all(trace, out, make)
    report = make(trace)
    write_page(out, report.html)
    if report.problem is not None:
        raise CommandFailed(printable(f"{report.problem}; {out} has the steps before it"))
    return _tell(report, out)


def _report_on_all(directory: Path, out: Path, make: _Maker) -> int:
    """A page for each trace in the directory and below, in the same folders under ``out``, and
    ``index.html``, which lists them."""
    traces = find_traces([directory])
    if out.exists() and not out.is_dir():
        raise CommandFailed(printable(f"{out} is no directory; the pages need one"))
    unread = Console(stderr=True, highlight=False, soft_wrap=True)
    codes, listed = [], []
    for trace in traces:
        name = trace.relative_to(directory)
        try:
            report = make(trace, index="../" * (len(name.parts) - 1) + "index.html")
        except CommandFailed as problem:
            unread.print(Text(f"not readable: {problem}", "yellow"))
            continue
        page = out / name.with_name(f"{trace.name}.html")
        try:
            page.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandFailed(printable(f"{page.parent}: {error.strerror or error}")) from error
        write_page(page, report.html)
        address = page.relative_to(out).as_posix()
        seen = report.overview
        listed.append(
            Listed(
                name=name.as_posix(),
                page=address,
                started=seen.started,
                seconds=seen.seconds,
                state=seen.state,
                findings=seen.findings,
            )
        )
        if report.problem is not None:
            cut = printable(f"not readable: {report.problem}; {page} has the steps before it")
            unread.print(Text(cut, "yellow"))
        else:
            codes.append(_tell(report, page))
    if listed:
        write_page(out / "index.html", make_index(listed))
    if not codes:
        raise CommandFailed("not one trace can be read to its end")
    return max(codes)


class _Maker(NamedTuple):
    """Makes pages, each in the same way."""

    rules: Sequence[Rule]
    log: Log | None

    def __call__(self, trace: Path, *, index: str = "") -> Report:
        try:
            return make_report(trace, index=index, rules=self.rules, log=self.log)
        except TraceError as error:
            raise CommandFailed(printable(str(error))) from error


def _read(log: Path) -> Log:
    try:
        return Log(log)
    except OSError as error:
        raise CommandFailed(printable(f"{log}: {error.strerror or error}")) from error
    except ValueError as error:
        raise CommandFailed(printable(str(error))) from error


def _tell(report: Report, page: Path) -> int:
    """Print how the replay went, and where the page is; returns the exit code."""
    last = report.last
    if last is not None and last.difference is not None:
        verdict, code = f"diverged at step {last.line.seq}", DIVERGED
    else:
        verdict, code = f"identical: {last.line.seq if last else 0} steps replayed", IDENTICAL
    Console(highlight=False, soft_wrap=True, markup=False).print(
        printable(f"{verdict}; see {page}")
    )
    return code
