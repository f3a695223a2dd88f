"""A call run again with changes, as its page shows it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from phonic_fsm.trace._reader import TraceReader
from phonic_fsm.trace._what_if import WhatIf, parse_change, what_if

SHOWN = 500
"""So many of the steps that come out otherwise are shown. The first tell why the others do."""


class Alternative(Struct):
    steps: list[WhatIf]
    """Those that come out otherwise."""
    alike: list[int]
    """How many steps before each of them are as recorded; the last number: how many after them."""
    more: int
    """How many that come out otherwise are not shown."""
    state: str
    """In which the call ends now."""


def run_again(trace: TraceReader, changes: Sequence[str]) -> Alternative:
    """Run the call with these changes, each written as ``replay --what-if`` takes it.

    Raises:
        ChangeError: a change cannot be made.
        TraceError: the trace cannot be read.
    """
    made = Alternative([], [0], 0, "")
    for step in what_if(trace, [parse_change(change) for change in changes]):
        made.state = step.target
        if step.is_same:
            made.alike[-1] += 1
        elif len(made.steps) < SHOWN:
            made.steps.append(step)
            made.alike.append(0)
        else:
            made.more += 1
    return made
