"""Answers: late, empty, stalled, with a gap, never played, or asked for and not given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from ..findings import Finding, overlap
from ..lanes import UNPLAYED, Lanes, Span
from ..numbers import duration
from .rule import Count, Rule, Seconds

LATELY = 1.0
"""Seconds before the end of a trace in which what is to be played may still begin late."""


class EmptyAnswer(Rule, frozen=True, kw_only=True):
    """The assistant's turn had nothing in it."""

    name = "empty-answer"
    severities = ("error",)
    looks_for = "the assistant's turn begins and ends with neither audio nor text nor a tool call"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for span in lanes.empty_answers:
            yield self.found(
                "Phonic sent an answer with nothing in it",
                "The assistant's turn began and ended, with neither audio nor text nor a tool "
                "call in it.",
                span,
            )


class NoReply(Rule, frozen=True, kw_only=True):
    """A reply that was asked for did not come."""

    name = "no-reply"
    severities = ("error", "note")
    looks_for = (
        "a reply that was asked for, or that a tool's output calls for, does not come; if the "
        "session was closed meanwhile, that is a note"
    )

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for failed in lanes.failed_replies:
            yield self.found(
                _why(failed.text),
                f"A reply that was asked for did not come: {failed.text}.",
                Span(step=failed.step, start=failed.at, end=failed.at),
                failed.severity,
                noticed="no reply came",
            )


def _why(problem: str) -> str:
    """The problem without what only the sentence needs."""
    cause, _, standstill = problem.partition(", the request ")
    if standstill:
        return f"The request for a reply {standstill.partition(';')[0]}"
    return cause[:1].upper() + cause[1:]


class StalledAnswer(Rule, frozen=True, kw_only=True):
    """An answer broke off."""

    name = "stalled-answer"
    severities = ("error",)
    looks_for = "of an answer that has begun, neither more comes nor its end"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for span in lanes.stalled_answers:
            yield self.found(
                "Phonic sent neither more of an answer nor its end",
                f"The session waited for {duration(span.end - span.start)} after what had come of "
                "it, and then closed the answer.",
                span,
                noticed="the answer broke off",
            )


class GapInAnswer(Rule, frozen=True, kw_only=True):
    """An answer paused in the middle of it."""

    name = "gap-in-answer"
    severities = ("warning",)
    looks_for = "no audio of an answer comes for more than {seconds:g} s, in the middle of it"

    seconds: Seconds = 1.0
    """From the end of what has come until more comes."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for one, other in pairwise(lanes.assistant):
            took = other.start - one.end
            # What the caller cuts off is no gap, and neither is a word that is said behind it.
            if one.message == other.message and took > self.seconds and one.unheard is None:
                silence = Span(step=other.step, start=one.end, end=other.start)
                stood = any(overlap(held, silence) >= took / 2 for held in lanes.held_up)
                cause = "The process stood still" if stood else "Phonic's audio came late"
                yield self.found(
                    cause,
                    f"For {duration(took)} no audio of it came, in the middle of what was said.",
                    silence,
                    noticed=f"an answer paused for {duration(took)}",
                )


class NotPlayed(Rule, frozen=True, kw_only=True):
    """Audio of an answer came, and LiveKit did not play it."""

    name = "not-played"
    severities = ("error",)
    looks_for = (
        "more than {seconds:g} s of an answer come, and LiveKit's output, where it was observed, "
        "plays none of them; or LiveKit does not read the audio at all"
    )

    seconds: Seconds = 0.5
    """The length of the answer."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for trouble in lanes.untaken:
            said = trouble.text.partition(": ")[2]
            yield self.found(
                said[:1].upper() + said[1:],
                f"{trouble.text[:1].upper()}{trouble.text[1:]}.",
                Span(step=trouble.step, start=trouble.at, end=trouble.at),
                noticed="an answer was not heard",
            )
        if lanes.untaken:
            return  # the reason is known
        for speech in lanes.assistant:
            heard = speech.end - speech.start
            may_begin = lanes.seconds - max(speech.end, speech.start + UNPLAYED) < LATELY
            if not speech.played and heard >= self.seconds and not may_begin:
                yield self.found(
                    "LiveKit played nothing of an answer",
                    f"{duration(heard)} of audio came, and LiveKit's output played nothing of it.",
                    speech,
                    noticed=f"{duration(heard)} not heard",
                )


class SlowAnswers(Rule, frozen=True, kw_only=True):
    """Most answers of the call were late."""

    name = "slow-answers"
    severities = ("warning",)
    looks_for = "half of {answers} answers or more come later than {seconds:g} s"

    seconds: Seconds = 2.0
    """From the end of the caller's turn until the answer is heard."""
    answers: Count = 3
    """A call with fewer answers is too short to tell."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        waits = list(_waits(lanes))
        if len(waits) < self.answers:
            return
        half = median(wait.end - wait.start for wait in waits)
        if half >= self.seconds:
            slow = [wait for wait in waits if wait.end - wait.start >= self.seconds]
            span = Span(step=slow[0].step, start=slow[0].start, end=slow[-1].end)
            yield self.found(
                f"Phonic took {duration(half)} to answer, as a rule",
                f"Of {len(waits)} answers, {len(slow)} came later than {duration(self.seconds)} "
                "after the caller had finished.",
                span,
            )


def _waits(lanes: Lanes) -> Iterator[Span]:
    """From the end of each of the caller's turns until its answer, where nothing but Phonic kept
    it."""
    for turn, following in pairwise([*lanes.caller, None]):
        if turn is None:
            return
        answer = next((one for one in lanes.assistant if one.start >= turn.end), None)
        if answer is None or (following is not None and answer.start > following.start):
            continue
        wait = Span(step=answer.step, start=turn.end, end=answer.start)
        lost = [link for link in lanes.connection if link.kind != "open"]
        if not any(overlap(other, wait) for other in (*lanes.tools, *lost, *lanes.held_up)):
            yield wait
