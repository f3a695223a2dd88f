"""Answers: late, empty, stalled, with a gap, never played, or asked for and not given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from statistics import median
from typing import TypeVar

from phonic_fsm._core.events import SILENT

from ..findings import Finding, overlap
from ..lanes import UNPLAYED, AssistantSpeech, Lanes, Span, spanning
from ..numbers import duration
from .rule import Count, Rule, Seconds, words_of

T = TypeVar("T", bound=Span)

LATELY = 1.0
"""Seconds before the end of a trace in which what is to be played may still begin late."""


class EmptyAnswer(Rule, frozen=True, kw_only=True):
    """The assistant's turn had nothing in it."""

    name = "empty-answer"
    severities = ("error",)
    looks_for = (
        "the assistant's turn begins and ends with neither audio nor text nor a tool call; or all "
        "of its audio, {seconds:g} s or more, is digital silence"
    )

    seconds: Seconds = 0.5
    """The length of an answer without a sound."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        # A trace may tell no levels.
        if any(_sounds(speech) for speech in lanes.assistant):
            for parts in _messages(lanes.assistant):
                took = sum(part.took for part in parts)
                if took >= self.seconds and not any(map(_sounds, parts)):
                    yield self.found(
                        "Phonic sent an answer of digital silence",
                        f"{duration(took)} of audio came, with the text of an answer, and every "
                        "sample in it was zero.",
                        spanning(parts),
                        noticed=f"{duration(took)} of silence",
                    )
        for span in lanes.empty_answers:
            yield self.found(
                "Phonic sent an answer with nothing in it",
                "The assistant's turn began and ended, with neither audio nor text nor a tool "
                "call in it.",
                span,
            )


def _messages(speeches: Iterable[AssistantSpeech]) -> Iterator[list[AssistantSpeech]]:
    """The parts of each answer that has words."""
    for _, parts in groupby(speeches, key=lambda speech: speech.message):
        whole = list(parts)
        if any(part.words for part in whole):
            yield whole


def _sounds(speech: AssistantSpeech) -> bool:
    return any(level > SILENT for level in speech.levels)


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
                f"The session waited for {duration(span.took)} after what had come of "
                "it, and then closed the answer.",
                span,
                noticed="the answer broke off",
            )


class GapInAnswer(Rule, frozen=True, kw_only=True):
    """An answer paused in the middle of it."""

    name = "gap-in-answer"
    severities = ("warning",)
    looks_for = (
        "no audio of an answer comes for more than {seconds:g} s, in the middle of it, or for more "
        "than that in all, in {pauses} or more shorter pauses"
    )

    seconds: Seconds = 1.0
    """From the end of what has come until more comes."""
    pauses: Count = 3
    """So many pauses make an answer that stutters."""

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
        for parts in _messages(lanes.assistant):
            pauses = [
                Span(step=other.step, start=one.end, end=other.start)
                for one, other in pairwise(parts)
                if one.unheard is None and other.start - one.end <= self.seconds
            ]
            took = sum(pause.took for pause in pauses)
            if len(pauses) >= self.pauses and took > self.seconds:
                held = sum(overlap(late, pause) for late in lanes.held_up for pause in pauses)
                yield self.found(
                    "The process stood still" if held >= took / 2 else "Phonic's audio came late",
                    f"In {len(pauses)} short pauses, no audio of it came for {duration(took)}.",
                    spanning(pauses),
                    noticed=f"an answer stuttered, with {len(pauses)} pauses",
                )


class Repeated(Rule, frozen=True, kw_only=True):
    """The caller, or the assistant, said the same again."""

    name = "repeated"
    severities = ("warning",)
    looks_for = (
        "the same words, {words} or more, come in {turns} turns of the caller in a row, with an "
        "answer after each but the last; or in two answers within {within:g} s, and in between the "
        "caller said nothing, no reply was asked for and no tool was called; a redacted trace does "
        "not tell it"
    )

    turns: Count = 3
    """A caller who is not understood says it twice."""
    words: Count = 4
    """Fewer words may be said twice."""
    within: Seconds = 4.0
    """From one answer to the other. An assistant may ask a silent caller again after a while."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        if lanes.redacted:
            return  # all words look alike
        turns = [turn for turn in lanes.caller if turn.text]
        for same in self._runs(turns, [words_of(turn.text) for turn in turns]):
            answers = [one.start for one in lanes.assistant]
            answered = all(
                any(one.end <= at <= other.start for at in answers) for one, other in pairwise(same)
            )
            if len(same) >= self.turns and answered:
                yield self.found(
                    f"The caller said the same {len(same)} times in a row",
                    f"The words were “{same[0].text}”. The answers may not be what the caller "
                    "asks for; or a voicemail, an announcement or another machine talks to the "
                    "assistant.",
                    spanning(same),
                )
        whole = [parts for parts in _messages(lanes.assistant) if parts[-1].unheard is None]
        said = [
            words_of("".join(text for part in parts for _, text in part.words)) for parts in whole
        ]
        spans = [spanning(parts) for parts in whole]
        for twice in self._runs(spans, said):
            for one, other in pairwise(twice):
                if other.start - one.end <= self.within and not any(
                    one.start <= asked.start <= other.start
                    for asked in (*lanes.caller, *lanes.requests, *lanes.tools)
                ):
                    yield self.found(
                        "The assistant said the same twice",
                        "Two answers with the same words came, one behind the other. Nobody had "
                        "said anything in between, and no reply was asked for.",
                        other,
                    )

    def _runs(self, spans: Sequence[T], said: list[list[str]]) -> Iterator[list[T]]:
        """Those in a row that have the same words, and enough of them."""
        for words, same in groupby(zip(said, spans, strict=True), key=lambda one: one[0]):
            if len(words) >= self.words:
                yield [span for _, span in same]


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
            heard = speech.took
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
        half = median(wait.took for wait in waits)
        if half >= self.seconds:
            slow = [wait for wait in waits if wait.took >= self.seconds]
            span = spanning(slow)
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
