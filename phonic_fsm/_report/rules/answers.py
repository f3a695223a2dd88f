"""Answers: empty, asked for and not given, with a gap, or never played."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ..findings import Finding, found, overlap
from ..lanes import Lanes, Span
from ..numbers import duration

GAP = 1.0
"""If an answer has no audio for more seconds, that is heard as a gap."""


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
            severity=failed.severity,
        )


def gap(lanes: Lanes) -> Iterator[Finding]:
    for one, other in pairwise(lanes.assistant):
        took = other.start - one.end
        # What the caller cuts off is no gap, and neither is a word that is said behind it.
        if one.message == other.message and took > GAP and one.unheard is None:
            silence = Span(step=other.step, start=one.end, end=other.start)
            yield found(
                "gap in an answer",
                f"An answer paused for {duration(took)}",
                f"For {duration(took)} no audio of it came, in the middle of what was said.",
                silence,
            )


def never_played(lanes: Lanes) -> Iterator[Finding]:
    if not lanes.playback:
        return  # nobody observed it
    for speech in lanes.assistant:
        whole = Span(step=speech.step, start=speech.start, end=max(speech.end, speech.start + GAP))
        heard = speech.end - speech.start
        if heard >= GAP / 2 and not any(overlap(played, whole) for played in lanes.playback):
            yield found(
                "answer not played",
                "An answer was not played",
                f"{duration(heard)} of audio came, and LiveKit's output played nothing of it.",
                speech,
                "error",
            )
