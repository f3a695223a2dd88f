"""``phonic-fsm replay --html``: a trace as a page, and whether the machine still does the same."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from phonic_fsm._report import make_report
from phonic_fsm.trace._reader import TraceError

from .failure import CommandFailed
from .replay import DIVERGED, IDENTICAL
from .text import printable

_PAGE = b"<!doctype html>"


def run_report(trace: Path, page: Path) -> int:
    """Write the page, over an older one, and say how the replay went; returns the exit code.

    Raises:
        CommandFailed: the trace cannot be read (to its end: the page has what stands before), or
            the page cannot be written.
    """
    try:
        report = make_report(trace)
    except TraceError as error:
        raise CommandFailed(printable(str(error))) from error
    _write(page, report.html)
    if report.problem is not None:
        raise CommandFailed(printable(f"{report.problem}; {page} has the steps before it"))
    last = report.last
    if last is not None and last.difference is not None:
        verdict, code = f"diverged at step {last.line.seq}", DIVERGED
    else:
        verdict, code = f"identical: {last.line.seq if last else 0} steps replayed", IDENTICAL
    Console(highlight=False, soft_wrap=True, markup=False).print(
        printable(f"{verdict}; see {page}")
    )
    return code


def _write(page: Path, text: str) -> None:
    """Write it, but over nothing that is not such a page: a trace cannot be had again."""
    try:
        if page.exists() and not _is_page(page):
            raise CommandFailed(printable(f"{page} is there and is no page; name another file"))
        page.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandFailed(printable(f"{page}: {error.strerror or error}")) from error


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PAGE)) == _PAGE
