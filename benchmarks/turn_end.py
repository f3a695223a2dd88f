"""Who hears when a caller has said all, and what is answered: the same for every contestant."""

from __future__ import annotations

import time

import numpy as np

from phonic_fsm.simulator import speak

RATE = 24_000

CHUNK_MS = 20
"""Of the answer, as Phonic sends it."""

SILENCE_MS = 200
"""So much silence ends the caller's turn."""

THRESHOLD = 300.0
"""The level (RMS of PCM16) from which a frame is sound: -41 dBFS."""

QUESTION = "Is there a room?"

ANSWER = "We have a few rooms left, and all of them look out over the harbour."


class TurnEnd:
    """Notices the end of a caller's sound, in frames of any length."""

    def __init__(self) -> None:
        self.speaking = False
        self.heard_ns = 0
        """When the newest frame with sound in it came, by the clock that all processes share."""
        self._silent_ms = 0.0

    def hear(self, pcm: bytes) -> bool:
        """Take a frame; whether the caller's turn ends with it."""
        samples = np.frombuffer(pcm, np.int16).astype(np.float32)
        if np.dot(samples, samples) >= THRESHOLD**2 * len(samples):
            self.speaking, self._silent_ms = True, 0.0
            self.heard_ns = time.monotonic_ns()
            return False
        self._silent_ms += len(samples) / RATE * 1000
        if not self.speaking or self._silent_ms < SILENCE_MS:
            return False
        self.speaking = False
        return True

    def stamp(self) -> str:
        """When the caller's sound came to its end, and now, as the answer's first words (ns)."""
        return f"{self.heard_ns} {time.monotonic_ns()} "


def answer() -> list[tuple[bytes, str]]:
    """The answer in chunks of 20 ms, each with the words that begin in it."""
    speech = speak(ANSWER, RATE)
    size = RATE * CHUNK_MS // 1000 * 2
    return [
        (
            speech.pcm[start : start + size].ljust(size, b"\0"),
            speech.text_between(number * CHUNK_MS, (number + 1) * CHUNK_MS),
        )
        for number, start in enumerate(range(0, len(speech.pcm), size))
    ]
