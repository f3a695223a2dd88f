"""Saves LiveKit the work of estimating how fast the assistant speaks.

LiveKit shows an answer's words in the room as they are spoken. It uses the words' own times where
there are any, and Phonic's words have them. It still estimates the speaking rate from the audio's
spectrum (``SpeakingRateStream``, livekit-agents 1.8.9), which is a third of the work that a job's
main thread does while the agent speaks. The only option that turns this off,
``sync_transcription``, turns off the pace as well. So this module replaces LiveKit's detector by
one that finds nothing.

Words without times, such as those of another model in the same ``AgentSession``, then appear at an
even pace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from livekit import rtc
from livekit.agents.voice.io import AudioOutput
from livekit.agents.voice.transcription import TranscriptSynchronizer

from .job import agent_session


def spare_the_estimate() -> None:
    """Replace the detector of the job's ``AgentSession``; change nothing where there is none."""
    session = agent_session()
    if session is None:
        return
    for synchronizer in _synchronizers(session.output.audio):
        options: Any = getattr(synchronizer, "_opts", None)
        detector = getattr(options, "speaking_rate_detector", None)
        if options is None or detector is None or isinstance(detector, _NoEstimate):
            continue
        options.speaking_rate_detector = _NoEstimate()
        if session.agent_state == "initializing":
            # LiveKit made the first answer's segment with the former detector. It is still empty.
            synchronizer.rotate_segment()


def _synchronizers(output: AudioOutput | None) -> Iterator[TranscriptSynchronizer]:
    while output is not None:
        synchronizer = getattr(output, "_synchronizer", None)
        if isinstance(synchronizer, TranscriptSynchronizer):
            yield synchronizer
        output = output.next_in_chain


class _NoEstimate:
    """Stands in for LiveKit's detector of the speaking rate, and for each of its streams."""

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
