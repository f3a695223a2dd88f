"""Where calls are recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from phonic_fsm._runtime.printable import in_unicode
from phonic_fsm.trace._destination import SUFFIXES
from phonic_fsm.trace._follow import GrowingTrace
from phonic_fsm.trace._lock import is_held


class Version(NamedTuple):
    """What has been recorded of a call. It is another one whenever there is more."""

    changed: float
    """When the last of it came (Unix time, s)."""
    size: int


class Source(Protocol):
    """Where calls are recorded. Its methods wait for a disk or a network."""

    def versions(self) -> Mapping[str, Version]:
        """All calls that have been recorded, by their names."""

    def is_recorded(self, name: str) -> bool:
        """Whether a process still records the call. If not, and it has no end, the process was
        killed."""

    def worker(self, name: str) -> str:
        """Which process has the call, in words; empty where that is not known."""

    def open(self, name: str) -> GrowingTrace:
        """The call's trace.

        Raises:
            TraceError: it cannot be read.
        """


class Folder:
    """The traces in a folder and below. What a link leads out of it to is not among them.

    A call's name is its file's, with an escape in place of what is no Unicode.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._escaped: dict[str, str] = {}
        """The files' names, by those of calls that differ from them."""

    def versions(self) -> Mapping[str, Version]:
        """Raises nothing: what is removed meanwhile is left out."""
        return dict(self._found(self._path, ""))

    def is_recorded(self, name: str) -> bool:
        try:
            return is_held(self._file(name))
        except OSError:
            return False

    def worker(self, name: str) -> str:  # noqa: ARG002 - a trace does not tell it
        return ""

    def open(self, name: str) -> GrowingTrace:
        return GrowingTrace(self._file(name))

    def _file(self, name: str) -> Path:
        return self._path / self._escaped.get(name, name)

    def _found(self, folder: Path, prefix: str) -> Iterator[tuple[str, Version]]:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            return
        for entry in entries:
            name = prefix + entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._found(folder / entry.name, f"{name}/")
                elif entry.name.endswith(SUFFIXES) and entry.is_file() and self._is_within(entry):
                    status = entry.stat()
                    if (shown := in_unicode(name)) != name:
                        self._escaped[shown] = name
                    yield shown, Version(status.st_mtime, status.st_size)
            except OSError:
                continue

    def _is_within(self, entry: os.DirEntry[str]) -> bool:
        return not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(self._path)
