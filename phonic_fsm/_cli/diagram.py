"""``phonic-fsm diagram``: the machine as a drawing, and how often traces took each way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from phonic_fsm._core.diagram import dot, markdown, mermaid
from phonic_fsm._core.svg import svg
from phonic_fsm.trace._format import Line

from .text import printable
from .traces import find_traces, read_all

Format = Literal["mermaid", "table", "dot", "svg"]

_DRAW = {"mermaid": mermaid, "table": markdown, "dot": dot, "svg": svg}


def drawn(drawing: Format, traces: Sequence[Path]) -> str:
    """The drawing; with traces, how often each way was taken is in it.

    Raises:
        CommandFailed: a name leads nowhere, or not one trace can be read.
    """
    if not traces:
        return _DRAW[drawing]()
    taken: Counter[tuple[str, str, str]] = Counter()
    for reading in read_all(find_traces(traces), count_moves):
        taken.update(reading.result)
    return _DRAW[drawing](taken)


def count_moves(lines: Iterable[Line]) -> Counter[tuple[str, str, str]]:
    """How often each event led from which state to which; names that can stand in a table."""
    moves = Counter((line.source, str(line.event.get("type")), line.target) for line in lines)
    counted: Counter[tuple[str, str, str]] = Counter()
    for move, times in moves.items():
        source, event, target = (printable(name).replace("|", r"\|") for name in move)
        counted[source, event, target] += times
    return counted
