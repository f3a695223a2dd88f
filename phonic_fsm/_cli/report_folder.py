"""A directory of calls as an index, and a page for each call.

The index comes first. It takes an overview of each call, in which nothing is replayed, and so is
there long before the pages. Then the pages are written, those of the worst calls first. The index
links to the pages that are there, and is written again while they come. So it is right whenever the
command is stopped, and the command goes on from there when it is run again.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import structs
from rich.console import Console
from rich.text import Text

from phonic_fsm._report.findings import Finding
from phonic_fsm._report.index import Listed, make_index, worst
from phonic_fsm._report.overview import listing
from phonic_fsm._report.page import make_report
from phonic_fsm._report.rules import Rule
from phonic_fsm._report.severity import SEVERITIES
from phonic_fsm._runtime.printable import in_unicode
from phonic_fsm.trace._reader import TraceReader

from .failure import TERMINATED, CommandFailed
from .findings import chosen_rules
from .log_file import read_log
from .pages import make_folder, write_page
from .replay import DIVERGED, IDENTICAL
from .report_memory import KnownCall, Memory, versions
from .text import printable
from .traces import find_traces, read_each

Wanted = Literal["all", "found"]
"""Which calls get a page: all, or those in which something was found."""

INDEX = "index.html"

EVERY = 10.0
"""The index is written again after so many seconds, while pages come."""


class FolderReport:
    def __init__(
        self,
        directory: Path,
        out: Path,
        thresholds: Sequence[str],
        log: Path | None,
        wanted: Wanted,
    ) -> None:
        self._directory = directory
        self._out = out
        self._rules = chosen_rules(thresholds)
        self._log = log
        self._wanted = wanted
        self._memory = Memory(out, thresholds, log)
        self._calls: dict[str, KnownCall] = {}
        """By their names, which are their traces' paths within the directory."""
        self._console = Console(highlight=False, soft_wrap=True, markup=False)

    def run(self) -> int:
        """Write the index and the pages; returns the exit code.

        Raises:
            CommandFailed: none of the traces can be read to its end, or a file cannot be written.
        """
        if self._out.exists() and not self._out.is_dir():
            raise CommandFailed(printable(f"{self._out} is no directory; the pages need one"))
        self._look(self._with_names(find_traces([self._directory])))
        if self._calls:
            make_folder(self._out)
            self._write_index()
            self._tell()
            with _cleaning_up_at_sigterm():
                try:
                    self._write_pages()
                finally:
                    self._write_index()
            self._tell_of_pages()
        if all(call.problem for call in self._calls.values()):
            raise CommandFailed("not one trace can be read to its end")
        diverged = any(call.page == "diverged" for call in self._calls.values())
        return DIVERGED if diverged else IDENTICAL

    def _with_names(self, traces: list[Path]) -> list[Path]:
        """Those whose names are Unicode, as a link to a page must be. The others are named."""
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        named = []
        for trace in traces:
            name = str(trace.relative_to(self._directory))
            if in_unicode(name) == name:
                named.append(trace)
            else:
                told = printable(f"not readable: {trace}: its name is no Unicode")
                errors.print(Text(told, "yellow"))
        return named

    def _look(self, traces: list[Path]) -> None:
        """Take an overview of each call that is new, or not as it was when it was listed."""
        names = {trace: trace.relative_to(self._directory).as_posix() for trace in traces}
        there, known = versions(traces), self._memory.calls()
        new = []
        for trace in traces:
            name = names[trace]
            call = known.get(name)
            if call is None or call.version != there[trace]:
                new.append(trace)
            else:
                page = call.page if self._page(name).is_file() else ""
                self._calls[name] = structs.replace(call, page=page)
        for trace, reading in zip(
            new, read_each(new, partial(listing, rules=self._rules)), strict=True
        ):
            if (seen := reading.result) is not None:
                self._calls[names[trace]] = KnownCall(
                    version=there[trace],
                    listed=Listed(
                        name=names[trace],
                        page="",
                        started=seen.started,
                        seconds=seen.seconds,
                        state=seen.state,
                        findings=seen.findings,
                    ),
                    problem=seen.problem,
                )

    def _write_pages(self) -> None:
        waiting = sorted(
            (call for call in self._calls.values() if not call.page and self._gets_page(call)),
            key=lambda call: (worst(call.listed.findings), call.listed.name),
        )
        write = partial(
            _write_page,
            directory=self._directory,
            out=self._out,
            rules=self._rules,
            log=self._log,
        )
        written_at = time.monotonic()
        traces = [self._directory / call.listed.name for call in waiting]
        for call, reading in zip(waiting, read_each(traces, write), strict=True):
            if (page := reading.result) is not None:
                call.page, call.problem = page.outcome, page.problem
                call.listed = structs.replace(call.listed, findings=page.findings)
            if time.monotonic() - written_at > EVERY:
                self._write_index()
                written_at = time.monotonic()

    def _gets_page(self, call: KnownCall) -> bool:
        return self._wanted == "all" or bool(call.listed.findings)

    def _write_index(self) -> None:
        listed = [
            structs.replace(call.listed, page=f"{name}.html" if call.page else "")
            for name, call in sorted(self._calls.items())
        ]
        write_page(self._out / INDEX, make_index(listed))
        self._memory.keep(self._calls)

    def _page(self, name: str) -> Path:
        return self._out / f"{name}.html"

    def _tell(self) -> None:
        """Print what the index has."""
        found = Counter(worst(call.listed.findings) for call in self._calls.values())
        told = [f"{found[n]:,} with {a}" for n, a in enumerate(_A_FINDING) if found[n]]
        calls = f"{len(self._calls):,} call{'' if len(self._calls) == 1 else 's'}"
        what = ", ".join(told) or "nothing found"
        self._console.print(printable(f"{calls}: {what}; see {self._out / INDEX}"))

    def _tell_of_pages(self) -> None:
        """Name the pages whose traces do not replay to their end."""
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        for name, call in sorted(self._calls.items()):
            page = self._page(name)
            if call.page and call.problem:
                cut = printable(f"not readable: {call.problem}; {page} has the steps before it")
                errors.print(Text(cut, "yellow"))
            elif call.page == "diverged":
                step = call.listed.findings[0].step
                self._console.print(printable(f"diverged at step {step}; see {page}"))


@contextmanager
def _cleaning_up_at_sigterm() -> Iterator[None]:
    """Leave the block at SIGTERM as at Ctrl-C, and end the process then."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _WrittenPage(NamedTuple):
    outcome: Literal["identical", "diverged"]
    problem: str
    findings: Sequence[Finding]


def _write_page(
    reader: TraceReader, directory: Path, out: Path, rules: Sequence[Rule], log: Path | None
) -> _WrittenPage:
    """Write the page of a trace, perhaps in another process."""
    name = reader.path.relative_to(directory)
    index = "../" * (len(name.parts) - 1) + INDEX
    report = make_report(reader, index=index, rules=rules, log=read_log(log))
    page = out / f"{name}.html"
    make_folder(page.parent)
    write_page(page, report.html)
    diverged = report.last is not None and report.last.difference is not None
    return _WrittenPage(
        "diverged" if diverged else "identical",
        str(report.problem or ""),
        report.overview.findings,
    )


_A_FINDING = tuple(f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in SEVERITIES)
