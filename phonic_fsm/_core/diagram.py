"""The table for readers: diagrams and Markdown, made from ``table``, never by hand.

With ``taken``, which says how often each move was made in practice, a drawing shows that too: what
was never done has ``×0``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .layout import CONVERSING_BOX
from .states import ALL, CONVERSING, MEANINGS, State
from .table import SECTIONS, TABLE, Row

Taken = Mapping[tuple[str, str, str], int]
"""State, event and the state after it → how many times."""

_EVERYWHERE = ("close", "break")
"""Lead from every state to the end: said once, not drawn eight times each."""


class Arrow(NamedTuple):
    """One arrow of the diagram: all moves between the same two states."""

    source: str
    """A state, or ``conversing`` for the box that four of them stand in."""
    target: str
    events: tuple[str, ...]

    def times(self, event: str, taken: Taken) -> int:
        sources = (
            [state.value for state in CONVERSING]
            if self.source == CONVERSING_BOX
            else [self.source]
        )
        return sum(taken.get((source, event, self.target), 0) for source in sources)

    def labels(self, taken: Taken | None) -> list[str]:
        """The events, with how often each was taken."""
        if taken is None:
            return list(self.events)
        return [f"{event} ×{self.times(event, taken)}" for event in self.events]

    def total(self, taken: Taken) -> int:
        return sum(self.times(event, taken) for event in self.events)


def arrows() -> list[Arrow]:
    """Every arrow of the diagram; a state that is not left has none to itself."""
    events: dict[tuple[str, str], dict[str, None]] = {}
    for row in TABLE:
        if row.target is None or row.event in _EVERYWHERE:
            continue
        for source in _drawn_sources(row):
            if source != row.target.value:
                events.setdefault((source, row.target.value), {})[row.event] = None
    return [Arrow(*ends, tuple(names)) for ends, names in events.items()]


def mermaid(taken: Taken | None = None) -> str:
    """A ``stateDiagram-v2`` of all moves; the four conversing states stand in a box."""
    lines = [
        "stateDiagram-v2",
        "    direction TB",
        "    [*] --> connecting",
        f"    state {CONVERSING_BOX} {{",
        "        direction LR",
        *(f"        {state.value}" for state in CONVERSING),
        "    }",
    ]
    for arrow in arrows():
        label = "<br/>".join(arrow.labels(taken))
        lines.append(f"    {arrow.source} --> {arrow.target}: {label}")
    lines.append("    closed --> [*]")
    return "\n".join(lines) + "\n"


def dot(taken: Taken | None = None) -> str:
    """The same for Graphviz; the more often a move was taken, the thicker."""
    lines = [
        "digraph session {",
        "    compound=true",
        '    node [shape=box style=rounded fontname="sans-serif"]',
        '    edge [fontname="sans-serif" fontsize=9]',
        f"    subgraph cluster_{CONVERSING_BOX} {{",
        f"        label={CONVERSING_BOX}",
        *(f"        {state.value}" for state in CONVERSING),
        "    }",
    ]
    for arrow in arrows():
        attributes = [f'label="{_BREAK.join(arrow.labels(taken))}"']
        source = arrow.source
        if source == CONVERSING_BOX:
            source = State.ready.value
            attributes.append(f"ltail=cluster_{CONVERSING_BOX}")
        if taken is not None:
            total = arrow.total(taken)
            attributes.append(
                f"penwidth={thickness(total)}" if total else "style=dashed color=gray"
            )
        lines.append(f"    {source} -> {arrow.target} [{' '.join(attributes)}]")
    lines.append("}")
    return "\n".join(lines) + "\n"


_BREAK = r"\n"


def thickness(times: int) -> int:
    """Of an arrow that was taken so often: a point more for every ten times as many."""
    return len(str(times))


def markdown(taken: Taken | None = None) -> str:
    """The whole document: the diagram, the states, and every state × event pair.

    With ``taken``: the diagram, what was taken and what never was.
    """
    return "\n".join(_document() if taken is None else _coverage(taken)) + "\n"


def _drawn_sources(row: Row) -> Iterator[str]:
    """The row's sources; a move out of all conversing states leaves their box as one."""
    as_one = set(CONVERSING) <= set(row.sources) and row.target not in CONVERSING
    if as_one:
        yield CONVERSING_BOX
    for source in row.sources:
        if not (as_one and source in CONVERSING):
            yield source.value


def _document() -> Iterator[str]:
    yield "# The session's state machine"
    yield ""
    yield "Made by `phonic-fsm diagram --format table` from the one table that the machine runs on"
    yield "(`phonic_fsm/_core/table.py`); a test fails when this page is stale."
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


def _coverage(taken: Taken) -> Iterator[str]:
    known = dict.fromkeys(_transitions())
    ignored = set(_transitions(ignored=True))
    yield "# Transitions taken"
    yield ""
    yield "```mermaid"
    yield mermaid(taken).rstrip()
    yield "```"
    yield ""
    yield "| In | Event | Goes to | Times |"
    yield "|---|---|---|---:|"
    for move, times in sorted(taken.items(), key=lambda item: -item[1]):
        source, event, target = move
        goes_to = _goes_to(source, target)
        if move not in known:
            goes_to = "*ignored*" if move in ignored else f"{goes_to} – not in this version"
        yield f"| `{source}` | `{event}` | {goes_to} | {times} |"
    never = [transition for transition in known if transition not in taken]
    yield ""
    yield f"## Never taken: {len(never)} of {len(known)}"
    yield ""
    yield "| In | Goes to | On |"
    yield "|---|---|---|"
    missing: dict[tuple[str, str], list[str]] = {}
    for source, event, target in never:
        missing.setdefault((source, target), []).append(event)
    for (source, target), names in missing.items():
        events = ", ".join(f"`{name}`" for name in names)
        yield f"| `{source}` | {_goes_to(source, target)} | {events} |"


def _goes_to(source: str, target: str) -> str:
    return "*stays*" if source == target else f"`{target}`"


def _transitions(*, ignored: bool = False) -> Iterator[tuple[str, str, str]]:
    """Everything that the table does, or all that it ignores: state, event, state after it."""
    for source in ALL:
        for row in TABLE:
            if source in row.sources and bool(row.because) == ignored:
                yield source.value, row.event, (row.target or source).value


def _cells(row: Row) -> str:
    sources = "any state" if set(row.sources) == set(ALL) else _names(row.sources)
    guards = " and ".join(_words(guard) for guard in row.guards)
    if row.because:
        return f"| {sources} | {guards} | *ignored* | because {row.because} |"
    target = f"`{row.target.value}`" if row.target else "*stays*"
    return f"| {sources} | {guards} | {target} | {' '.join(map(summary, row.actions))} |"


def _names(states: tuple[State, ...]) -> str:
    return ", ".join(f"`{state.value}`" for state in states)


def _words(guard: Callable[..., Any]) -> str:
    return guard.__name__.replace("_", " ")


def summary(action: Callable[..., Any]) -> str:
    assert action.__doc__ is not None
    return " ".join(action.__doc__.split("\n\n")[0].split())
