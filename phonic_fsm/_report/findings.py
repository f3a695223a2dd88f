"""What a finding is: a stretch of a call that stands out, with its cause. ``rules`` find them."""

from __future__ import annotations

from msgspec import Struct

from .lanes import Lanes, Span
from .severity import Severity


class Finding(Struct, kw_only=True):
    rule: str
    title: str
    """The cause, where it is known, and what was noticed of it."""
    sentence: str
    noticed: str = ""
    """What was noticed of the cause, where it stands in the title."""
    silence: float = 0.0
    """For how long nobody was heard because of it (s)."""
    step: int
    start: float
    end: float
    severity: Severity


def overlap(one: Span, other: Span) -> float:
    """For how many seconds both last."""
    return max(0.0, min(one.end, other.end) - max(one.start, other.start))


def step_at(lanes: Lanes, at: float) -> int:
    """The step that led to the state in which the session was at that time."""
    return max((span.step for span in lanes.states if span.start <= at), default=1)
