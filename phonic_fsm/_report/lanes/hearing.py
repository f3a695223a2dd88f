"""When the caller heard the assistant, as it is calculated.

A session gets the assistant's audio faster than it is played. A chunk is played when it arrives, or
when the audio before it has been played, and playback stops where the caller or the session cuts it
off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct, field, structs

from phonic_fsm._core.events import SILENT

from .span import Span

BIN = 0.05
"""Each level of a speech stands for so many seconds, and is that of the loudest chunk in them."""

PAUSE = 0.3
"""If an answer has no audio for so many seconds, it is shown in two parts."""


class AssistantSpeech(Span, kw_only=True):
    """What is heard of one message, or of a part of it."""

    message: str
    """Its id."""
    words: list[tuple[float, str]] = field(default_factory=list)
    """When each is heard."""
    levels: list[int] = field(default_factory=list)
    """In dBFS, one for every ``BIN`` seconds."""
    unheard: float | None = None
    """When the speech would have ended (s), if it was cut off."""
    played: bool = True
    """Whether LiveKit played any of it, as far as that was observed."""

    def cut_off(self, at: float) -> AssistantSpeech:
        """The same speech, of which nothing is heard from here on."""
        unheard = self.end if self.unheard is None else self.unheard
        return structs.replace(self, unheard=unheard, end=max(at, self.start))


class Heard(Struct, kw_only=True):
    """A piece of the assistant's audio that was heard without a gap."""

    start: float
    end: float
    source: float
    """Where it begins in the file beside the trace (s)."""


class Hearing:
    def __init__(self) -> None:
        self.speeches: list[AssistantSpeech] = []
        self.heard: list[Heard] = []
        """The audio beside the trace that was heard, in order; the last of it may be to come."""
        self._playhead = 0.0

    def play(
        self,
        step: int,
        at: float,
        message: str,
        seconds: float,
        *,
        text: str,
        dbfs: float | None,
        source: float | None,
    ) -> None:
        """Note what came in a step, at its time: so many seconds of a message, and its text.

        ``source`` says where the audio is in the file beside the trace.
        """
        self.play_on(step, message, [(at, seconds, dbfs, text)])
        if source is not None:
            self._note_source(seconds, source)

    def play_on(
        self, step: int, message: str, chunks: Iterable[tuple[float, float, float | None, str]]
    ) -> None:
        """Note chunks of a message that came in a row, from this step on: when each came, its
        seconds, its level (dBFS), and its text."""
        speeches, playhead = self.speeches, self._playhead
        speech = speeches[-1] if speeches and speeches[-1].message == message else None
        for number, (came, seconds, dbfs, text) in enumerate(chunks, step):
            at = playhead if playhead > came else came
            if speech is None or at - speech.end > PAUSE:
                speech = AssistantSpeech(step=number, start=at, end=at, message=message)
                speeches.append(speech)
            speech.end = playhead = end = at + seconds
            start, levels = speech.start, speech.levels
            last = math.ceil((end - start) / BIN)
            if last > len(levels):
                levels += [SILENT] * (last - len(levels))
            if dbfs is not None:
                level = round(dbfs)
                for place in range(int((at - start) / BIN), last):
                    levels[place] = max(levels[place], level)
            if text:
                speech.words.append((round(at, 3), text))
        self._playhead = playhead

    def cut_off(self, at: float) -> None:
        """Note that the playback ends here: what has arrived is not heard any further."""
        speeches = self.speeches
        for number in range(len(speeches) - 1, -1, -1):
            if speeches[number].end <= at:
                break
            speeches[number] = speeches[number].cut_off(at)
        while self.heard and self.heard[-1].start >= at:
            self.heard.pop()
        if self.heard:
            self.heard[-1].end = min(self.heard[-1].end, at)
        self._playhead = min(self._playhead, at)

    def _note_source(self, seconds: float, source: float) -> None:
        end = self._playhead
        last = self.heard[-1] if self.heard else Heard(start=0.0, end=-1.0, source=0.0)
        behind = last.source + last.end - last.start
        if math.isclose(last.end, end - seconds, abs_tol=1e-5) and math.isclose(
            behind, source, abs_tol=1e-5
        ):
            last.end = end
        else:
            self.heard.append(Heard(start=end - seconds, end=end, source=source))
