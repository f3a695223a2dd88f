"""What a session measures, as LiveKit's ``RealtimeModelMetrics``: per generation, and at the end.

Phonic counts no tokens, so these are times, in seconds:

``ttft``
    To the generation's first audio, from the end of the caller's speech, from the request for a
    reply, or from a tool's output, whichever came last; -1 if none of these came before.
``duration``
    From the opening of the generation to its end.
``session_duration``
    In the metrics at the end: from the session's first connection to its close.
"""

from __future__ import annotations

import time
from itertools import islice

from livekit.agents import llm
from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.metrics.base import Metadata
from pydantic import Field

MOST_TIMINGS = 50
"""The most figures of Phonic's that one generation's metrics have. Further ones are left out."""


class PhonicMetrics(RealtimeModelMetrics):
    """LiveKit's metrics, with Phonic's own figures for the latency of a turn."""

    __module__ = "phonic_fsm"

    timings: dict[str, float] = Field(default_factory=dict)
    """Phonic's own breakdown of the latency (ms), under Phonic's names."""


class SessionTimes:
    """Takes the times of one session."""

    def __init__(self, model: llm.RealtimeModel) -> None:
        self._model = model
        self._connected: float | None = None
        self._asked: float | None = None
        self._opened: float | None = None
        self._opened_at = 0.0
        self._ttft = -1.0
        self._spoke = False
        self._timings: dict[str, float] = {}

    def connected(self) -> None:
        """A connection is open."""
        if self._connected is None:
            self._connected = time.perf_counter()

    def asked(self) -> None:
        """An answer is due from now on."""
        self._asked = time.perf_counter()

    def opened(self) -> None:
        """A generation was opened."""
        self._opened, self._opened_at = time.perf_counter(), time.time()
        self._ttft, self._spoke, self._timings = -1.0, False, {}

    def audio(self) -> None:
        """Audio was pushed into the open generation."""
        if self._spoke:
            return
        self._spoke = True
        if self._asked is not None:
            self._ttft = time.perf_counter() - self._asked
            self._asked = None

    def measured(self, timings: dict[str, float]) -> PhonicMetrics | None:
        """Add Phonic's breakdown to the open generation; without one, return it as metrics."""
        if self._opened is None:
            return self._metrics(
                "", time.time(), timings=dict(islice(timings.items(), MOST_TIMINGS))
            )
        for name, ms in islice(timings.items(), MOST_TIMINGS):
            if name in self._timings or len(self._timings) < MOST_TIMINGS:
                self._timings[name] = ms
        return None

    def closed(self, response_id: str, *, interrupted: bool) -> PhonicMetrics | None:
        """The metrics of the generation that was closed; ``None`` if it had no audio."""
        opened, self._opened = self._opened, None
        if not self._spoke or opened is None:
            return None
        return self._metrics(
            response_id,
            self._opened_at,
            duration=time.perf_counter() - opened,
            ttft=self._ttft,
            cancelled=interrupted,
            timings=self._timings,
        )

    def ended(self) -> PhonicMetrics | None:
        """The metrics of the whole session; ``None`` if it never had a connection."""
        if self._connected is None:
            return None
        return self._metrics(
            "", time.time(), session_duration=time.perf_counter() - self._connected
        )

    def _metrics(self, request_id: str, timestamp: float, **measured: object) -> PhonicMetrics:
        return PhonicMetrics.model_validate(
            {
                "request_id": request_id,
                "timestamp": timestamp,
                "label": self._model.label,
                "input_token_details": RealtimeModelMetrics.InputTokenDetails(),
                "output_token_details": RealtimeModelMetrics.OutputTokenDetails(),
                "metadata": Metadata(
                    model_name=self._model.model, model_provider=self._model.provider
                ),
                **measured,
            }
        )
