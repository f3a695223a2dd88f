"""Limits the room that traces take: removes the oldest ones, and never another file."""

from __future__ import annotations

import re
import time
from pathlib import Path

from msgspec import Struct

from ._audio import side_files

STILL_WRITTEN_SECONDS = 60
"""A trace that was written to within so many seconds stays: another process may be writing it."""


class TraceLimits(Struct, frozen=True, kw_only=True):
    """How large a trace may become, and how many traces are kept.

    Raises:
        ValueError: a limit is not a positive whole number.
    """

    __module__ = "phonic_fsm"

    trace_bytes: int = 256_000_000
    """The most bytes of one trace. If a trace reaches them it ends, and its last line says so."""
    traces: int | None = None
    """The most traces in a directory, with the new one; ``None``: any number."""
    total_bytes: int | None = None
    """The most bytes of all traces in a directory, with their audio, when a new trace begins;
    ``None``: any number."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            limit = getattr(self, name)
            if limit is not None and not (type(limit) is int and limit > 0):
                raise ValueError(f"trace_limits: {name} must be a positive number, got {limit!r}")

    @property
    def remove_traces(self) -> bool:
        """Whether old traces are removed to make room for a new one."""
        return self.traces is not None or self.total_bytes is not None


def make_room(directory: Path, names: re.Pattern[str], limits: TraceLimits) -> None:
    """Remove the oldest traces with these names until a new one fits.

    Raises:
        OSError: a trace cannot be removed.
    """
    if not limits.remove_traces:
        return
    found = sorted(_traces(directory, names))
    total = sum(size for _, size, _ in found)
    latest = time.time() - STILL_WRITTEN_SECONDS
    for count, (changed, size, path) in zip(range(len(found), 0, -1), found, strict=True):
        too_many = limits.traces is not None and count >= limits.traces
        too_large = limits.total_bytes is not None and total > limits.total_bytes
        if changed > latest or not (too_many or too_large):
            return
        for file in (path, *side_files(path).values()):
            file.unlink(missing_ok=True)
        total -= size


def _traces(directory: Path, names: re.Pattern[str]) -> list[tuple[float, int, Path]]:
    """Each trace with the time of its last change, its size (bytes) and its path."""
    found = []
    for path in directory.iterdir():
        if names.fullmatch(path.name) and path.is_file():
            files = [file for file in (path, *side_files(path).values()) if file.exists()]
            try:
                sizes = [file.stat().st_size for file in files]
                found.append((path.stat().st_mtime, sum(sizes), path))
            except FileNotFoundError:
                # Another process has removed it at the same time.
                continue
    return found
