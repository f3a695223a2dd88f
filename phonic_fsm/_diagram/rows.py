"""A row of the table in words, and the rows that an event meets in a state, for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from textwrap import wrap
from typing import Any

from .._core.events import EVENTS
from .._core.states import ALL, MEANINGS, State
from .._core.table import TABLE, Action, Choice, Guard, Row

NARROWEST = 40
"""Columns; in a narrower terminal the lines are wrapped once more."""


def question(guard: Guard) -> str:
    """What a guard asks: its name as words, such as ``caller is muted``."""
    return guard.__name__.replace("_", " ")


def sentence(function: Callable[..., Any]) -> str:
    """What an action does, or what it means that a guard says yes."""
    assert function.__doc__ is not None
    return " ".join(function.__doc__.split("\n\n")[0].split())


def actions_of(row: Row) -> tuple[Action, ...]:
    """What the row does before it chooses a state, if it does choose."""
    return row.actions[:-1] if row.choice is not None else row.actions


def outcomes(source: State, row: Row) -> tuple[str, ...]:
    """The states that the row may lead to from this one."""
    return tuple(state.value for state in row.targets) or (source.value,)


def in_words(choice: Choice) -> str:
    """Where a choice leads: ``speaking if a generation is open, …, otherwise ready``."""
    *others, last = choice.branches
    cases = [f"{branch.target.value} if {branch.question}" for branch in others]
    return ", ".join([*cases, f"{last.question} {last.target.value}"])


def lookup(state: State | None, event: str | None, width: int) -> Iterator[str]:
    """Lines that say what happens when the event arrives in the state.

    Without a state: in every state. Without an event: what every event does in the state. At
    least one of them must be given. Lines are wrapped at ``width`` columns.
    """
    if state is not None:
        yield from wrap(f"{state.value}: {MEANINGS[state]}", max(width, NARROWEST))
    for name in [event] if event else EVENTS:
        yield ""
        yield name
        rows = [row for row in TABLE if row.event == name and state in (None, *row.sources)]
        for number, row in enumerate(rows, start=1):
            for line, text in enumerate(_lines(row, of_all_states=state is None)):
                lead = f"{number:>3}. " if line == 0 else " " * 7
                rest = " " * (len(lead) + 2)
                yield from wrap(
                    text,
                    max(width, NARROWEST),
                    initial_indent=lead,
                    subsequent_indent=rest,
                    break_on_hyphens=False,
                )


def _lines(row: Row, *, of_all_states: bool) -> Iterator[str]:
    """In which case the row is taken, what it does, and where it leads."""
    where = [f"in {_names(row)}"] if of_all_states else []
    if row.guards:
        guards = [f"if {question(guard)}? ({sentence(guard)})" for guard in row.guards]
        first, *others = guards
        yield ", ".join([*where, first])
        yield from (f"and {guard}" for guard in others)
    else:
        yield from where or ["in any case"]
    if row.because:
        yield f"→ ignored, because {row.because}"
        return
    for action in actions_of(row):
        yield f"· {sentence(action)}"
    if row.choice is not None:
        yield f"→ {in_words(row.choice)}"
    else:
        yield f"→ {row.target.value}" if row.target else "→ stays"


def _names(row: Row) -> str:
    if set(row.sources) == set(ALL):
        return "any state"
    return ", ".join(state.value for state in row.sources)
