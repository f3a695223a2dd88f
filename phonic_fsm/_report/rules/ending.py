"""What the session says of itself: errors, warnings, and how the trace ends."""

from __future__ import annotations

from collections.abc import Iterator

from phonic_fsm._core.states import State

from ..findings import Finding, found
from ..lanes import Lanes, Span

LONGEST_TITLE = 90
"""Characters of an error's text that stand in a title. The sentence has all of it."""


def error(lanes: Lanes) -> Iterator[Finding]:
    for trouble in lanes.troubles:
        span = Span(step=trouble.step, start=trouble.at, end=trouble.at)
        text = (trouble.text[:1].upper() + trouble.text[1:]).rstrip(".")
        title = text if len(text) <= LONGEST_TITLE else f"{text[:LONGEST_TITLE]}…"
        sentence = f"{text}."
        if trouble.ended:
            sentence += " The session ended with this."
        yield found("error", title, sentence, span, trouble.severity)


def not_closed(lanes: Lanes) -> Iterator[Finding]:
    if lanes.states and lanes.states[-1].state != State.closed.value:
        last = lanes.states[-1]
        end = Span(step=last.step, start=lanes.seconds, end=lanes.seconds)
        sentence = (
            f"The last step leaves the session in {last.state}. The process ended before the "
            "session was closed, or the call was still going on."
        )
        yield found("not closed", "The trace just ends", sentence, end)
