"""The thread that writes: one for all recorders of a process, there while any is open.

It looks twice a second, and at once where it is asked to: what comes often is written in batches.
A process that is killed loses what was queued since the last look.
"""

from __future__ import annotations

import atexit
import threading
from typing import Protocol

INTERVAL = 0.5
"""Seconds between two looks."""

LONGEST_FAREWELL = 2.0
"""Seconds that the end of a process waits for the disk."""


class Drained(Protocol):
    def drain(self) -> bool:
        """Write what is queued; returns whether more may come. Must not raise."""

    def close(self) -> None:
        """Nothing more comes; what is queued is still written."""


class Writer:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorders: list[Drained] = []
        self._thread: threading.Thread | None = None
        self._look = threading.Event()

    def add(self, recorder: Drained) -> None:
        """Drain this one too, until it says that nothing more comes."""
        with self._lock:
            self._recorders.append(recorder)
            # A fork leaves the thread behind: the child's first recorder starts it again.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="phonic-trace-writer", daemon=True
                )
                self._thread.start()

    def look(self) -> None:
        """Do not wait for the next look."""
        self._look.set()

    def finish(self) -> None:
        """At the end of the process: write what there is, but wait no longer than is decent."""
        with self._lock:
            recorders, thread = list(self._recorders), self._thread
        for recorder in recorders:
            recorder.close()
        if thread is not None:
            thread.join(LONGEST_FAREWELL)

    def _run(self) -> None:
        while True:
            self._look.wait(INTERVAL)
            self._look.clear()
            ended = [recorder for recorder in tuple(self._recorders) if not recorder.drain()]
            with self._lock:
                for recorder in ended:
                    self._recorders.remove(recorder)
                if not self._recorders:
                    self._thread = None
                    return


WRITER = Writer()
atexit.register(WRITER.finish)
