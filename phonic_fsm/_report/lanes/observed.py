"""What LiveKit was observed to do: what it took the agent to be doing, and what it played."""

from __future__ import annotations

import math

from phonic_fsm.trace._format import Line

from .hearing import PAUSE, AssistantSpeech
from .span import Span, StateSpan, enter

UNPLAYED = 1.0
"""If LiveKit has not begun to play an answer so many seconds after it came, or by the time that its
end could have been heard, it plays none of it."""


class Playback(Span, kw_only=True):
    """What LiveKit's output played without a stop, as it was observed."""

    interrupted: bool = False
    finished: bool = False
    """Whether it was played to its end, as far as the trace goes."""


class ObservedLane:
    def __init__(self) -> None:
        self.agent: list[StateSpan] = []
        self.playback: list[Playback] = []
        self._since = math.inf

    def take(self, line: Line) -> None:
        kind = line.event["type"]
        if kind == "agent_state":
            self._since = min(self._since, line.t)
            enter(self.agent, line, line.event["state"])
        elif kind == "playback_started":
            self._since = min(self._since, line.t)
            self.playback.append(Playback(step=line.seq, start=line.t, end=math.inf))
        elif kind == "playback_finished" and self.playback and self.playback[-1].end == math.inf:
            self.playback[-1].end = line.t
            self.playback[-1].interrupted = line.event["interrupted"]
            self.playback[-1].finished = not line.event["interrupted"]

    def has_played(self, speech: AssistantSpeech, speeches: list[AssistantSpeech]) -> bool:
        """Whether LiveKit has played any of it, one of these, as far as that was observed."""
        if not self.playback or speech.start < self._since or speech.took < PAUSE:
            return True
        start, end = speech.start - PAUSE, max(speech.end, speech.start + UNPLAYED)
        if any(one.start <= end and start <= one.end for one in self.playback):
            return True
        # LiveKit plays one answer after the other: if it has played as many as have come since, it
        # was only late.
        since = {one.message for one in speeches if one.start >= speech.start}
        return sum(one.start >= speech.start for one in self.playback) >= len(since)
