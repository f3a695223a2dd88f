"""A recorded session as an assertion."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

from ..trace._replay import Difference, ReplayedStep, replay


def assert_replays(path: str | PathLike[str]) -> None:
    """Run a trace through the machine again, which must do every step as recorded.

    Raises:
        AssertionError: it does not; the message has the first difference.
        TraceError: the file is not a readable trace.
    """
    __tracebackhide__ = True
    for step in replay(path):
        if step.difference is not None:
            raise AssertionError(f"{path}: {_told(step, step.difference)}")


def _told(step: ReplayedStep, difference: Difference) -> str:
    line = step.line
    return "\n".join(
        (
            f"the machine diverges at step {line.seq} (line {line.seq + 1}): {difference.where}",
            f"  event     {line.event.get('type')}, in {line.source}",
            f"  expected  {_shown(difference.expected)}",
            f"  got       {_shown(difference.got)}",
        )
    )


def _shown(value: Any) -> str:
    # ASCII only: what was said cannot move the terminal's cursor.
    return "nothing" if value is None else json.dumps(value)
