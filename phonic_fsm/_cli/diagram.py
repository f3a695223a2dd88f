"""``phonic-fsm diagram``: the machine as a drawing, how often traces took each way, and what
happens to an event in a state.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from phonic_fsm._core.events import EVENTS
from phonic_fsm._core.states import State
from phonic_fsm._diagram.arrows import Taken
from phonic_fsm._diagram.graphs import dot, mermaid
from phonic_fsm._diagram.pages import by_event, coverage
from phonic_fsm._diagram.rows import lookup
from phonic_fsm._diagram.svg import svg
from phonic_fsm.trace._format import Line

from .failure import CommandFailed
from .text import printable
from .traces import find_traces, read_all

Format = Literal["mermaid", "table", "dot", "svg"]


def looked_up(state: str | None, event: str | None) -> str:
    """What happens when the event arrives in the state; without one of them, in all or for all.

    Raises:
        CommandFailed: there is no such state or event; the line names the nearest.
    """
    state = state and _known("state", state, [one.value for one in State])
    event = event and _known("event", event, EVENTS)
    width = shutil.get_terminal_size().columns
    return "\n".join(lookup(State(state) if state else None, event, width)) + "\n"


def _known(what: str, name: str, names: Iterable[str]) -> str:
    if name not in names:
        [nearest] = get_close_matches(name, names, n=1, cutoff=0.0)
        raise CommandFailed(f"there is no {what} {printable(name)!r}; the nearest is {nearest}")
    return name


def drawn(drawing: Format, traces: Sequence[Path]) -> str:
    """The drawing; with traces, how often each way was taken is in it.

    Raises:
        CommandFailed: a name leads nowhere, or not one trace can be read.
    """
    taken: Counter[tuple[str, str, str]] | None = None
    if traces:
        taken = Counter()
        for reading in read_all(find_traces(traces), count_moves):
            taken.update(reading.result)
    return _draw(drawing, taken)


def _draw(drawing: Format, taken: Taken | None) -> str:
    if drawing == "table":
        return by_event() if taken is None else coverage(taken)
    return {"mermaid": mermaid, "dot": dot, "svg": svg}[drawing](taken)


def count_moves(lines: Iterable[Line]) -> Counter[tuple[str, str, str]]:
    """How often each event led from which state to which; names that can stand in a table."""
    moves = Counter((line.source, str(line.event.get("type")), line.target) for line in lines)
    counted: Counter[tuple[str, str, str]] = Counter()
    for move, times in moves.items():
        source, event, target = (printable(name).replace("|", r"\|") for name in move)
        counted[source, event, target] += times
    return counted
