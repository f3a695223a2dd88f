"""The thread that writes traces: one for all recorders of a process, while any of them is open.

It looks for queued steps twice a second, or at once if it is asked to, and writes them together. If
the process is killed, what was queued since the last look is lost.
"""

from __future__ import annotations

import atexit
import threading
from typing import Protocol

INTERVAL = 0.5
"""Seconds between two looks."""

LONGEST_FAREWELL = 2.0
"""The most seconds that the end of the process waits for the disk."""


class Drained(Protocol):
    def drain(self) -> bool:
        """Write what is queued; returns whether more may come. Must not raise."""

    def close(self) -> None:
        """Expect no more. What is queued is still written."""


class Writer:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorders: list[Drained] = []
        self._thread: threading.Thread | None = None
        self._look = threading.Event()

    def add(self, recorder: Drained) -> None:
        """Drain this recorder, too, until it says that no more will come."""
        with self._lock:
            self._recorders.append(recorder)
            # A forked child has no such thread; its first recorder starts one.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="phonic-trace-writer", daemon=True
                )
                self._thread.start()

    def look(self) -> None:
        """Look for queued steps at once."""
        self._look.set()

    def finish(self) -> None:
        """Write what is queued when the process ends, within ``LONGEST_FAREWELL``."""
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
