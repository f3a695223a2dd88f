"""What the session says of itself: errors, warnings, and how the trace ends."""

from __future__ import annotations

from collections.abc import Iterator

from phonic_fsm._core.states import State

from ..findings import Finding, found
from ..lanes import Lanes, Span


def error(lanes: Lanes) -> Iterator[Finding]:
    for trouble in lanes.troubles:
        span = Span(step=trouble.step, start=trouble.at, end=trouble.at)
        title = "The session ended with an error" if trouble.severe else "Error or warning"
        text = trouble.text[:1].upper() + trouble.text[1:]
        yield found(
            "error",
            title,
            f"{text.rstrip('.')}.",
            span,
            severity="error" if trouble.severe else "warning",
        )


def not_closed(lanes: Lanes) -> Iterator[Finding]:
    if lanes.states and lanes.states[-1].state != State.closed.value:
        last = lanes.states[-1]
        end = Span(step=last.step, start=lanes.seconds, end=lanes.seconds)
        sentence = (
            f"The last step leaves the session in {last.state}. The process ended before the "
            "session was closed, or the call was still going on."
        )
        yield found("not closed", "The trace just ends", sentence, end)
