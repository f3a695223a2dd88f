"""The table for readers: diagrams and Markdown, made from ``table``, never by hand.

With ``taken``, which says how often each move was made in practice, a drawing shows that too: what
was never done has ``×0``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .layout import CONVERSING_BOX
from .states import ALL, CONVERSING, MEANINGS, State
from .table import CHOICES, SECTIONS, TABLE, Row

Taken = Mapping[tuple[str, str, str], int]
"""State, event and the state after it → how many times."""

_EVERYWHERE = ("close", "break")
"""Lead from every state to the end: said once, not drawn eight times each."""


_CHOICES = {choice.name: choice for choice in CHOICES.values()}

_CHOOSING = {
    (source.value, row.event): row.choice.name
    for row in TABLE
    if row.choice is not None
    for source in row.sources
}
"""State and event → the choice that the event leads to there."""


class Arrow(NamedTuple):
    """One arrow of the diagram: all moves between the same two states, or into or out of a choice.

    A move that goes through a choice is counted at the arrow into it and at the one out of it.
    """

    source: str
    """A state, a choice, or ``conversing`` for the box that four of the states stand in."""
    target: str
    """A state or a choice."""
    labels: tuple[str, ...]
    """The events; out of a choice, what is the case."""

    def times(self, label: str, taken: Taken) -> int:
        """How often this was the way."""
        if self.source in _CHOICES:
            return sum(
                times
                for (source, event, target), times in taken.items()
                if target == self.target != source and _CHOOSING.get((source, event)) == self.source
            )
        sources = _BOXED if self.source == CONVERSING_BOX else (self.source,)
        choice = _CHOICES.get(self.target)
        targets = [state.value for _, state in choice.branches] if choice else [self.target]
        return sum(
            taken.get((source, label, target), 0)
            for source in sources
            for target in targets
            if source != target
        )

    def counted(self, taken: Taken | None) -> list[str]:
        """The labels, with how often each was the way."""
        if taken is None:
            return list(self.labels)
        return [f"{label} ×{self.times(label, taken)}" for label in self.labels]

    def total(self, taken: Taken) -> int:
        return sum(self.times(label, taken) for label in self.labels)


_BOXED = tuple(state.value for state in CONVERSING)


def arrows() -> list[Arrow]:
    """Every arrow of the diagram; a state that is not left has none to itself."""
    labels: dict[tuple[str, str], dict[str, None]] = {}
    for row in TABLE:
        target = _drawn_target(row)
        if target is None or row.event in _EVERYWHERE:
            continue
        for source in _drawn_sources(row):
            if source != target:
                labels.setdefault((source, target), {})[row.event] = None
    for choice in _CHOICES.values():
        for question, state in choice.branches:
            labels[choice.name, state.value] = {question: None}
    return [Arrow(*ends, tuple(names)) for ends, names in labels.items()]


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
        *(f"    state {name} <<choice>>" for name in _CHOICES),
    ]
    for arrow in arrows():
        label = "<br/>".join(arrow.counted(taken))
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
        *(f"    {name} [shape=diamond]" for name in _CHOICES),
    ]
    for arrow in arrows():
        attributes = [f'label="{_BREAK.join(arrow.counted(taken))}"']
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


def _drawn_target(row: Row) -> str | None:
    """The state, or the choice, that the row leads to; ``None`` if it does not move."""
    if row.choice is not None:
        return row.choice.name
    return row.target.value if row.target is not None else None


def _drawn_sources(row: Row) -> Iterator[str]:
    """The row's sources; a move out of all conversing states leaves their box as one."""
    leaves = row.target is not None and row.target not in CONVERSING
    as_one = leaves and set(CONVERSING) <= set(row.sources)
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
    yield "## Choices"
    yield ""
    yield "A row that goes to a choice does its actions first; then the state follows from what the"
    yield "session remembers. The first case that holds is taken."
    yield ""
    yield "| Choice | If | Goes to |"
    yield "|---|---|---|"
    for choice in _CHOICES.values():
        for question, state in choice.branches:
            yield f"| *{choice.name}* | {question} | `{state.value}` |"
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
    known = {
        (source, row.event, target)
        for source, row in _pairs()
        for target in _outcomes(source, row)
        if not row.because
    }
    ignored = {(source, row.event, source) for source, row in _pairs() if row.because}
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
        goes_to = "*stays*" if source == target else f"`{target}`"
        if move not in known:
            goes_to = "*ignored*" if move in ignored else f"{goes_to} – not in this version"
        yield f"| `{source}` | `{event}` | {goes_to} | {times} |"
    # Rows that differ in their guards alone cannot be told apart by what was taken.
    transitions = {
        (source, row.event, _goes_to(source, row)): _outcomes(source, row)
        for source, row in _pairs()
        if not row.because
    }
    never = [
        (source, event, goes_to)
        for (source, event, goes_to), outcomes in transitions.items()
        if not any((source, event, target) in taken for target in outcomes)
    ]
    yield ""
    yield f"## Never taken: {len(never)} of {len(transitions)}"
    yield ""
    yield "| In | Goes to | On |"
    yield "|---|---|---|"
    missing: dict[tuple[str, str], list[str]] = {}
    for source, event, goes_to in never:
        missing.setdefault((source, goes_to), []).append(event)
    for (source, goes_to), names in missing.items():
        events = ", ".join(f"`{name}`" for name in names)
        yield f"| `{source}` | {goes_to} | {events} |"


def _pairs() -> Iterator[tuple[str, Row]]:
    """Every row, from each of its states."""
    for source in ALL:
        for row in TABLE:
            if source in row.sources:
                yield source.value, row


def _outcomes(source: str, row: Row) -> tuple[str, ...]:
    """The states that the row may lead to from this one."""
    return tuple(state.value for state in row.targets) or (source,)


def _goes_to(source: str, row: Row) -> str:
    if row.choice is not None:
        return f"*{row.choice.name}*"
    [target] = _outcomes(source, row)
    return "*stays*" if source == target else f"`{target}`"


def _cells(row: Row) -> str:
    sources = "any state" if set(row.sources) == set(ALL) else _names(row.sources)
    guards = " and ".join(_words(guard) for guard in row.guards)
    if row.because:
        return f"| {sources} | {guards} | *ignored* | because {row.because} |"
    if row.choice is not None:
        target, actions = f"*{row.choice.name}*", row.actions[:-1]
    else:
        target, actions = f"`{row.target.value}`" if row.target else "*stays*", row.actions
    return f"| {sources} | {guards} | {target} | {' '.join(map(summary, actions))} |"


def _names(states: tuple[State, ...]) -> str:
    return ", ".join(f"`{state.value}`" for state in states)


def _words(guard: Callable[..., Any]) -> str:
    return guard.__name__.replace("_", " ")


def summary(action: Callable[..., Any]) -> str:
    assert action.__doc__ is not None
    return " ".join(action.__doc__.split("\n\n")[0].split())
