"""The process that the call ran in."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding, overlap
from ..lanes import Lanes, Span, spanning
from ..numbers import duration
from ..severity import Severity
from .connection import HELD
from .rule import Rule, Seconds

APART = 1.0
"""Stops of the process that are so many seconds apart have nothing to do with each other."""

AROUND = 0.2
"""Seconds by which the beginning and the end of a stop, as they are told, may be off."""


class TakenOver(Rule, frozen=True, kw_only=True):
    """The process that had the call died, and another one went on with it."""

    name = "taken-over"
    severities = ("warning",)
    looks_for = "the process of the call dies, and another one takes the call over"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for span in lanes.takeovers:
            gap = duration(span.took)
            yield self.found(
                f"Another process took the call over after {gap}",
                f"The process that had the call was gone. For {gap} nobody had it; the caller "
                "heard nothing. From here on, the steps are those of another process.",
                span,
            )


class Moved(Rule, frozen=True, kw_only=True):
    """The process that had the call handed it over to another one."""

    name = "moved"
    severities = ("note",)
    looks_for = "the call moves to another process, as in a deploy"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for span in lanes.moves:
            took = duration(span.took)
            away = next((link for link in lanes.connection if link.start == span.start), None)
            kept = away is not None and away.restored and away.took <= HELD
            yield self.found(
                f"The call moved to another process in {took}",
                "The process that had the call handed it over. "
                + ("What the caller said meanwhile reached Phonic later. " if kept else "")
                + "From here on, the steps are those of another process.",
                span,
            )


class HeldUp(Rule, frozen=True, kw_only=True):
    """Something in the process blocked its event loop."""

    name = "process-held-up"
    severities = ("error", "warning", "note")
    looks_for = (
        "the event loop is late by {seconds:g} s, or again and again by {together:g} s in all: "
        "something blocks it; {long:g} s are an error; while no conversation is open, it is a note"
    )

    seconds: Seconds = 0.3
    """The caller hears it when the event loop is held up for so long."""
    together: Seconds = 1.0
    """The caller hears it when shorter stops, less than a second apart, come to so much."""
    long: Seconds = 3.0
    """So long a stop is silence."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for span in lanes.held_up:
            took = span.took
            if took >= self.seconds:
                yield self.found(
                    f"The process stood still for {duration(took)}",
                    f"Its event loop was held up for {duration(took)}: something in it blocks, a "
                    "call that is not awaited or too little CPU. No audio went either way "
                    f"meanwhile, in any call of this process.{_ran_meanwhile(lanes, span)}",
                    span,
                    self._severity(lanes, span),
                )
        for stops in _runs([span for span in lanes.held_up if span.took < self.seconds]):
            late = sum(stop.took for stop in stops)
            if late >= self.together:
                whole = spanning(stops)
                yield self.found(
                    f"The process stood still {len(stops)} times in {duration(whole.took)}",
                    f"Its event loop was held up for {duration(late)} of {duration(whole.took)}: "
                    "too little CPU, or many short calls that are not awaited. Audio stuttered "
                    "meanwhile, in every call of this process.",
                    whole,
                    self._severity(lanes, whole),
                )

    def _severity(self, lanes: Lanes, span: Span) -> Severity:
        if not any(overlap(link, span) for link in lanes.connection if link.kind == "open"):
            return "note"
        return "error" if span in lanes.held_up and span.took >= self.long else "warning"


def _runs(spans: list[Span]) -> Iterator[list[Span]]:
    """The spans, those together that follow each other closely."""
    run: list[Span] = []
    for span in spans:
        if run and span.start - run[-1].end >= APART:
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _ran_meanwhile(lanes: Lanes, held: Span) -> str:
    """The tools that ran from the beginning of a stop to its end."""
    names = {
        call.name
        for call in lanes.tools
        if call.began is not None
        and call.began <= held.start + AROUND
        and (call.returned is None or call.returned >= held.end - AROUND)
    }
    return f" {' and '.join(sorted(names))} ran meanwhile." if names else ""
