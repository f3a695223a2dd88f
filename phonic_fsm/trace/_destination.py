"""Where traces go: a directory, a path with fields in braces, or a function of the user's.

The fields are ``{job}`` and ``{room}`` of LiveKit (``none`` outside a job), ``{time}`` (UTC,
``20260131T235959Z``) and ``{session}``, the twelve hexadecimal digits that the session's ids
begin with.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from inspect import iscoroutinefunction
from pathlib import Path
from string import Formatter

from msgspec import Struct

from ._sinks import Function

FIELDS = {
    "job": r"[^/]*",
    "room": r"[^/]*",
    "time": r"\d{8}T\d{6}Z",
    "session": r"[0-9a-f]{12}",
}
"""The fields of a name, and what their values look like."""

SUFFIXES = (".jsonl", ".jsonl.gz")
"""What the names of traces end in."""

IN_A_DIRECTORY = "{time}-{session}.jsonl"

LONGEST_VALUE = 80
"""The most bytes of a job's or a room's name that a file's name gets. File systems count bytes, and
most take 255 of them."""


class Files(Struct, frozen=True):
    """Each session's trace goes to a file of its own, whose name follows from the template."""

    template: str

    def resolved(self) -> Files:
        """The same; if the template is a directory, with a file name in it."""
        if self.template.endswith(("/", os.sep)) or os.path.isdir(self.template):
            return Files(os.path.join(self.template, IN_A_DIRECTORY))
        return self

    def path(self, session: str, job: str = "", room: str = "") -> Path:
        """The path of this session's trace."""
        now = datetime.now(timezone.utc)
        return Path(
            self.template.format(
                session=session,
                time=f"{now:%Y%m%dT%H%M%SZ}",
                job=fit_for_a_name(job),
                room=fit_for_a_name(room),
            )
        )

    @property
    def names_the_session(self) -> bool:
        return "session" in _fields(Path(self.template).name)

    def own_names(self) -> re.Pattern[str]:
        """A pattern for the names of such files, without their directory."""
        stem, suffix = split_name(Path(self.template))
        parts = [
            re.escape(literal) + (FIELDS[field] if field else "")
            for literal, field, _, _ in Formatter().parse(stem)
        ]
        return re.compile(f"{''.join(parts)}(-[0-9]+)?{re.escape(suffix)}")


Destination = Files | Function


def destination(target: object) -> Destination:
    """The destination that a user names.

    A path that is a directory, or ends in a slash, gets a file per session, named by time and
    session.

    Raises:
        ValueError: it is none of the three, or has an unknown field; the message names ``trace``.
    """
    if callable(target):
        if iscoroutinefunction(target) or iscoroutinefunction(type(target).__call__):
            raise ValueError("trace: a thread calls the function, so it cannot be async")
        return target
    if not isinstance(target, (str, os.PathLike)) or not os.fspath(target):
        raise ValueError(f"trace must be a path, a function or None, got {target!r}")
    template = os.fsdecode(target)
    if "\0" in template:
        raise ValueError(f"trace: no path holds the character NUL; the value is {template!r}")
    try:
        unknown = _fields(template) - FIELDS.keys()
        plain = [part for part in Formatter().parse(template) if part[2] or part[3]]
    except ValueError as error:
        raise ValueError(f"trace: {error}; the value is {template!r}") from None
    if unknown or plain:
        fields = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise ValueError(f"trace: the fields of a name are {fields}; the value is {template!r}")
    return Files(template)


def split_name(path: Path) -> tuple[str, str]:
    """A trace's name without its suffix, and the suffix (``.jsonl`` or ``.jsonl.gz``)."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name[: -len(suffix)], suffix
    return path.stem, path.suffix


def numbered(path: Path, number: int) -> Path:
    """The path itself as number 1; with a higher number, the path with the number in its name."""
    stem, suffix = split_name(path)
    return path if number == 1 else path.with_name(f"{stem}-{number}{suffix}")


def _fields(template: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(template) if field is not None}


def fit_for_a_name(value: str, longest: int = LONGEST_VALUE) -> str:
    """The value without characters that lead out of the directory or that a file system refuses.

    It has as many bytes as ``longest`` at most.
    """
    fit = re.sub(r"[^\w.-]+", "_", value).encode()[:longest].decode(errors="ignore")
    return fit.lstrip(".") or "none"
