"""The index of many calls: those that go on first, then those with findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import quote

from msgspec import Struct

from .._version import __version__
from .document import document
from .findings import Finding
from .severity import SEVERITIES

Life = Literal["running", "killed", ""]
"""Of a call: whether it goes on, or its process was killed. Empty: it has ended, or that is not
known."""


class Listed(Struct, frozen=True, kw_only=True):
    """A call in the index."""

    name: str
    """The trace's, with the folders that it is in."""
    page: str
    """The path of its page, relative to the index's, with ``/``; empty if it has none."""
    started: str = ""
    """ISO 8601, UTC."""
    seconds: float = 0.0
    state: str = ""
    findings: Sequence[Finding] = ()
    life: Life = ""
    waits_for: str = ""
    """What a call that goes on waits for, in words."""
    since: float = 0.0
    """Since when it does (Unix time, s)."""
    worker: str = ""
    """Which process has the call; empty where that is not known."""


class Row(Struct, array_like=True):
    """What ``index.js`` knows of a call."""

    name: str
    href: str
    started: str
    seconds: float
    state: str
    severity: int
    """See ``worst``."""
    findings: list[tuple[int, str]]
    """The severity and the title of each, the worst first."""
    life: Life
    waits_for: str
    since: float
    worker: str


class _Data(Struct):
    package: str
    severities: list[str]
    rows: list[Row]
    changes: str
    """The address of a stream of what changes; empty if nothing does."""


def make_index(calls: Iterable[Listed], *, changes: str = "") -> str:
    """The page that lists these calls. What comes from ``changes``, if it is given, is made by
    ``row_of``."""
    return document(
        "index.html",
        name="Calls",
        styles=("page.css", "index.css"),
        scripts=("dom.js", "stream.js", "index.js"),
        data=_Data(__version__, list(SEVERITIES), [row_of(call) for call in calls], changes),
        connects=bool(changes),
    )


def worst(found: Sequence[Finding]) -> int:
    """The place of the worst in ``SEVERITIES``; their number, if nothing was found."""
    return min((SEVERITIES.index(one.severity) for one in found), default=len(SEVERITIES))


def row_of(call: Listed) -> Row:
    found = [(SEVERITIES.index(finding.severity), finding.title) for finding in call.findings]
    found.sort(key=lambda one: one[0])
    return Row(
        name=call.name,
        href=quote(call.page),
        started=call.started,
        seconds=call.seconds,
        state=call.state,
        severity=worst(call.findings),
        findings=found,
        life=call.life,
        waits_for=call.waits_for,
        since=call.since,
        worker=call.worker,
    )
