"""The process that the call ran in."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding, overlap
from ..lanes import Lanes
from ..numbers import duration
from .connection import HELD
from .rule import Rule, Seconds


class TakenOver(Rule, frozen=True, kw_only=True):
    """The process that had the call died, and another one went on with it."""

    name = "taken-over"
    severities = ("warning",)
    looks_for = "the process of the call dies, and another one takes the call over"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for span in lanes.takeovers:
            gap = duration(span.end - span.start)
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
            took = duration(span.end - span.start)
            away = next((link for link in lanes.connection if link.start == span.start), None)
            kept = away is not None and away.restored and away.end - away.start <= HELD
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
    severities = ("warning", "note")
    looks_for = (
        "the event loop is late by {seconds:g} s: something blocks it; while no conversation is "
        "open, that is a note"
    )

    seconds: Seconds = 0.3
    """The caller hears it when the event loop is held up for so long."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for span in lanes.held_up:
            took = span.end - span.start
            if took >= self.seconds:
                felt = any(overlap(link, span) for link in lanes.connection if link.kind == "open")
                yield self.found(
                    f"The process stood still for {duration(took)}",
                    f"Its event loop was held up for {duration(took)}: something in it blocks, a "
                    "call that is not awaited or too little CPU. No audio went either way "
                    "meanwhile, in any call of this process.",
                    span,
                    "warning" if felt else "note",
                )
