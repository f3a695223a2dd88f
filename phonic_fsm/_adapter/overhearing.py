"""Listens to the caller from when a successor is in the room until LiveKit brings the audio.

What the caller says while a call moves is not lost: the newest seconds are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

KEPT = 2.0
"""How much of the caller's audio (s) is kept, as while a lost connection is resumed."""

RATE = 24_000
FRAME_MS = 20

COARSE = 6_000
"""The rate (Hz) at which two pieces of audio are compared."""

ALIKE = 0.8
"""From this correlation on they are the same: LiveKit may have changed how loud one is."""


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

    def stop(self, since: float, first: rtc.AudioFrame | None = None) -> list[rtc.AudioFrame]:
        """Listen no more; returns what has come since then (s since 1970).

        ``first`` is the first audio that LiveKit brings. It comes late, and after what waited at
        LiveKit, so what is returned ends where it begins.
        """
        self._room.off("track_subscribed", self._subscribed)
        if self.task is not None:
            self.task.cancel()
        is_full = len(self._frames) == self._frames.maxlen
        self.gave_way = is_full and self._frames[0][0] > since
        frames = [frame for came, frame in self._frames if came >= since]
        return frames if first is None else _before(first, frames)

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


def _before(first: rtc.AudioFrame, frames: list[rtc.AudioFrame]) -> list[rtc.AudioFrame]:
    """The frames up to where ``first`` begins in them; all of them if it is not there."""
    piece = _coarse(first)
    tape = np.concatenate([np.zeros(0), *map(_coarse, frames)])
    if not piece.size or len(tape) < len(piece) or not piece.any():
        return frames
    parts = np.lib.stride_tricks.sliding_window_view(tape, len(piece))
    loudness = np.sqrt((parts**2).sum(axis=1) * (piece**2).sum())
    likeness = np.divide(parts @ piece, loudness, out=np.zeros(len(parts)), where=loudness > 0)
    best = int(np.argmax(likeness))
    if likeness[best] < ALIKE:
        return frames
    samples = best * RATE // COARSE
    pcm = b"".join(bytes(frame.data) for frame in frames)[: samples * 2]
    return [rtc.AudioFrame(pcm, RATE, 1, samples)] if samples else []


def _coarse(frame: rtc.AudioFrame) -> NDArray[np.float64]:
    """Its samples at ``COARSE`` Hz, as one channel."""
    channels = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    at = np.arange(len(channels)) * COARSE // frame.sample_rate
    return np.bincount(at, channels.mean(axis=1)) / np.maximum(np.bincount(at), 1)
