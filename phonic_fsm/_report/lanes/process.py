"""When the event loop was late, and how long Phonic took to answer a ping."""

from __future__ import annotations

from phonic_fsm.trace._format import Line

from .span import Span


class RoundTrip(Span, kw_only=True):
    """A ping to Phonic and its answer."""

    seconds: float


class ProcessLane:
    def __init__(self) -> None:
        self.trips: list[RoundTrip] = []
        self.held_up: list[Span] = []

    def take(self, line: Line) -> None:
        kind = line.event["type"]
        if kind == "event_loop_late":
            start = max(0.0, line.t - line.event["seconds"])
            self.held_up.append(Span(step=line.seq, start=start, end=line.t))
        elif kind == "round_trip":
            took = line.event["seconds"]
            trip = RoundTrip(step=line.seq, start=line.t - took, end=line.t, seconds=took)
            self.trips.append(trip)
