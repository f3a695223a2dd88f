"""The whole table as Markdown: by event, by state, and what recorded calls took of it."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.events import EVENTS
from .._core.states import ALL, MEANINGS, State
from .._core.table import CHOICES, SECTIONS, TABLE, Row, rows_for
from .arrows import Taken
from .graphs import mermaid
from .rows import actions_of, outcomes, question, sentence


def by_event() -> str:
    """The diagram, the states, and for each event what every state does with it."""
    return "\n".join(_by_event()) + "\n"


def by_state() -> str:
    """For each state what it does with every event."""
    return "\n".join(_by_state()) + "\n"


def coverage(taken: Taken) -> str:
    """The diagram, the transitions that were taken, and all that never were."""
    return "\n".join(_coverage(taken)) + "\n"


def _by_event() -> Iterator[str]:
    yield "# The session's state machine"
    yield ""
    yield "Made by `phonic-fsm diagram --format table` from the one table that the machine runs on"
    yield "(`phonic_fsm/_core/table.py`); a test fails when this page is stale. The same"
    yield "[by state](by-state.md)."
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
        yield f"| [`{state.value}`](by-state.md#{state.value}) | {MEANINGS[state]} |"
    yield ""
    yield "## Choices"
    yield ""
    yield "A row that goes to a choice does its actions first; then the state follows from what the"
    yield "session remembers. The first case that holds is taken."
    yield ""
    yield "| Choice | If | Goes to |"
    yield "|---|---|---|"
    for choice in CHOICES.values():
        for condition, state in choice.branches:
            yield f"| *{choice.name}* | {condition} | `{state.value}` |"
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
                sources = "any state" if set(row.sources) == set(ALL) else _names(row.sources)
                yield _cells(sources, row)


def _by_state() -> Iterator[str]:
    yield "# What each state does with every event"
    yield ""
    yield "Made by `python docs/generate.py` from the one table that the machine runs on"
    yield "(`phonic_fsm/_core/table.py`); a test fails when this page is stale. The same"
    yield "[by event](state-diagram.md), where the choices are explained too."
    yield ""
    yield "The rows of an event are tried from the top; the first whose guards say yes is taken."
    yield "*Stays* means that the state is not left. In a terminal,"
    yield "`phonic-fsm diagram --state speaking --event interrupt` prints the rows of one pair."
    for state in ALL:
        yield ""
        yield f"## `{state.value}`"
        yield ""
        yield MEANINGS[state]
        yield ""
        yield "| On | When | Goes to | What is done |"
        yield "|---|---|---|---|"
        ignored: dict[str, list[str]] = {}
        for event in EVENTS:
            rows = rows_for(state, event)
            if len(rows) == 1 and rows[0].because:
                ignored.setdefault(rows[0].because, []).append(event)
                continue
            for row in rows:
                yield _cells(f"[`{event}`](state-diagram.md#{event})", row)
        yield ""
        yield "Ignored:"
        yield ""
        for because, events in ignored.items():
            yield f"- {', '.join(f'`{event}`' for event in events)}: {because}"


def _coverage(taken: Taken) -> Iterator[str]:
    known = {
        (source.value, row.event, target)
        for source, row in _pairs()
        for target in outcomes(source, row)
        if not row.because
    }
    ignored = {(source.value, row.event, source.value) for source, row in _pairs() if row.because}
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
        (source.value, row.event, _goes_to(source, row)): outcomes(source, row)
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


def _pairs() -> Iterator[tuple[State, Row]]:
    """Every row, from each of its states."""
    for source in ALL:
        for row in TABLE:
            if source in row.sources:
                yield source, row


def _cells(lead: str, row: Row) -> str:
    guards = " and ".join(map(question, row.guards))
    if row.because:
        return f"| {lead} | {guards} | *ignored* | because {row.because} |"
    if row.choice is not None:
        target = f"*{row.choice.name}*"
    else:
        target = f"`{row.target.value}`" if row.target else "*stays*"
    return f"| {lead} | {guards} | {target} | {' '.join(map(sentence, actions_of(row)))} |"


def _goes_to(source: State, row: Row) -> str:
    if row.choice is not None:
        return f"*{row.choice.name}*"
    [target] = outcomes(source, row)
    return "*stays*" if source.value == target else f"`{target}`"


def _names(states: tuple[State, ...]) -> str:
    return ", ".join(f"`{state.value}`" for state in states)
