"""Knows how long LiveKit still plays what the assistant has said, by the clock.

LiveKit plays one answer after the other. It reads an answer's first frame when it begins to play
it; an answer that it has not read is taken to begin when it came, or behind the one before.
"""

from __future__ import annotations

import asyncio

from .generation import AudioStream
from .job import audio_is_wanted

TO_THE_EAR = 0.5
"""Seconds that played audio takes to the caller's ear: network, buffers."""


class Playback:
    """Follows the answers of one session, each from its first frame."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._answers: list[AudioStream] = []
        """Those that may not have been played to their ends, in order."""

    def expect(self, audio: AudioStream) -> None:
        """Expect LiveKit to play this answer, which has got its first frame."""
        if not self.left:
            self._answers.clear()
        self._answers.append(audio)

    def stop(self) -> None:
        """Expect nothing any more: LiveKit drops what it has, as somebody interrupts."""
        self._answers.clear()

    @property
    def left(self) -> float:
        """Seconds until all of it has been heard; 0 where nobody wants the assistant's audio."""
        if not self._answers or not audio_is_wanted():
            return 0.0
        end = 0.0
        for audio in self._answers:
            end = max(end, audio.ends_at or max(end, audio.came_at) + audio.seconds)
        return max(end + TO_THE_EAR - self._clock(), 0.0)
