"""What a directory of pages was made of, so that only what has changed is made again.

It lies beside the index, in a file of its own. If that is lost, all is made again.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from phonic_fsm._report.index import Listed
from phonic_fsm._version import __version__
from phonic_fsm.trace._destination import split_name

from .failure import CommandFailed
from .text import printable

FILE = ".phonic-fsm-report.json"


class Version(NamedTuple):
    """Of a trace and of what lies beside it: audio, Phonic's record. It is another one whenever
    one of these files is another."""

    changed: int
    """When the newest was changed (Unix time, ns)."""
    bytes: int


class KnownCall(Struct, kw_only=True):
    version: Version
    listed: Listed
    """As the index has it; without its page."""
    problem: str = ""
    """Why the trace cannot be read to its end."""
    page: Literal["", "identical", "diverged"] = ""
    """How the replay went whose page is written; empty as long as there is no page."""


class _Kept(Struct):
    made_with: str
    calls: dict[str, KnownCall]


class Memory:
    def __init__(self, out: Path, thresholds: Sequence[str], log: Path | None) -> None:
        """``out`` is the directory of the pages; thresholds and the log change what is found."""
        self._path = out / FILE
        stamp = "" if log is None else f"{log.resolve()} {os.stat(log).st_mtime_ns}"
        self._made_with = " ".join([__version__, *sorted(thresholds), stamp])

    def calls(self) -> dict[str, KnownCall]:
        """The calls by their names; none if they were listed by another version, or otherwise."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError, UnicodeError):
            return {}
        return kept.calls if kept.made_with == self._made_with else {}

    def keep(self, calls: dict[str, KnownCall]) -> None:
        """Raises ``CommandFailed`` if the file cannot be written."""
        # What is half written would be lost; the former is worth more.
        half = self._path.with_name(f"{FILE}.new")
        try:
            half.write_bytes(msgspec.json.encode(_Kept(self._made_with, calls)))
            half.replace(self._path)
        except OSError as error:
            raise CommandFailed(printable(f"{self._path}: {error.strerror or error}")) from error


def versions(traces: Iterable[Path]) -> dict[Path, Version]:
    """Of what lies at these paths now."""
    folders: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for trace in traces:
        folders[trace.parent][split_name(trace)[0]].append(trace)
    found = {trace: Version(0, 0) for trace in traces}
    for folder, stems in folders.items():
        for entry in os.scandir(folder):
            # call.jsonl and call.phonic.json belong to "call"; a trace's own name may have dots.
            parts = entry.name.split(".")
            for end in range(1, len(parts)):
                for trace in stems.get(".".join(parts[:end]), ()):
                    status = entry.stat()
                    changed, size = found[trace]
                    found[trace] = Version(max(changed, status.st_mtime_ns), size + status.st_size)
    return found
