"""What a worker's processes use, where they run on this machine: processor and memory per call."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


class Usage:
    """The worker's process and all that it has started. Its methods read files of the system."""

    def __init__(self, pid: int) -> None:
        """Measure what is used without a call.

        Raises:
            ValueError: no such process can be looked at.
        """
        try:
            self._worker = psutil.Process(pid)
            self._bytes_before = self._worker.memory_full_info().uss
        except GONE:
            raise ValueError(f"no process {pid} that this user can measure") from None
        self._seen: dict[tuple[int, float], float] = {}
        """The processor time (s) of each process when it was looked at last."""
        self._used = 0.0
        self._call_seconds = 0.0
        self._most_calls = 0
        self._bytes_per_call: float | None = None
        self._looked = time.monotonic()
        self._look_at_processes(is_first=True)
        self._bytes_before = self._bytes()

    @property
    def cpu(self) -> float | None:
        """The share of a core that a call uses (%), its process's start included."""
        return 100 * self._used / self._call_seconds if self._call_seconds else None

    @property
    def megabytes(self) -> float | None:
        """The memory that a call adds, when most calls went on; shared pages are left out."""
        return None if self._bytes_per_call is None else self._bytes_per_call / 1e6

    def look(self, calls: int) -> None:
        """Measure; so many calls go on."""
        now = time.monotonic()
        self._call_seconds += calls * (now - self._looked)
        self._looked = now
        self._look_at_processes()
        if calls and calls >= self._most_calls:
            self._most_calls = calls
            self._bytes_per_call = (self._bytes() - self._bytes_before) / calls

    def _processes(self) -> list[psutil.Process]:
        with suppress(*GONE):
            return [self._worker, *self._worker.children(recursive=True)]
        return []

    def _look_at_processes(self, *, is_first: bool = False) -> None:
        for process in self._processes():
            with suppress(*GONE):
                times = process.cpu_times()
                spent = times.user + times.system
                known = (process.pid, process.create_time())
                if not is_first:
                    self._used += spent - self._seen.get(known, 0.0)
                self._seen[known] = spent

    def _bytes(self) -> int:
        total = 0
        for process in self._processes():
            with suppress(*GONE):
                total += process.memory_full_info().uss
        return total
