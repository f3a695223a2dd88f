"""The caller's audio on its way to Phonic: downmixed, resampled, cut into 20 ms chunks, encoded.

Frames do not pass through the machine. The machine sets a gate, which decides what happens to them
(``_core/outgoing.py``).
A frame is delayed by at most one chunk, because audio is cut into chunks, and by what the resampler
holds back if the frame has another sample rate than the wire.

While a conversation is open, Phonic expects audio at all times, also from a caller who is muted or
has no microphone (documentation of push-to-talk). So the uplink is a stream: ``keep_pace``, which
the runtime calls every 40 ms, fills the gaps with silence. It also catches up with audio that was
kept, at twice real time, so that Phonic does not get seconds of it at once.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import cache

import numpy as np
from livekit import rtc

from .._audio.formats import WireFormat
from .._audio.resampler import Resampler
from .._core.effects import Gate
from .._wire.client import AudioChunk
from .._wire.codec import encode
from .caller_meter import Passage

logger = logging.getLogger(__name__)

CHUNK_MS = 20

PACE_MS = 40
"""How often the stream is looked after, and how long a message of silence is: the longest chunk
that Phonic takes."""

JITTER_MS = 120
"""A frame can be late by this much before silence takes its place: LiveKit hands audio over from a
network, through tasks that wait for their turn."""

CATCH_UP = 2
"""How many times faster than real time audio that was kept is sent."""

MAX_SILENCE_MS = 1_000
"""The longest silence that is sent at once, after the event loop was held up."""


@cache
def silence(wire_format: WireFormat) -> tuple[AudioChunk, bytes]:
    """40 ms of silence, and the same encoded: one message for all sessions."""
    pcm = bytes(wire_format.sample_rate * PACE_MS // 1000 * 2)
    chunk = AudioChunk(pcm if wire_format.encode is None else wire_format.encode(pcm))
    return chunk, encode(chunk)


class Uplink:
    """Turns frames of any rate and channel count into one stream of mono chunks in one format."""

    def __init__(
        self,
        wire_format: WireFormat,
        deliver: Callable[[AudioChunk], None],
        deliver_silence: Callable[[], None],
    ) -> None:
        self._rate = wire_format.sample_rate
        self._encode = wire_format.encode
        self._deliver = deliver
        self._deliver_silence = deliver_silence
        self._chunk_bytes = self._rate * CHUNK_MS // 1000 * 2
        """The length of a chunk in PCM16, before it is encoded."""
        self._gate: Gate = "closed"
        self._keep = 0
        """How many chunks are kept while they cannot be sent."""
        self._kept: deque[AudioChunk] = deque()
        """Chunks that could not be sent; behind an open gate, those that are still to be sent."""
        self._dropped = 0
        """Chunks of the caller's speech that gave way because nothing could be sent."""
        self._rest = b""
        """The beginning of the next chunk."""
        self._frame_rate = self._rate
        """The sample rate of the current frames (Hz)."""
        self._resampler: Resampler | None = None
        """``None`` while the frames have the wire's sample rate."""
        self._spoken = False
        """Whether a chunk was sent since the stream was last looked after."""
        self._filled_until = 0.0
        """Up to when the stream has no gap, by the clock of ``keep_pace`` (s)."""
        self._paced_at = 0.0
        """When the stream was last looked after (s)."""
        self._idle = 0
        """How often in a row the stream was looked after and no chunk had been sent."""
        self.heard_ms = 0
        """How much of the caller's audio (ms) was sent since the last flush."""
        self._passage = Passage()

    @property
    def streams(self) -> bool:
        """Whether the conversation is open, so that the stream must not stop."""
        return self._gate in ("open", "muted")

    def take_passage(self) -> Passage:
        """What became of the caller's audio since this was last called."""
        passage, self._passage = self._passage, Passage()
        passage.waiting = len(self._kept) * CHUNK_MS
        return passage

    def set_gate(self, gate: Gate, keep_ms: int, now: float) -> None:
        """Say what happens to frames from now on.

        They are dropped (``closed``), sent (``open``), or their newest ``keep_ms`` are kept until
        they can be sent (``holding``, ``muted``). While ``muted``, silence is sent in their place.
        ``now`` is in seconds, by the clock of ``keep_pace``.
        """
        if not self.streams:
            self._filled_until = self._paced_at = now
        self._gate = gate
        self._keep = keep_ms // CHUNK_MS
        # A muted caller's frames are not waited for.
        self._idle = JITTER_MS // PACE_MS if gate == "muted" else 0
        if gate == "open":
            if self._dropped:
                logger.warning(
                    "%d ms of the caller's audio were dropped: nothing could be sent to Phonic "
                    "for too long",
                    self._dropped * CHUNK_MS,
                )
                self._dropped = 0
            # The first of what was kept need not wait.
            self._catch_up(PACE_MS / 1000)
        elif gate == "closed":
            self._passage.dropped += len(self._kept) * CHUNK_MS
            self._kept.clear()
            self._dropped = 0
            self.heard_ms = 0
            self._rest = b""
            self._frame_rate = self._rate
            self._resampler = None
        else:
            self._trim()

    def keep_pace(self, now: float) -> None:
        """Send what is due of the stream: kept audio, or silence where no frame has come."""
        elapsed, self._paced_at = now - self._paced_at, now
        if self._gate == "open" and (self._kept or self._spoken):
            self._catch_up(elapsed)
            self._spoken = False
            self._idle = 0
            self._filled_until = now
            return
        # Several looks in a row, and not the time alone: frames that were held up with the event
        # loop come right after it.
        self._idle += 1
        if self._idle < JITTER_MS // PACE_MS:
            return
        gap = round((now - self._filled_until) * 1000)
        for _ in range(min(gap, MAX_SILENCE_MS) // PACE_MS):
            self._deliver_silence()
            self._passage.filled += PACE_MS
        self._filled_until = now - gap % PACE_MS / 1000

    def push(self, frame: rtc.AudioFrame) -> None:
        """Take a frame of PCM16 with any sample rate and any number of interleaved channels."""
        if self._gate == "closed":
            self._passage.dropped += frame.samples_per_channel * 1000 // frame.sample_rate
            return
        if frame.sample_rate != self._frame_rate:
            self._change_rate(frame.sample_rate)
        pcm = _mono(frame)
        if self._resampler is not None:
            pcm = self._resampler.push(pcm)
        self._cut(pcm)

    def expect(self) -> None:
        """Put no silence where audio will be: the caller was heard, and it is sent a little
        later."""
        self._spoken = True

    def flush(self) -> None:
        """Send everything at once, also the beginning of a chunk, as a shorter chunk."""
        self._change_rate(self._rate)
        if self._gate == "open":
            while self._kept:
                self._send(self._kept.popleft())
        if self._rest:
            self._put(self._rest)
            self._rest = b""
        self.heard_ms = 0

    def _change_rate(self, rate: int) -> None:
        resampler = Resampler(rate, self._rate) if rate != self._rate else None
        if self._resampler is not None:
            # The audio that the former resampler holds back comes before the new frames.
            self._cut(self._resampler.flush())
        self._frame_rate, self._resampler = rate, resampler

    def _cut(self, pcm: bytes) -> None:
        size = self._chunk_bytes
        if not self._rest and len(pcm) == size:
            self._put(pcm)
            return
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % size
        for start in range(0, whole, size):
            self._put(pcm[start : start + size])
        self._rest = pcm[whole:]

    def _put(self, pcm: bytes) -> None:
        chunk = AudioChunk(pcm if self._encode is None else self._encode(pcm))
        if self._gate == "open" and not self._kept:
            self._send(chunk)
            return
        self._kept.append(chunk)
        if self._gate != "open":
            self._trim()

    def _trim(self) -> None:
        while len(self._kept) > self._keep:
            self._kept.popleft()
            self._passage.dropped += CHUNK_MS
            if self._gate == "holding":
                self._dropped += 1
                self._passage.outlasted += CHUNK_MS

    def _catch_up(self, elapsed: float) -> None:
        for _ in range(round(min(elapsed, 1.0) * CATCH_UP * 1000 / CHUNK_MS)):
            if not self._kept:
                return
            self._send(self._kept.popleft())

    def _send(self, chunk: AudioChunk) -> None:
        self.heard_ms += CHUNK_MS
        self._passage.sent += CHUNK_MS
        self._spoken = True
        self._deliver(chunk)


def _mono(frame: rtc.AudioFrame) -> bytes:
    if frame.num_channels == 1:
        return bytes(frame.data)
    # Channel by channel: numpy takes four times as long to sum over the channels of each sample.
    channels = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels).T
    total = channels[0].astype(np.int32)
    for channel in channels[1:]:
        total += channel
    mono: bytes = (total // len(channels)).astype(np.int16).tobytes()
    return mono
