"""The index of many calls: those with findings first, each with a link to its page."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from msgspec import Struct

from .._version import __version__
from .document import document
from .overview import Overview
from .severity import SEVERITIES


class Listed(Struct, frozen=True, kw_only=True):
    """A call in the index."""

    name: str
    """The trace's, with the folders that it is in."""
    page: str
    """The path of its page, relative to the index's, with ``/``."""
    overview: Overview


class _Row(Struct, array_like=True):
    """What ``index.js`` knows of a call."""

    name: str
    href: str
    started: str
    seconds: float
    state: str
    severity: int
    """Its place in ``SEVERITIES``; their number, if nothing was found."""
    findings: list[tuple[int, str]]
    """The severity and the title of each, the worst first."""


class _Data(Struct):
    package: str
    severities: list[str]
    rows: list[_Row]


def make_index(calls: Iterable[Listed]) -> str:
    """The page that lists these calls."""
    rows = sorted(map(_row, calls), key=lambda row: row.started, reverse=True)
    rows.sort(key=lambda row: row.severity)
    return document(
        "index.html",
        name="Calls",
        styles=("page.css", "index.css"),
        scripts=("dom.js", "index.js"),
        data=_Data(__version__, list(SEVERITIES), rows),
    )


def _row(call: Listed) -> _Row:
    seen = call.overview
    found = [(SEVERITIES.index(finding.severity), finding.title) for finding in seen.findings]
    found.sort(key=lambda one: one[0])
    return _Row(
        name=call.name,
        href=quote(call.page),
        started=seen.started,
        seconds=seen.seconds,
        state=seen.state,
        severity=found[0][0] if found else len(SEVERITIES),
        findings=found,
    )
