"""Answers: empty, or asked for and not given."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding, found
from ..lanes import Lanes, Span


def reply_without_speech(lanes: Lanes) -> Iterator[Finding]:
    for span in lanes.empty_answers:
        yield found(
            "reply without speech",
            "An answer without a word",
            "The assistant's turn began and ended, with neither audio nor text nor a tool call "
            "in it.",
            span,
            severity="error",
        )
    for failed in lanes.failed_replies:
        span = Span(step=failed.step, start=failed.at, end=failed.at)
        sentence = f"A reply that the agent asked for did not come: {failed.text}."
        yield found(
            "reply without speech",
            "No reply",
            sentence,
            span,
            severity="error" if failed.severe else "warning",
        )
