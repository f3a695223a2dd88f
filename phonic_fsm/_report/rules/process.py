"""The process that the call ran in."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding, found
from ..lanes import Lanes
from ..numbers import duration

FELT = 0.3
"""The caller hears it when the event loop is held up for so many seconds."""


def held_up(lanes: Lanes) -> Iterator[Finding]:
    for span in lanes.held_up:
        took = span.end - span.start
        if took >= FELT:
            yield found(
                "process held up",
                f"The process stood still for {duration(took)}",
                f"Its event loop was held up for {duration(took)}: something in it blocks, a call "
                "that is not awaited or too little CPU. No audio went either way meanwhile, in "
                "any call of this process.",
                span,
            )
