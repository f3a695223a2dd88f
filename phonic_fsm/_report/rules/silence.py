"""Silence: nobody is heard, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from phonic_fsm._core.states import State

from ..findings import Finding, found, overlap, step_at
from ..lanes import CallerSpeech, Lanes, Span
from ..numbers import duration

OUGHT_TO_ANSWER = 3.0
"""If nobody is heard for so many seconds while the caller waits, that is marked."""

OUGHT_TO_SPEAK = 10.0
"""If nobody is heard for so many seconds while it is the caller's turn, that is marked."""

TELLING = 1.0
"""A tool or the connection is named as the reason for a silence from so many seconds on."""


def silence(lanes: Lanes) -> Iterator[Finding]:
    heard = sorted(
        (span for span in (*lanes.caller, *lanes.assistant) if span.end > span.start),
        key=lambda span: span.start,
    )
    begin = next((link.start for link in lanes.connection if link.kind == "open"), None)
    if begin is None:
        return
    closed = [span.start for span in lanes.states if span.state == State.closed.value]
    last: Span | None = None
    for span in [*heard, None]:
        end = span.start if span is not None else min([*closed, lanes.seconds])
        if end - begin >= OUGHT_TO_ANSWER:
            gap = Span(step=step_at(lanes, begin), start=begin, end=end)
            yield from _about_silence(lanes, gap, last)
        if span is not None and span.end > begin:
            begin, last = span.end, span


def _about_silence(lanes: Lanes, gap: Span, last: Span | None) -> Iterator[Finding]:
    took = gap.end - gap.start
    reasons = _reasons(lanes, gap)
    due = isinstance(last, CallerSpeech) and not any(
        gap.start <= at <= gap.end for at in lanes.excused
    )
    waited = due or sum(reasons.values()) >= TELLING
    if not waited and took < OUGHT_TO_SPEAK:
        return
    if not waited:
        sentence = f"Nobody was heard for {duration(took)}: it was the caller's turn."
    else:
        rest = took - sum(reasons.values())
        if rest >= 0.1:
            reasons["Phonic had not begun to answer"] = rest
        told = "; for ".join(
            f"{duration(seconds)} {reason}"
            for reason, seconds in sorted(reasons.items(), key=lambda item: -item[1])
        )
        sentence = f"Nobody was heard for {duration(took)} while the caller waited: for {told}."
    yield found(
        "silence",
        f"{duration(took)} of silence",
        sentence,
        gap,
        severity="error" if waited else "warning",
    )


def _reasons(lanes: Lanes, gap: Span) -> dict[str, float]:
    """What kept the assistant from speaking, with how long each took (s)."""
    reasons: dict[str, float] = defaultdict(float)
    for link in lanes.connection:
        if link.kind != "open":
            reasons["the connection was lost"] += overlap(link, gap)
    for span in lanes.states:
        if span.state == State.tool_pending.value:
            calls = sorted({call.name for call in lanes.tools if overlap(call, span) > 0})
            who = " and ".join(calls) or "a tool"
            reasons[f"{who} had yet to give an output"] += overlap(span, gap)
        elif span.state == State.speaking.value:
            reasons["an answer was announced that had no audio yet"] += overlap(span, gap)
    return {reason: seconds for reason, seconds in reasons.items() if seconds > 0.05}
