"""Listens to the caller from when a successor is in the room until LiveKit brings the audio.

What the caller says while a call moves is not lost: the newest seconds are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from livekit import rtc

KEPT = 2.0
"""How much of the caller's audio (s) is kept, as while a lost connection is resumed."""

RATE = 24_000
FRAME_MS = 20


class Overheard:
    """What one participant of a room says, from the first audio track on."""

    def __init__(self, room: rtc.Room) -> None:
        self._frames: deque[tuple[float, rtc.AudioFrame]] = deque(
            maxlen=round(KEPT * 1000 / FRAME_MS)
        )
        """Each with the time at which it came (s since 1970)."""
        self.gave_way = False
        """Whether more has come than is kept, of what ``stop`` was asked for."""
        self._room = room
        self.task: asyncio.Task[None] | None = None
        room.on("track_subscribed", self._subscribed)
        for participant in room.remote_participants.values():
            for publication in participant.track_publications.values():
                if publication.track is not None:
                    self._subscribed(publication.track, publication, participant)

    def stop(self, since: float) -> list[rtc.AudioFrame]:
        """Listen no more; returns what has come since then (s since 1970)."""
        self._room.off("track_subscribed", self._subscribed)
        if self.task is not None:
            self.task.cancel()
        is_full = len(self._frames) == self._frames.maxlen
        self.gave_way = is_full and self._frames[0][0] > since
        return [frame for came, frame in self._frames if came >= since]

    def _subscribed(
        self,
        track: rtc.Track,
        publication: rtc.TrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        is_agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        is_voice = publication.source == rtc.TrackSource.SOURCE_MICROPHONE
        if self.task is None and is_voice and not is_agent:
            self.task = asyncio.create_task(self._listen(track), name="phonic-overhearing")

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=FRAME_MS)
        try:
            async for event in stream:
                self._frames.append((time.time(), event.frame))
        finally:
            await stream.aclose()
