"""What a caller in a room hears: a recording, and when there was sound in it.

This module takes audio and knows nothing of rooms or participants.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..simulator import SpeechDetector, SpeechEdge
from ._sound import Sound

ONSET_MS = 30
"""A stretch begins with this much sound, so that a click does not begin one."""

PAUSE_MS = 400
"""A stretch ends with this much silence: more than the pause between two sentences."""


@dataclass
class Stretch:
    """Sound, with pauses of less than 0.4 s in it. Times are the event loop's (s)."""

    began: float
    ended: float | None = None
    """None while the sound goes on."""
    heard_until: float = 0.0
    """When audio last came while the sound went on. It stops without an end if its track does."""


class Ear:
    """Records mono PCM16 LE at ``sample_rate`` Hz, and notes where it is louder than -45 dBFS."""

    def __init__(self, sample_rate: int) -> None:
        self.stretches: list[Stretch] = []
        self._rate = sample_rate
        self._detector = SpeechDetector(
            sample_rate, threshold_dbfs=-45.0, min_speech_ms=ONSET_MS, min_silence_ms=PAUSE_MS
        )
        self._tape = bytearray()
        self._silent_from = 0.0
        """The position on the tape where the last sound ended (s)."""

    @property
    def hears(self) -> bool:
        """Whether there is sound now."""
        return self._detector.speaking

    @property
    def position(self) -> float:
        """The length of the recording (s)."""
        return len(self._tape) / 2 / self._rate

    @property
    def silence(self) -> float:
        """How much silence was recorded since the last sound (s); 0 while there is sound."""
        return 0.0 if self.hears else self.position - self._silent_from

    def recording(self) -> Sound:
        """All that was heard, with the silence between."""
        return Sound(bytes(self._tape), self._rate)

    def hear(self, pcm: bytes, now: float) -> None:
        """Take the next ``pcm``; ``now`` is the time of its last sample (s)."""
        self._tape += pcm
        for edge in self._detector.feed(pcm):
            if edge is SpeechEdge.STARTED:
                self.stretches.append(Stretch(now - ONSET_MS / 1000))
            else:
                self.stretches[-1].ended = now - PAUSE_MS / 1000
                self._silent_from = self.position - PAUSE_MS / 1000
        if self.hears:
            self.stretches[-1].heard_until = now
