"""Transcripts keep pace with the voice by the words' own times, not by an estimate of them.

LiveKit shows an answer's words in the room as they are spoken. Where they come with their times,
as ours do, it goes by those. All the same it estimates from the audio's spectrum how fast is
spoken (``SpeakingRateStream``, livekit-agents 1.8.9): a third of what a job's main thread does
while the agent speaks. No option turns that off without ``sync_transcription``, that is without
the pace. So LiveKit's detector gives way to one that finds nothing.

What has no times (another model's words in the same ``AgentSession``, a recording's) then appears
at an even pace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from livekit import rtc
from livekit.agents.voice.io import AudioOutput
from livekit.agents.voice.transcription import TranscriptSynchronizer

from .job import agent_session


def spare_the_estimate() -> None:
    """Have the job's transcripts go by the words' times; where there is nothing to spare, nothing
    is changed."""
    session = agent_session()
    if session is None:
        return
    for synchronizer in _synchronizers(session.output.audio):
        options = getattr(synchronizer, "_opts", None)
        detector = getattr(options, "speaking_rate_detector", None)
        if options is None or detector is None or isinstance(detector, _NoEstimate):
            continue
        options.speaking_rate_detector = _NoEstimate()
        if session.agent_state == "initializing":
            # The first answer's part was made with the former one. Nothing is in it yet.
            synchronizer.rotate_segment()


def _synchronizers(output: AudioOutput | None) -> Iterator[TranscriptSynchronizer]:
    while output is not None:
        synchronizer = getattr(output, "_synchronizer", None)
        if isinstance(synchronizer, TranscriptSynchronizer):
            yield synchronizer
        output = output.next_in_chain


class _NoEstimate:
    """LiveKit's detector of the speaking rate, and each of its streams."""

    def stream(self) -> _NoEstimate:
        return self

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        pass

    def end_input(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def __aiter__(self) -> _NoEstimate:
        return self

    async def __anext__(self) -> Any:
        raise StopAsyncIteration
