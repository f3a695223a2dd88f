"""An assertion that a recorded session still replays."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

from ..trace._replay import Difference, ReplayedStep, replay


def assert_replays(path: str | PathLike[str]) -> None:
    """Check that the machine, given a trace's events again, does every step as it was recorded.

    Raises:
        AssertionError: it does not. The message says what differs first.
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
            f"the machine diverges at step {line.seq}: {difference.where}",
            f"  event     {line.event.get('type')}, in {line.source}",
            f"  expected  {_shown(difference.expected)}",
            f"  got       {_shown(difference.got)}",
        )
    )


def _shown(value: Any) -> str:
    # ASCII only, so that what was said cannot control the terminal.
    return "nothing" if value is None else json.dumps(value)
