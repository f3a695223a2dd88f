"""``phonic-fsm report``: a call as a page, or an index and a page for each call of a directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from phonic_fsm._report.page import Report, make_report
from phonic_fsm.trace._reader import TraceError

from .failure import CommandFailed
from .findings import chosen_rules
from .log_file import read_log
from .pages import write_page
from .replay import DIVERGED, IDENTICAL
from .report_folder import FolderReport, Wanted
from .text import printable


def run_report(
    trace: Path,
    out: Path,
    *,
    thresholds: Sequence[str] = (),
    log: Path | None = None,
    pages: Wanted | None = None,
) -> int:
    """Write the page of a trace, or those of a directory's traces; returns the exit code.

    A page may replace an older one, but no other file.

    Raises:
        CommandFailed: a trace cannot be read to its end (the page has the steps before it), none
            of a directory's traces can be read, a page cannot be written, a threshold is
            mistyped, or the log has no timestamps.
    """
    if trace.is_dir():
        read_log(log)
        return FolderReport(trace, out, thresholds, log, pages or "all").run()
    if pages is not None:
        raise CommandFailed("--pages is for a directory of traces")
    try:
        report = make_report(trace, rules=chosen_rules(thresholds), log=read_log(log))
    except TraceError as error:
        raise CommandFailed(printable(str(error))) from error
    write_page(out, report.html)
    if report.problem is not None:
        raise CommandFailed(printable(f"{report.problem}; {out} has the steps before it"))
    return _tell(report, out)


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
