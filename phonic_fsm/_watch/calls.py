"""All calls of a source as rows of the index, kept up to date. Only what has changed is read."""

from __future__ import annotations

import time
from collections.abc import Sequence

from phonic_fsm._core.states import State
from phonic_fsm._report.findings import Finding
from phonic_fsm._report.index import Life, Listed, Row, row_of
from phonic_fsm._report.overview import overview
from phonic_fsm._report.rules import Rule
from phonic_fsm._runtime.printable import in_unicode
from phonic_fsm.trace._follow import GrowingTrace
from phonic_fsm.trace._reader import TraceEmpty, TraceError

from .running import RunningCall, while_running
from .source import Source, Version

A_WHILE = 1.0
"""Seconds after which a look ends even if not all has been read. The next one begins with the
newest again, so a call that goes on does not wait until thousands of old ones have been read."""

CALL = "call/"
"""What the addresses of pages begin with."""


class Calls:
    """Only ``look`` changes anything. It waits for a disk, so it runs in a thread."""

    def __init__(self, source: Source, rules: Sequence[Rule]) -> None:
        self._source = source
        self._rules = rules
        self._rules_while_running = while_running(rules)
        self._versions: dict[str, Version] = {}
        """What has been read of each call."""
        self._running: dict[str, RunningCall] = {}
        self._rows: dict[str, Row] = {}
        self.found = 0
        """How many calls the source has. They are read one after the other, the newest first."""
        self._stopped = False

    def rows(self) -> dict[str, Row]:
        """The rows by the calls' names. A row that has changed is another object."""
        return dict(self._rows)

    def stop(self) -> None:
        """End the look that is under way, after the call that it reads."""
        self._stopped = True

    def look(self) -> bool:
        """Read what has changed since the last look, the newest first, for about ``A_WHILE``.

        Returns whether that was all.
        """
        until = time.monotonic() + A_WHILE
        versions = self._source.versions()
        self.found = len(versions)
        for name in self._versions.keys() - versions.keys():
            self._forget(name)
        for name, version in sorted(versions.items(), key=lambda one: one[1], reverse=True):
            if self._stopped or time.monotonic() > until:
                return False
            if name in self._running or self._versions.get(name) != version:
                try:
                    self._look_at(name, version)
                except TraceEmpty:
                    continue  # its header is about to be written
                except TraceError as problem:
                    self._running.pop(name, None)
                    self._rows[name] = _unreadable(name, problem)
                self._versions[name] = version
        return True

    def _look_at(self, name: str, version: Version) -> None:
        former = self._versions.get(name)
        if former is not None and version.size < former.size:
            self._forget(name)  # another file has its name
        # This is asked first: what was written before the end is in the file by now.
        goes_on = self._source.is_recorded(name)
        call = self._running.get(name)
        if call is None:
            trace = self._source.open(name)
            if not goes_on:
                self._rows[name] = self._row_of_recorded(name, trace)
                return
            call = self._running[name] = RunningCall(trace)
        if goes_on and former == version:
            return
        call.read_on()
        self._rows[name] = self._row_while_running(name, call, version, goes_on=goes_on)
        if not goes_on:
            del self._running[name]

    def _row_of_recorded(self, name: str, trace: GrowingTrace) -> Row:
        seen = overview(trace, self._rules)
        has_end = seen.state == State.closed.value or trace.end is not None
        return row_of(
            Listed(
                name=name,
                page=CALL + name,
                started=seen.started,
                seconds=seen.seconds,
                state=seen.state,
                findings=seen.findings,
                life="" if has_end else "killed",
                worker="" if has_end else self._source.worker(name),
            )
        )

    def _row_while_running(
        self, name: str, call: RunningCall, version: Version, *, goes_on: bool
    ) -> Row:
        stands = call.standing()
        life: Life = "" if call.has_end else "running" if goes_on else "killed"
        return row_of(
            Listed(
                name=name,
                page=CALL + name,
                started=call.started,
                seconds=call.seconds,
                state=call.state,
                findings=call.findings(
                    self._rules_while_running if life == "running" else self._rules
                ),
                life=life,
                waits_for=stands.waits_for if life == "running" else "",
                since=version.changed - (call.seconds - stands.since),
                worker=self._source.worker(name) if life else "",
            )
        )

    def _forget(self, name: str) -> None:
        for known in (self._versions, self._running, self._rows):
            known.pop(name, None)


def _unreadable(name: str, problem: TraceError) -> Row:
    why = in_unicode(str(problem)).partition(f"{name}: ")[2] or str(problem)
    title = f"The file cannot be read: {why}"
    finding = Finding(
        rule="unreadable", title=title, sentence=title, step=1, start=0, end=0, severity="error"
    )
    return row_of(Listed(name=name, page="", findings=[finding]))
