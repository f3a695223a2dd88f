"""Speech detection: when somebody begins and stops speaking, by loudness alone.

Audio comes in, edges come out; time is counted in samples, not by a clock. What follows from an
edge is decided in ``_caller``.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

_WINDOW_MS = 10


class SpeechEdge(Enum):
    """What a detector reports: speech has started, or it has finished."""

    STARTED = "started"
    FINISHED = "finished"


class SpeechDetector:
    """An energy detector over streamed mono PCM16 LE at ``sample_rate`` Hz.

    Speech starts after ``min_speech_ms`` in a row at or above ``threshold_dbfs`` (RMS of 10 ms
    windows, in dB below full scale) and finishes after ``min_silence_ms`` in a row below it.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        threshold_dbfs: float = -40.0,
        min_speech_ms: float = 60.0,
        min_silence_ms: float = 500.0,
    ) -> None:
        self.speaking = False
        self._window_bytes = 2 * (sample_rate * _WINDOW_MS // 1000)
        self._least_power = (32768 * 10 ** (threshold_dbfs / 20)) ** 2
        self._min_speech_ms = min_speech_ms
        self._min_silence_ms = min_silence_ms
        self._contrary_ms = 0  # of sound while silent, or of silence while speaking, in a row
        self._rest = b""

    def feed(self, pcm: bytes) -> list[SpeechEdge]:
        """The edges in the next ``pcm`` (any length), oldest first."""
        pcm = self._rest + pcm
        windows = len(pcm) // self._window_bytes
        used = windows * self._window_bytes
        self._rest = pcm[used:]
        if not windows:
            return []
        samples = np.frombuffer(pcm, "<i2", count=used // 2).reshape(windows, -1)
        power = np.square(samples, dtype=np.float32).mean(axis=1)
        edges = []
        for loud in (power >= self._least_power).tolist():
            self._contrary_ms = self._contrary_ms + _WINDOW_MS if loud != self.speaking else 0
            limit_ms = self._min_silence_ms if self.speaking else self._min_speech_ms
            if self._contrary_ms and self._contrary_ms >= limit_ms:
                self.speaking = loud
                self._contrary_ms = 0
                edges.append(SpeechEdge.STARTED if loud else SpeechEdge.FINISHED)
        return edges
