"""The log of the process beside a call: lines with a timestamp, as text or as JSON.

LiveKit's own JSON logger, Python's ``logging`` with ``%(asctime)s``, and most others are
understood. A line without a timestamp, as in a traceback, belongs to the one before it. A timestamp
without a zone is in this machine's time.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

BEFORE = 2.0
"""So many seconds before the call, what is logged may be about it."""

AFTER = 5.0
"""So many seconds after it."""

MOST_LINES = 2_000
"""On one page; the lines of a call may be among those of many."""

LONGEST_TEXT = 2_000
"""Characters of a line, with those that belong to it."""

_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?(Z|UTC|[+-]\d\d:?\d\d)?\b"
)
_STAMP_WITHIN = 80
_LEVEL = re.compile(r"\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL)\b")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TIMES = ("timestamp", "time", "ts", "@timestamp", "asctime", "created")
_LEVELS = ("level", "levelname", "severity")
_TEXTS = ("message", "msg", "event")


class LogLine(Struct, kw_only=True):
    at: float
    """Seconds on the trace's clock."""
    level: str
    """In lower case, as Python's ``logging`` names it; empty if the line names none."""
    text: str


class Log:
    """A log file that has been read."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            OSError: it cannot be read.
            ValueError: no line in it has a timestamp.
        """
        lines: list[LogLine] = []
        with path.open(encoding="utf-8", errors="replace") as file:
            while text := file.readline(4 * LONGEST_TEXT):
                _take(_COLOURS.sub("", text).rstrip("\n"), lines)
        if not lines:
            raise ValueError(f"{path}: no line has a date and a time")
        self._lines = sorted(lines, key=lambda line: line.at)

    def beside(self, started: str, seconds: float) -> list[LogLine]:
        """The lines of a call that started then (ISO 8601) and took so long, on its clock."""
        try:
            began = datetime.fromisoformat(started.replace("Z", "+00:00")).timestamp()
        except ValueError:
            return []
        first = bisect_left(self._lines, began - BEFORE, key=_at)
        last = bisect_left(self._lines, began + seconds + AFTER, key=_at)
        return [
            LogLine(at=round(line.at - began, 3), level=line.level, text=line.text)
            for line in islice(self._lines, first, min(last, first + MOST_LINES))
        ]


def _at(line: LogLine) -> float:
    return line.at


def _take(text: str, lines: list[LogLine]) -> None:
    line = _of_json(text) if text.startswith("{") else _of_text(text)
    if line is not None:
        lines.append(line)
    elif lines and text and len(lines[-1].text) < LONGEST_TEXT:
        lines[-1].text = f"{lines[-1].text}\n{text}"[:LONGEST_TEXT]


def _of_json(text: str) -> LogLine | None:
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    at = next((at for name in _TIMES if (at := _moment(fields.get(name))) is not None), None)
    if at is None:
        return None
    said = str(next((fields[name] for name in _TEXTS if fields.get(name)), ""))
    told = [str(fields["name"])] if isinstance(fields.get("name"), str) else []
    whole = "\n".join([": ".join([*told, said]), *_exception(fields)])
    level = next((str(fields[name]) for name in _LEVELS if fields.get(name)), "")
    return LogLine(at=at, level=_level(level), text=whole[:LONGEST_TEXT])


def _exception(fields: dict[str, Any]) -> list[str]:
    return [str(fields["exc_info"])] if fields.get("exc_info") else []


def _of_text(text: str) -> LogLine | None:
    stamp = _STAMP.search(text[:_STAMP_WITHIN])
    if stamp is None:
        return None
    at = _moment(stamp[0])
    if at is None:
        return None
    level = _LEVEL.search(text)
    rest = f"{text[: stamp.start()]}{text[stamp.end() :]}".strip(" -|[]:\t")
    return LogLine(at=at, level=_level(level[0] if level else ""), text=rest[:LONGEST_TEXT])


def _moment(value: Any) -> float | None:
    """Seconds since 1970; a number may be milliseconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value / 1000 if value > 1e11 else float(value)
    stamp = _STAMP.match(value) if isinstance(value, str) else None
    if stamp is None:
        return None
    day, time, part, zone = stamp.groups()
    try:
        moment = datetime.strptime(f"{day} {time}", "%Y-%m-%d %H:%M:%S")
        if zone in ("Z", "UTC"):
            moment = moment.replace(tzinfo=timezone.utc)
        elif zone:
            moment = datetime.strptime(f"{day} {time} {zone}", "%Y-%m-%d %H:%M:%S %z")
        return moment.timestamp() + float(f"0.{part or 0}")
    except (ValueError, OverflowError):
        return None


def _level(name: str) -> str:
    lower = name.lower()
    return "warning" if lower == "warn" else lower
