"""Finds what went wrong in a call, or may have, and explains it.

Each kind of finding has a rule. A new rule is a line in ``RULES`` and its function, which reads the
lanes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from msgspec import Struct

from phonic_fsm._core.states import State
from phonic_fsm.trace._stats import HELD

from .lanes import CallerSpeech, Lanes, Link, Span, ToolCall
from .numbers import count, duration

OUGHT_TO_ANSWER = 3.0
"""If nobody is heard for so many seconds while the caller waits, that is marked."""

OUGHT_TO_SPEAK = 10.0
"""If nobody is heard for so many seconds while it is the caller's turn, that is marked."""

TELLING = 1.0
"""A tool or the connection is named as the reason for a silence from so many seconds on."""

SLOW_START = 3.0
"""If a conversation takes more seconds to open, that is marked."""


class Finding(Struct, kw_only=True):
    rule: str
    title: str
    sentence: str
    step: int
    start: float
    end: float
    severe: bool


class Rule(NamedTuple):
    name: str
    when: str
    """When the rule marks something, in words for the page."""
    find: Callable[[Lanes], Iterator[Finding]]


def findings(lanes: Lanes) -> list[Finding]:
    """Everything that the rules find, in the order of time."""
    found = [finding for rule in RULES for finding in rule.find(lanes)]
    return sorted(found, key=lambda finding: (finding.start, not finding.severe))


# -- the connection ------------------------------------------------------------------------------


def slow_start(lanes: Lanes) -> Iterator[Finding]:
    if not lanes.connection:
        return
    first = lanes.connection[0]
    took, tries = first.end - first.start, count(len(first.attempts), "attempt")
    if not first.restored:
        title = "The conversation never opened"
        sentence = f"In {duration(took)} and {tries}, Phonic did not say that it is ready."
    elif took > SLOW_START or len(first.attempts) > 1:
        title = f"Connecting took {duration(took)}"
        sentence = f"It took {duration(took)} and {tries} until Phonic was ready."
    else:
        return
    yield _finding("slow start", title, sentence, first, severe=True)


def outage(lanes: Lanes) -> Iterator[Finding]:
    for link in lanes.connection:
        if link.kind == "lost":
            yield _finding(
                "outage",
                f"No connection for {duration(link.end - link.start)}",
                " ".join(_about_outage(lanes, link)),
                link,
                severe=True,
            )


def _about_outage(lanes: Lanes, link: Link) -> Iterator[str]:
    lost = f"The connection to Phonic {link.cause}"
    took, tries = duration(link.end - link.start), count(len(link.attempts), "attempt")
    if not link.restored:
        yield f"{lost} and did not come back in {took} and {tries}."
    elif link.afresh:
        yield (
            f"{lost}. It could not be resumed; after {took} and {tries} the call went on in a "
            "fresh conversation that was given the history."
        )
    else:
        yield f"{lost}. After {took} and {tries} the conversation was resumed."
    for call in lanes.tools:
        given, sent = call.given, call.sent
        if given is None or not link.start <= given <= link.end:
            continue
        ready = f"{call.name}'s output was ready {duration(given - link.start)} into the outage"
        if sent is not None and sent >= link.end:
            yield f"{ready} and could not be sent until {duration(sent - given)} later."
        else:
            yield f"{ready} and was never sent."


def lost_audio(lanes: Lanes) -> Iterator[Finding]:
    for link in lanes.connection:
        missed = link.end - link.start - HELD
        if link.kind == "lost" and link.restored and missed > 0:
            yield _finding(
                "dropped audio",
                f"Up to {duration(missed)} of the caller not heard",
                f"Only the newest {HELD:g} s of the caller's audio are kept during an outage. What "
                f"the caller said in the first {duration(missed)} of it never reached Phonic.",
                link,
            )
    for span in lanes.discarded:
        yield _finding(
            "dropped audio",
            f"{duration(span.end - span.start)} of the assistant dropped",
            "The session had interrupted this turn; what Phonic still sent of it was dropped.",
            span,
        )


# -- silence -------------------------------------------------------------------------------------


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
            gap = Span(step=_step_at(lanes, begin), start=begin, end=end)
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
    yield _finding("silence", f"{duration(took)} of silence", sentence, gap, severe=waited)


def _reasons(lanes: Lanes, gap: Span) -> dict[str, float]:
    """What kept the assistant from speaking, with how long each took (s)."""
    reasons: dict[str, float] = defaultdict(float)
    for link in lanes.connection:
        if link.kind != "open":
            reasons["the connection was lost"] += _overlap(link, gap)
    for span in lanes.states:
        if span.state == State.tool_pending.value:
            calls = sorted({call.name for call in lanes.tools if _overlap(call, span) > 0})
            who = " and ".join(calls) or "a tool"
            reasons[f"{who} had yet to give an output"] += _overlap(span, gap)
        elif span.state == State.speaking.value:
            reasons["an answer was announced that had no audio yet"] += _overlap(span, gap)
    return {reason: seconds for reason, seconds in reasons.items() if seconds > 0.05}


# -- replies and tools ---------------------------------------------------------------------------


def reply_without_speech(lanes: Lanes) -> Iterator[Finding]:
    for span in lanes.empty_answers:
        yield _finding(
            "reply without speech",
            "An answer without a word",
            "The assistant's turn began and ended, with neither audio nor text nor a tool call "
            "in it.",
            span,
            severe=True,
        )
    for failed in lanes.failed_replies:
        span = Span(step=failed.step, start=failed.at, end=failed.at)
        sentence = f"A reply that the agent asked for did not come: {failed.text}."
        yield _finding("reply without speech", "No reply", sentence, span, severe=failed.severe)


def tool_without_output(lanes: Lanes) -> Iterator[Finding]:
    for call in lanes.tools:
        if call.ended == "handed over":
            continue
        if call.problem is not None:
            title, sentence = f"{call.name} failed", f"Phonic says of the call: {call.problem}."
        elif call.unwanted:
            title = f"{call.name}'s output was not used"
            why = (
                "the caller had interrupted it"
                if call.ended == "interrupted"
                else "nobody awaited it any more"
            )
            sentence = f"The output came {_after(call)}, when {why}; it was not sent."
        elif call.given is None and not call.ended:
            title = f"{call.name} gave no output"
            sentence = "The assistant called the tool and got no output before the trace ended."
        elif call.given is not None and call.sent is None:
            title = f"{call.name}'s output was never sent"
            sentence = (
                f"The output came {_after(call)}, when there was no connection to send it on."
            )
        else:
            continue
        severe = call.ended != "interrupted"
        yield _finding("tool without output", title, sentence, call, severe=severe)


def _after(call: ToolCall) -> str:
    return f"{duration((call.given or call.end) - call.start)} after the call"


# -- what the session says itself ----------------------------------------------------------------


def error(lanes: Lanes) -> Iterator[Finding]:
    for trouble in lanes.troubles:
        span = Span(step=trouble.step, start=trouble.at, end=trouble.at)
        title = "The session ended with an error" if trouble.severe else "Error or warning"
        text = trouble.text[:1].upper() + trouble.text[1:]
        yield _finding("error", title, f"{text.rstrip('.')}.", span, severe=trouble.severe)


def not_closed(lanes: Lanes) -> Iterator[Finding]:
    if lanes.states and lanes.states[-1].state != State.closed.value:
        last = lanes.states[-1]
        end = Span(step=last.step, start=lanes.seconds, end=lanes.seconds)
        sentence = (
            f"The last step leaves the session in {last.state}. The process ended before the "
            "session was closed, or the call was still going on."
        )
        yield _finding("not closed", "The trace just ends", sentence, end)


RULES = (
    Rule(
        "silence",
        f"nobody is heard for {OUGHT_TO_ANSWER:g} s while the caller waits, or for "
        f"{OUGHT_TO_SPEAK:g} s on the caller's turn",
        silence,
    ),
    Rule("outage", "the connection is lost in mid-call", outage),
    Rule(
        "dropped audio",
        f"an outage lasts longer than the {HELD:g} s of the caller's audio that are kept, or "
        "audio of the assistant comes for a turn that was interrupted",
        lost_audio,
    ),
    Rule(
        "slow start",
        f"the conversation opens after more than {SLOW_START:g} s or one attempt, or never",
        slow_start,
    ),
    Rule(
        "reply without speech",
        "the assistant's turn has nothing in it, or a reply that was asked for does not come",
        reply_without_speech,
    ),
    Rule(
        "tool without output",
        "a tool gives no output, fails, or gives it when nobody awaits it",
        tool_without_output,
    ),
    Rule("error", "the session puts out an error that it does not recover from, or warns", error),
    Rule("not closed", "the trace does not end in closed", not_closed),
)


def _finding(rule: str, title: str, sentence: str, span: Span, *, severe: bool = False) -> Finding:
    return Finding(
        rule=rule,
        title=title,
        sentence=sentence,
        step=span.step,
        start=span.start,
        end=span.end,
        severe=severe,
    )


def _overlap(one: Span, other: Span) -> float:
    return max(0.0, min(one.end, other.end) - max(one.start, other.start))


def _step_at(lanes: Lanes, at: float) -> int:
    """The step that led to the state in which the session was at that time."""
    return max((span.step for span in lanes.states if span.start <= at), default=1)
