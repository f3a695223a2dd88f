"""The threads that write traces, while any is recorded: one for all files, and one for each model
whose traces go to a function. A function that blocks holds up nobody else's traces.

A thread looks for queued steps twice a second, and writes them together. If a trace asks for it,
the thread looks at that trace at once. If the process is killed, what was queued since the last
look is lost. If the process forks, the traces stay with the parent.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import Protocol
from weakref import WeakSet

INTERVAL = 0.5
"""Seconds between two looks."""

LONGEST_FAREWELL = 2.0
"""The most seconds that the end of the process waits for the disk."""


_writers: WeakSet[Writer] = WeakSet()


class Drained(Protocol):
    def drain(self) -> bool:
        """Write what is queued; returns whether more may come. Must not raise."""

    def close(self) -> None:
        """Expect no more. What is queued is still written."""

    def let_go(self) -> None:
        """Write nothing any more: in a forked child, where the file is the parent's."""


class Writer:
    """One thread."""

    def __init__(self, interval: float = INTERVAL) -> None:
        """``interval`` is the seconds between two looks."""
        self._interval = interval
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._recorders: list[Drained] = []
        self._thread: threading.Thread | None = None
        self._look = threading.Event()
        self._urgent: set[Drained] = set()
        """Those that are to be looked at now."""

    def add(self, recorder: Drained) -> None:
        """Drain this recorder, too, until it says that no more will come."""
        with self._lock:
            self._recorders.append(recorder)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="phonic-trace-writer", daemon=True
                )
                self._thread.start()

    def look(self, recorder: Drained) -> None:
        """Look for what this one has queued, at once."""
        self._urgent.add(recorder)
        self._look.set()

    def close(self) -> threading.Thread | None:
        """Close every recorder. The thread, if there is one, ends when all is written."""
        with self._lock:
            recorders, thread = list(self._recorders), self._thread
        for recorder in recorders:
            recorder.close()
        return thread

    def let_go(self) -> None:
        """Begin anew in a forked child, which has neither the thread nor a right to the files."""
        # The lock may be held by the thread that is not here.
        recorders = self._recorders
        self._begin()
        for recorder in recorders:
            recorder.let_go()

    def _run(self) -> None:
        following = time.monotonic() + self._interval
        while True:
            self._look.wait(max(0.0, following - time.monotonic()))
            self._look.clear()
            due = self._asked()
            if time.monotonic() >= following:
                due.update(self._recorders)
                following = time.monotonic() + self._interval
            # One may have asked again after its end.
            due.intersection_update(self._recorders)
            ended = [recorder for recorder in due if not recorder.drain()]
            with self._lock:
                for recorder in ended:
                    self._recorders.remove(recorder)
                if not self._recorders:
                    self._thread = None
                    return

    def _asked(self) -> set[Drained]:
        asked = set()
        while self._urgent:
            asked.add(self._urgent.pop())
        return asked


FILES = Writer()
"""Writes all traces that go to files."""


def finish() -> None:
    """Write what is queued when the process ends, within ``LONGEST_FAREWELL``."""
    until = time.monotonic() + LONGEST_FAREWELL
    for thread in [writer.close() for writer in tuple(_writers)]:
        if thread is not None:
            thread.join(max(0.0, until - time.monotonic()))


def _leave_to_the_parent() -> None:
    for writer in tuple(_writers):
        writer.let_go()


atexit.register(finish)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_leave_to_the_parent)
