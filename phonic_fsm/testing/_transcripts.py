"""What was said in a room, from LiveKit's text streams of the topic ``lk.transcription``.

LiveKit sends the agent's words as one stream that grows, and the caller's as a new stream for each
version. All streams of one utterance have the same segment id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from livekit import rtc
from livekit.agents.types import (
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID,
)


@dataclass
class Transcript:
    """One utterance."""

    identity: str
    """The identity of the participant who said it."""
    text: str
    segment: str
    """LiveKit's id of the utterance."""
    final: bool = False
    """Whether ``text`` is complete."""


class Transcripts:
    """Collects one ``Transcript`` for each utterance in ``seen``, in order."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.seen: list[Transcript] = []
        self._changed = changed

    async def read(self, stream: rtc.TextStreamReader, identity: str) -> None:
        """Read one stream to its end. If the connection ends before, the transcript stays as it
        is then, and is not final."""
        attributes = stream.info.attributes or {}
        segment = attributes.get(ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID, stream.info.stream_id)
        transcript = self._of(segment, identity)
        text = ""
        try:
            async for piece in stream:
                text += piece
                transcript.text = text
                self._changed()
        except rtc.StreamError:
            return
        # The end of a stream can add attributes.
        attributes = stream.info.attributes or {}
        transcript.final = attributes.get(ATTRIBUTE_TRANSCRIPTION_FINAL) == "true"
        self._changed()

    def _of(self, segment: str, identity: str) -> Transcript:
        for transcript in self.seen:
            if transcript.segment == segment:
                return transcript
        self.seen.append(Transcript(identity, "", segment))
        return self.seen[-1]
