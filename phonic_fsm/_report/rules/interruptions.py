"""Interruptions: too many of them, always at the start, by the assistant, or by its own echo."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..findings import Finding, overlap
from ..lanes import AssistantSpeech, Lanes, Span, spanning
from ..numbers import count, duration
from .rule import Count, Rule, Seconds, Share, words_of

TOGETHER = 0.5
"""Seconds within which what cuts an answer off begins."""


class ManyInterruptions(Rule, frozen=True, kw_only=True):
    """The assistant was interrupted again and again."""

    name = "many-interruptions"
    severities = ("warning", "note")
    looks_for = (
        "{times} answers are cut off within {within:g} s; if most are cut off by {words} words or "
        "more, that is a note, which a redacted trace does not tell"
    )

    times: Count = 4
    """So many interruptions are no conversation."""
    within: Seconds = 30.0
    """They come within so long."""
    words: Count = 3
    """Fewer words than these may be noise that was taken for speech."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        cut = [speech for speech in lanes.assistant if _cut_off_by_caller(lanes, speech)]
        first = 0
        while first + self.times <= len(cut):
            last = first + self.times - 1
            if cut[last].end - cut[first].end > self.within:
                first += 1
                continue
            near = self.within / self.times
            while last + 1 < len(cut) and cut[last + 1].end - cut[last].end <= near:
                last += 1
            stretch = Span(step=cut[first].step, start=cut[first].end, end=cut[last].end)
            took = duration(stretch.took)
            times = last - first + 1
            if not lanes.redacted and self._is_talk(lanes, cut[first : last + 1]):
                yield self.found(
                    f"The caller interrupted {times} answers in {took}",
                    f"In {took}, {times} answers were cut off, most by what the caller said.",
                    stretch,
                    "note",
                )
            else:
                yield self.found(
                    f"Sounds of the caller cut off {times} answers in {took}",
                    f"In {took}, {times} answers were cut off. Noise, another voice, or the "
                    "assistant's own echo may be taken for the caller: min_words_to_interrupt and "
                    "vad_threshold ask for more.",
                    stretch,
                )
            first = last + 1

    def _is_talk(self, lanes: Lanes, cut: list[AssistantSpeech]) -> bool:
        """Whether most of these answers were cut off by words, and not by noise."""
        talk = sum(
            len(words_of(said.text)) >= self.words
            for speech in cut
            for said in lanes.caller
            if abs(said.start - speech.end) < TOGETHER
        )
        return talk > len(cut) / 2


class CutOffAtStart(Rule, frozen=True, kw_only=True):
    """The assistant does not get beyond its first word."""

    name = "cut-off-at-start"
    severities = ("error",)
    looks_for = "of {answers} answers in a row, less than {heard:g} s is heard"

    heard: Seconds = 0.7
    """The caller has heard less of the answer."""
    answers: Count = 3
    """So many in a row."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for stretch, times in self._runs(lanes, _cut_off_by_caller):
            yield self.found(
                f"Sounds of the caller cut off {count(times, 'answer')} in a row at the start",
                f"Of each, less than {duration(self.heard)} was heard. Whoever listens hears "
                "an agent that cannot say anything. Noise or its own voice is taken for the "
                "caller, or the assistant answers before the caller has finished "
                "(vad_min_silence_duration_ms).",
                stretch,
            )
        for stretch, times in self._runs(lanes, _cut_off_by_code):
            yield self.found(
                f"The agent's code cut off {count(times, 'answer')} in a row at the start",
                f"Of each, less than {duration(self.heard)} was heard. LiveKit called interrupt(), "
                "and Phonic had not noticed the caller.",
                stretch,
            )

    def _runs(
        self, lanes: Lanes, is_cut_off: Callable[[Lanes, AssistantSpeech], bool]
    ) -> Iterator[tuple[Span, int]]:
        """Where enough answers in a row are cut off so, and how many."""
        run: list[AssistantSpeech] = []
        for speech in [*lanes.assistant, None]:
            if speech is not None and is_cut_off(lanes, speech) and speech.took < self.heard:
                run.append(speech)
                continue
            if len(run) >= self.answers:
                yield spanning(run), len(run)
            run = []


class DroppedAnswer(Rule, frozen=True, kw_only=True):
    """The session had cut an answer off, and the rest of it was dropped."""

    name = "dropped-answer"
    severities = ("note",)
    looks_for = "audio of an answer comes that the session has cut off"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for span in lanes.discarded:
            cause, why = _CUT_BY[span.by]
            yield self.found(
                cause,
                f"{why} What Phonic still sent of the turn was dropped.",
                span,
                noticed=f"{duration(span.took)} of it dropped",
            )


_CUT_BY = {
    "interrupt": (
        "The session interrupted an answer",
        "LiveKit called interrupt(), as an agent may, or a handoff.",
    ),
    "reset": (
        "A reset cut an answer off",
        "Phonic was told of changed settings, or of another agent, by a reset, which ends its "
        "turn.",
    ),
    "length": (
        "The session cut off an answer that was too long",
        "A turn of ten minutes, or with more text than that, is cut off.",
    ),
}


class CutIn(Rule, frozen=True, kw_only=True):
    """The assistant began to speak while the caller spoke."""

    name = "cut-in"
    severities = ("warning",)
    looks_for = "the assistant begins while the caller speaks, and goes on for {seconds:g} s of it"

    seconds: Seconds = 1.5
    """Both speak for so long. A backchannel is shorter."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        began: dict[str, float] = {}
        for speech in lanes.assistant:
            began.setdefault(speech.message, speech.start)
            for said in lanes.caller:
                both = overlap(speech, said)
                if said.start < began[speech.message] and both >= self.seconds:
                    yield self.found(
                        "The assistant began to speak while the caller spoke",
                        f"Both spoke for {duration(both)}. The caller had begun "
                        f"{duration(speech.start - said.start)} before.",
                        Span(step=speech.step, start=speech.start, end=speech.start + both),
                        noticed=f"{duration(both)} over each other",
                    )


class Echo(Rule, frozen=True, kw_only=True):
    """The caller's words were those of the assistant."""

    name = "echo"
    severities = ("warning",)
    looks_for = (
        "of {words} words of the caller or more, who began while the assistant spoke, {share:.0%} "
        "are what the assistant has said in the last {within:g} s; a redacted trace does not tell "
        "it"
    )

    words: Count = 3
    """Fewer words than this are like anything."""
    share: Share = 0.75
    """So many of them are the assistant's. Of the fewest words, all in their order."""
    within: Seconds = 10.0
    """For so long the assistant's words can come back."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        if lanes.redacted:
            return  # all words look alike
        spoken = [
            (speech, words_of("".join(text for _, text in speech.words)))
            for speech in lanes.assistant
        ]
        for said in lanes.caller:
            words = words_of(said.text)
            if len(words) < self.words or not _over(lanes, said):
                continue  # who repeats the assistant's words to confirm them, lets it end first
            before = [
                word
                for speech, its_words in spoken
                if said.start - self.within <= speech.end and speech.start <= said.end
                for word in its_words
            ]
            known = sum(word in before for word in words)
            in_order = f" {' '.join(words)} " in f" {' '.join(before)} "
            many = len(words) > self.words and known >= self.share * len(words) and before
            if in_order or many:
                yield self.found(
                    "The assistant may have heard itself",
                    f"The caller's words, “{said.text}”, are those that the assistant had just "
                    "said: its voice may have come back through the microphone.",
                    said,
                )


def _cut_off_by_caller(lanes: Lanes, speech: AssistantSpeech) -> bool:
    """Whether the caller cut it off, and not the agent's code, a lost connection or the end."""
    return speech.unheard is not None and any(
        abs(said.start - speech.end) < TOGETHER for said in lanes.caller
    )


def _cut_off_by_code(lanes: Lanes, speech: AssistantSpeech) -> bool:
    """Whether the agent's code did, by an ``interrupt()`` that is no echo of the caller's turn."""
    ends = [span.start for span in lanes.takeovers]
    return (
        speech.unheard is not None
        and not _cut_off_by_caller(lanes, speech)
        and not any(abs(end - speech.end) < TOGETHER for end in (*ends, lanes.over, lanes.seconds))
    )


def _over(lanes: Lanes, said: Span) -> bool:
    """Whether the assistant was heard when this began."""
    return any(speech.start <= said.start <= speech.end for speech in lanes.assistant)
