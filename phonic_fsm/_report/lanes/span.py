"""Stretches of time, which lanes are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct, structs

from phonic_fsm.trace._format import Line


class Span(Struct, kw_only=True):
    step: int
    """Where it begins."""
    start: float
    end: float
    """Infinite while it goes on."""

    @property
    def took(self) -> float:
        """Seconds."""
        return self.end - self.start


class StateSpan(Span, kw_only=True):
    state: str


def enter(states: list[StateSpan], line: Line, state: str) -> None:
    """Note that this state holds from here on."""
    if states:
        if states[-1].state == state:
            return
        states[-1].end = line.t
    states.append(StateSpan(step=line.seq, start=line.t, end=math.inf, state=state))


T = TypeVar("T", bound=Span)


def ended(spans: list[T], at: float) -> list[T]:
    """The same spans, but the last one ends here if it goes on."""
    return [*spans[:-1], *(until(span, at) for span in spans[-1:])]


def spanning(spans: Sequence[Span]) -> Span:
    """From the beginning of the first one to the end of the last one."""
    return Span(step=spans[0].step, start=spans[0].start, end=spans[-1].end)


def until(span: T, at: float) -> T:
    return span if span.end <= at else structs.replace(span, end=at)
