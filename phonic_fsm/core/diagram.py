"""The table for readers: a Mermaid diagram and Markdown, made from ``table``, never by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .states import ALL, CONVERSING, MEANINGS, State
from .table import SECTIONS, TABLE, Row

_EVERYWHERE = ("close", "break")
"""Lead from every state to the end: said once, not drawn eight times each."""


def mermaid() -> str:
    """A ``stateDiagram-v2`` of all moves; the four conversing states stand in a box."""
    lines = [
        "stateDiagram-v2",
        "    direction TB",
        "    [*] --> connecting",
        "    state conversing {",
        "        direction LR",
        *(f"        {state.value}" for state in CONVERSING),
        "    }",
    ]
    for (source, target), names in _edges().items():
        lines.append(f"    {source} --> {target}: {'<br/>'.join(names)}")
    lines.append("    closed --> [*]")
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """The whole document: the diagram, the states, and every state × event pair."""
    return "\n".join(_document()) + "\n"


def _edges() -> dict[tuple[str, str], list[str]]:
    edges: dict[tuple[str, str], list[str]] = {}
    for row in TABLE:
        if row.target is None or row.event in _EVERYWHERE:
            continue
        for source in _drawn_sources(row):
            if source != row.target.value:
                names = edges.setdefault((source, row.target.value), [])
                if row.event not in names:
                    names.append(row.event)
    return edges


def _drawn_sources(row: Row) -> Iterator[str]:
    """The row's sources; a move out of all conversing states leaves their box as one."""
    as_one = set(CONVERSING) <= set(row.sources) and row.target not in CONVERSING
    if as_one:
        yield "conversing"
    for source in row.sources:
        if not (as_one and source in CONVERSING):
            yield source.value


def _document() -> Iterator[str]:
    yield "# The session's state machine"
    yield ""
    yield "Made by `phonic-fsm diagram --format table` from the one table that the machine runs on"
    yield "(`phonic_fsm/core/table.py`); a test fails when this page is stale."
    yield ""
    yield "```mermaid"
    yield mermaid().rstrip()
    yield "```"
    yield ""
    yield "`close` and `break` lead from every state to `closed` and are not drawn."
    yield ""
    yield "## States"
    yield ""
    yield "| State | Meaning |"
    yield "|---|---|"
    for state in ALL:
        yield f"| `{state.value}` | {MEANINGS[state]} |"
    yield ""
    yield "## Every state × event pair"
    yield ""
    yield "The rows of an event are tried from the top; the first whose state is the present one"
    yield "and whose guards say yes is taken. *Stays* means that the state is not left."
    for title, section in SECTIONS.items():
        yield ""
        yield f"### {title}"
        for on in section:
            yield ""
            yield f"#### `{on.event}`"
            yield ""
            yield "| In | When | Goes to | What is done |"
            yield "|---|---|---|---|"
            for row in on.rows:
                yield _cells(row)


def _cells(row: Row) -> str:
    sources = "any state" if set(row.sources) == set(ALL) else _names(row.sources)
    guards = " and ".join(_words(guard) for guard in row.guards)
    if row.because:
        return f"| {sources} | {guards} | *ignored* | because {row.because} |"
    target = f"`{row.target.value}`" if row.target else "*stays*"
    return f"| {sources} | {guards} | {target} | {' '.join(map(_summary, row.actions))} |"


def _names(states: tuple[State, ...]) -> str:
    return ", ".join(f"`{state.value}`" for state in states)


def _words(guard: Callable[..., Any]) -> str:
    return guard.__name__.replace("_", " ")


def _summary(action: Callable[..., Any]) -> str:
    assert action.__doc__ is not None
    return " ".join(action.__doc__.split("\n\n")[0].split())
