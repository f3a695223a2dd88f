"""Interruptions: too many of them, always at the start, or by the assistant's own echo."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..findings import Finding, found
from ..lanes import AssistantSpeech, Lanes, Span
from ..numbers import count, duration

MANY = 4
"""So many interruptions within ``SOON`` are no conversation."""

SOON = 30.0
"""Seconds."""

AT_THE_START = 0.7
"""Seconds of an answer that the caller has hardly heard."""

AGAIN_AND_AGAIN = 3
"""So many answers in a row that are cut off at their start."""

FEW_WORDS = 3
"""Fewer words than this are like anything."""

ALIKE = 0.75
"""The share of the caller's words that the assistant has just said, in an echo."""

REMEMBERED = 10.0
"""Seconds for which the assistant's words can come back as an echo."""


def many_interruptions(lanes: Lanes) -> Iterator[Finding]:
    cut = _cut_off(lanes)
    first = 0
    while first + MANY <= len(cut):
        last = first + MANY - 1
        if cut[last].end - cut[first].end > SOON:
            first += 1
            continue
        while last + 1 < len(cut) and cut[last + 1].end - cut[last].end <= SOON / MANY:
            last += 1
        stretch = Span(step=cut[first].step, start=cut[first].end, end=cut[last].end)
        took = duration(stretch.end - stretch.start)
        times = last - first + 1
        yield found(
            "many interruptions",
            f"The assistant was interrupted {times} times in {took}",
            f"In {took}, {times} answers were cut off. Noise, another voice, or the assistant's "
            "own echo may be taken for the caller: min_words_to_interrupt and vad_threshold ask "
            "for more.",
            stretch,
        )
        first = last + 1


def cut_off_at_the_start(lanes: Lanes) -> Iterator[Finding]:
    run: list[AssistantSpeech] = []
    for speech in [*lanes.assistant, None]:
        if speech is not None and speech.unheard is not None and _heard(speech) < AT_THE_START:
            run.append(speech)
            continue
        if len(run) >= AGAIN_AND_AGAIN:
            stretch = Span(step=run[0].step, start=run[0].start, end=run[-1].end)
            yield found(
                "cut off at the start",
                f"{count(len(run), 'answer')} in a row were cut off at their start",
                f"Of each, less than {duration(AT_THE_START)} was heard. Whoever listens hears an "
                "agent that cannot say anything.",
                stretch,
                "error",
            )
        run = []


def echo(lanes: Lanes) -> Iterator[Finding]:
    for said in lanes.caller:
        words = _words(said.text)
        if len(words) < FEW_WORDS:
            continue
        before = [
            word
            for speech in lanes.assistant
            if said.start - REMEMBERED <= speech.end and speech.start <= said.end
            for _, text in speech.words
            for word in _words(text)
        ]
        known = sum(word in before for word in words)
        in_order = " ".join(words) in " ".join(before)
        if in_order or (len(words) > FEW_WORDS and known / len(words) >= ALIKE and before):
            yield found(
                "echo",
                "The assistant may have heard itself",
                f"The caller's words, “{said.text}”, are those that the assistant had just said: "
                "its voice may have come back through the microphone.",
                said,
            )


def _cut_off(lanes: Lanes) -> list[AssistantSpeech]:
    return [speech for speech in lanes.assistant if speech.unheard is not None]


def _heard(speech: AssistantSpeech) -> float:
    return speech.end - speech.start


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
