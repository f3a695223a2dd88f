"""Silence: nobody is heard, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

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
    waited = due or sum(reason.seconds for reason in reasons) >= TELLING
    if not waited and took < OUGHT_TO_SPEAK:
        return
    if not waited:
        sentence = f"Nobody was heard for {duration(took)}: it was the caller's turn."
        yield found("silence", f"{duration(took)} of silence", sentence, gap)
        return
    rest = took - sum(reason.seconds for reason in reasons)
    if rest >= 0.1:
        cause = f"Phonic did not answer for {duration(rest)}"
        reasons.append(_Reason(rest, cause, "Phonic had not begun to answer"))
    reasons.sort(key=lambda reason: -reason.seconds)
    told = "; for ".join(f"{duration(reason.seconds)} {reason.told}" for reason in reasons)
    sentence = f"Nobody was heard for {duration(took)} while the caller waited: for {told}."
    title = f"{reasons[0].cause}: {duration(took)} of silence"
    yield found("silence", title, sentence, gap, "error")


class _Reason(NamedTuple):
    """Something that kept the assistant from speaking."""

    seconds: float
    """For how long."""
    cause: str
    """In words for a title."""
    told: str
    """In words for a sentence, after the time."""


def _reasons(lanes: Lanes, gap: Span) -> list[_Reason]:
    lost = sum(overlap(link, gap) for link in lanes.connection if link.kind != "open")
    pending: dict[str, float] = defaultdict(float)
    announced = 0.0
    for span in lanes.states:
        if span.state == State.tool_pending.value:
            calls = sorted({call.name for call in lanes.tools if overlap(call, span) > 0})
            pending[" and ".join(calls) or "a tool"] += overlap(span, gap)
        elif span.state == State.speaking.value:
            announced += overlap(span, gap)
    reasons = [
        _Reason(lost, f"No connection for {duration(lost)}", "the connection was lost"),
        _Reason(
            announced,
            f"An answer came without a sound for {duration(announced)}",
            "an answer had been announced, and no audio of it came",
        ),
        *(
            _Reason(
                seconds,
                f"{who} took {duration(_ran(lanes, who) or seconds)}",
                f"{who} had yet to give an output",
            )
            for who, seconds in pending.items()
        ),
    ]
    return [reason for reason in reasons if reason.seconds > 0.05]


def _ran(lanes: Lanes, name: str) -> float | None:
    """For how long the tool ran (s), the longest of its calls; ``None`` if nobody observed it."""
    ran = [
        call.returned - call.began
        for call in lanes.tools
        if call.name == name and call.began is not None and call.returned is not None
    ]
    return max(ran, default=None)
