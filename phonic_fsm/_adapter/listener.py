"""Whether LiveKit takes what the assistant says, which else nobody would notice if it did not.

LiveKit reads an answer's audio as soon as it may be played: at once, or when the answer before it
has been heard. An answer that waits for longer is reported, and then none until one is taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from .._core.events import AudioNotTaken, WhyNotTaken
from .generation import AudioStream
from .job import agent_session
from .subscription import subscription

PATIENCE = 3.0
"""Seconds for which an answer may wait while nothing else is heard."""


class Listener:
    """Follows one session's answers, each from its first frame."""

    def __init__(self, report: Callable[[AudioNotTaken], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[AudioStream, float]] = deque()
        """The answers that are not taken yet, and since when there is something to take."""
        self._taken: AudioStream | None = None
        """The newest that was."""
        self._timer: asyncio.TimerHandle | None = None
        self._reported = False

    def expect(self, audio: AudioStream) -> None:
        """The answer's first frame is there."""
        audio.on_taken = self._take
        self._waiting.append((audio, self._loop.time()))
        self._look()

    def forget(self) -> None:
        """What waits need not be heard any more."""
        self._waiting.clear()
        self._look()

    def _take(self, audio: AudioStream) -> None:
        self._taken = audio
        while self._waiting and self._waiting.popleft()[0] is not audio:
            pass
        if (reason := _reason()) == "given_up":
            self._tell(audio, 0.0, reason)
        else:
            self._reported = False
        self._look()

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        audio, since = self._waiting[0]
        if self._taken is not None:
            since = max(since, self._taken.ends_at)
        now = self._loop.time()
        if now < since + PATIENCE:
            self._timer = self._loop.call_at(since + PATIENCE, self._look)
        elif _audio_is_wanted():
            self._tell(audio, now - since, _reason())

    def _tell(self, audio: AudioStream, seconds: float, reason: WhyNotTaken) -> None:
        if not self._reported:
            self._reported = True
            self._report(AudioNotTaken(audio.response_id, round(seconds, 1), reason))


def _audio_is_wanted() -> bool:
    session = agent_session()
    if session is None:
        return True
    return session.output.audio is not None and session.output.audio_enabled


def _reason() -> WhyNotTaken:
    subscribed = subscription()
    if subscribed is None:
        return "not_read"
    if subscribed.cancelled():
        return "given_up"
    return "not_read" if subscribed.done() else "not_subscribed"
