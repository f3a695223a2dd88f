"""Notices when LiveKit does not play what the assistant says. Nothing else would tell.

LiveKit reads an answer's audio as soon as it can play it: at once, or after the answer before it.
If an answer waits for longer, this is reported once, until LiveKit reads an answer again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from .._core.events import AudioNotTaken, WhyNotTaken
from .generation import AudioStream
from .job import audio_is_wanted
from .subscription import subscription

PATIENCE = 3.0
"""Seconds for which an answer may wait while nothing else is played."""

MOST_WAITING = 1_000
"""Answers that are remembered while LiveKit reads none of them."""


class Listener:
    """Follows the answers of one session, each from its first frame."""

    def __init__(self, report: Callable[[AudioNotTaken], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[str, float]] = deque(maxlen=MOST_WAITING)
        """The answers that LiveKit has not read yet, and when each got its first frame.

        By their ids: LiveKit may never read them, and their audio must not be kept for that.
        """
        self._taken: AudioStream | None = None
        """The newest answer that LiveKit has read."""
        self._timer: asyncio.TimerHandle | None = None
        self._reported = False

    def expect(self, audio: AudioStream) -> None:
        """Expect LiveKit to read this answer, which has got its first frame."""
        audio.on_taken = self._take
        self._waiting.append((audio.response_id, self._loop.time()))
        self._look()

    def forget(self) -> None:
        """Expect nothing any more of the answers that wait: nobody has to hear them."""
        self._waiting.clear()
        self._look()

    def _take(self, audio: AudioStream) -> None:
        self._taken = audio
        while self._waiting and self._waiting.popleft()[0] != audio.response_id:
            pass
        if (reason := _reason()) == "given_up":
            self._tell(audio.response_id, 0.0, reason)
        else:
            self._reported = False
        self._look()

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        response_id, since = self._waiting[0]
        if self._taken is not None:
            since = max(since, self._taken.ends_at)
        now = self._loop.time()
        if now < since + PATIENCE:
            self._timer = self._loop.call_at(since + PATIENCE, self._look)
        elif audio_is_wanted():
            self._tell(response_id, now - since, _reason())

    def _tell(self, response_id: str, seconds: float, reason: WhyNotTaken) -> None:
        if not self._reported:
            self._reported = True
            self._report(AudioNotTaken(response_id, round(seconds, 1), reason))


def _reason() -> WhyNotTaken:
    subscribed = subscription()
    if subscribed is None:
        return "not_read"
    if subscribed.cancelled():
        return "given_up"
    return "not_read" if subscribed.done() else "not_subscribed"
