"""How much of the caller's audio each outage has lost.

Where the trace tells what became of the caller's audio, that is measured. Elsewhere it is
calculated for a caller's stream without a pause: all is lost but the newest that is kept.
"""

from __future__ import annotations

import math

from .._core.effects import SetAudioGate
from .._core.events import CallerAudio, name_of
from .._core.states import CONVERSING, State
from ._format import Line

OPEN_STATES = frozenset(state.value for state in CONVERSING)
"""The states, as a trace names them, in which the conversation is open."""

_CALLER_AUDIO, _SET_AUDIO_GATE = name_of(CallerAudio), name_of(SetAudioGate)


class LostAudio:
    """Takes the steps, and knows of each outage how many seconds were lost."""

    def __init__(self) -> None:
        self.began: list[float] = []
        """When each outage began."""
        self.seconds: list[float] = []
        """One for each outage. What was dropped in the last second may be told a second later."""
        self._lost_at = self._back_at = math.inf
        """When the newest outage began, and ended."""
        self._keeps = self._kept = 0.0
        self._now = 0.0
        self._told_at: float | None = None
        """When the newest second of the caller's audio was told of."""
        self._dropped = 0.0
        """Seconds of it that were dropped."""

    @property
    def is_measured(self) -> bool:
        return self._told_at is not None

    def take(self, line: Line) -> None:
        """Take a step. Those of audio that is only passed on may be left out."""
        if self._is_lost:
            self._kept = min(self._kept + line.t - self._now, self._keeps)
        self._now = line.t
        if line.event.get("type") == _CALLER_AUDIO:
            # What a connection was too slow for, no outage has lost.
            dropped = line.event.get("dropped_ms", 0) - line.event.get("overflowed_ms", 0)
            self._measure(line.t, dropped / 1000)
        if line.source != line.target:
            self._move(line)
        for effect in line.effects:
            if effect.get("type") == _SET_AUDIO_GATE:
                self._keeps = float(effect.get("keep_ms", 0)) / 1000

    @property
    def _is_lost(self) -> bool:
        return self._lost_at < math.inf and self._back_at == math.inf

    def _move(self, line: Line) -> None:
        if line.source in OPEN_STATES and line.target == State.reconnecting.value:
            self._lost_at, self._back_at, self._kept = line.t, math.inf, 0.0
            self.began.append(line.t)
            self.seconds.append(0.0)
        elif self._is_lost and line.target == State.closed.value:
            self._back_at = line.t
            if not self.is_measured:
                self.seconds[-1] = line.t - self._lost_at
        elif self._is_lost and line.target in OPEN_STATES:
            self._back_at = line.t
            if not self.is_measured:
                self.seconds[-1] = max(line.t - self._lost_at - self._kept, 0.0)

    def _measure(self, t: float, dropped: float) -> None:
        """A second is told of; those since the one before, of which nothing is told, were alike."""
        if self._told_at is not None and self.seconds:
            untold = min(t - 1, self._back_at) - max(self._told_at, self._lost_at)
            self.seconds[-1] += max(untold, 0.0) * self._dropped
        if t > self._lost_at and t - 1 < self._back_at:
            self.seconds[-1] += dropped
        self._told_at, self._dropped = t, dropped
