"""The caller's loudspeaker: it plays the agent's audio in real time and records it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from livekit import rtc
from livekit.agents.voice import io

from ._sound import Sound


@dataclass
class _Segment:
    began: float
    pcm: bytearray = field(default_factory=bytearray)
    end: asyncio.TimerHandle | None = None


class Playback(io.AudioOutput):
    """Takes frames as fast as they come, and reports them played when a loudspeaker would have
    played them."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(
            label="playback",
            capabilities=io.AudioOutputCapabilities(pause=False),
            sample_rate=sample_rate,
        )
        self._rate = sample_rate
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._segment: _Segment | None = None
        self._tape = bytearray()
        self.segments = 0
        """How many pieces of the agent's speech have begun to play."""

    @property
    def playing(self) -> bool:
        """Whether the agent's audio is being played at this moment."""
        return self._segment is not None

    def recording(self) -> Sound:
        """All that was played so far, with the silence in between."""
        return Sound(bytes(self._tape), self._rate)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._segment is None:
            self._segment = _Segment(self._loop.time())
            self.segments += 1
            self.on_playback_started(created_at=time.time())
        self._segment.pcm += frame.data.cast("B")

    def flush(self) -> None:
        super().flush()
        segment = self._segment
        if segment is not None and segment.end is None:
            segment.end = self._loop.call_at(
                segment.began + self._seconds(segment.pcm), self._finish, False
            )

    def clear_buffer(self) -> None:
        self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        if segment.end is not None:
            segment.end.cancel()
        played = min(self._loop.time() - segment.began, self._seconds(segment.pcm))
        silence = int((segment.began - self._start) * self._rate) * 2 - len(self._tape)
        self._tape += bytes(max(silence, 0)) + segment.pcm[: int(played * self._rate) * 2]
        self.on_playback_finished(playback_position=played, interrupted=interrupted)

    def _seconds(self, pcm: bytearray) -> float:
        return len(pcm) / 2 / self._rate
