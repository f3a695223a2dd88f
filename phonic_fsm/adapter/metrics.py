"""How long replies take, as LiveKit's ``RealtimeModelMetrics``: one per generation that spoke.

Phonic counts no tokens, so these say when, not how much: ``ttft`` is the time from the end of the
caller's speech, the request for a reply or a tool's output, whichever was last, to the first audio
(s; -1 if nothing of these came before); ``duration`` that from the generation's opening to its end.
"""

from __future__ import annotations

import time

from livekit.agents import llm
from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.metrics.base import Metadata


class ReplyTimes:
    """Follows one session's replies."""

    def __init__(self, model: llm.RealtimeModel) -> None:
        self._model = model
        self._asked: float | None = None
        self._opened = self._opened_at = 0.0
        self._ttft = -1.0
        self._spoke = False

    def asked(self) -> None:
        """From now on a reply is due."""
        self._asked = time.perf_counter()

    def opened(self) -> None:
        """A generation was opened."""
        self._opened, self._opened_at = time.perf_counter(), time.time()
        self._ttft, self._spoke = -1.0, False

    def audio(self) -> None:
        """Audio was pushed."""
        if self._spoke:
            return
        self._spoke = True
        if self._asked is not None:
            self._ttft = time.perf_counter() - self._asked
            self._asked = None

    def closed(self, response_id: str, *, interrupted: bool) -> RealtimeModelMetrics | None:
        """The generation's metrics, if it spoke."""
        if not self._spoke:
            return None
        return RealtimeModelMetrics(
            request_id=response_id,
            timestamp=self._opened_at,
            label=self._model.label,
            duration=time.perf_counter() - self._opened,
            ttft=self._ttft,
            cancelled=interrupted,
            input_token_details=RealtimeModelMetrics.InputTokenDetails(),
            output_token_details=RealtimeModelMetrics.OutputTokenDetails(),
            metadata=Metadata(model_name=self._model.model, model_provider=self._model.provider),
        )
