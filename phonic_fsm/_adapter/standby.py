"""What a session has in the place of a runtime until the process that has its call hands it over.

LiveKit uses the session meanwhile as it uses any other. What it says of the agent waits here for
the call, and so does the caller's audio. What concerns a moment that is over by then does not.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import anyio
from livekit import rtc

from .._core import events
from .._core.machine import SessionMachine
from .._core.states import State
from .._runtime.fence import Task
from .._runtime.log import logger
from .subscription import until_subscribed

KEPT = 10.0
"""How much of the caller's audio (s) is kept."""

HEARS_WITHIN = 1.0
"""How long (s) an agent that is there may take to hear the caller, and the caller to hear its
track: there may be no caller who speaks, or listens."""

_OF_A_MOMENT = (
    events.Interrupt,
    events.StartUserActivity,
    events.CommitAudio,
    events.ClearAudio,
)


class Standby:
    """Keeps what a session is told, until it has its call."""

    def __init__(self, machine: SessionMachine, close: Callable[[], None]) -> None:
        """``close`` is called when LiveKit closes the session."""
        self._machine = machine
        self._close = close
        self.events: list[events.Event] = []
        """What is to be dispatched once the call is there, in order."""
        self.frames: deque[tuple[float, rtc.AudioFrame]] = deque()
        """What the caller says, each with the time at which it came (s since 1970)."""
        self._kept = 0.0
        """How much of it there is (s)."""
        self._agent, self._sound = asyncio.Event(), asyncio.Event()
        """Whether the agent is there, and whether audio has come."""

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def conversation_id(self) -> str | None:
        return self._machine.context.conversation_id

    @property
    def heard_ms(self) -> int:
        return 0

    async def until_ready(self) -> None:
        """Wait until the agent is there, hears the caller, and can be heard."""
        await self._agent.wait()
        with anyio.move_on_after(HEARS_WITHIN):
            await until_subscribed()
            await self._sound.wait()

    def dispatch(self, event: events.Event) -> None:
        if isinstance(event, events.Close):
            self._close()
        elif not isinstance(event, _OF_A_MOMENT):
            self.events.append(event)
        if isinstance(event, events.UpdateSession):
            self._agent.set()

    dispatch_unattended = dispatch

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        self._sound.set()
        self.frames.append((time.time(), frame))
        self._kept += frame.duration
        while self._kept > KEPT:
            self._kept -= self.frames.popleft()[1].duration

    def start(self, _: Task) -> None:
        raise AssertionError("a session that has no call has none to hand over")

    def circumstances(self) -> str:
        return "while another process had the call"

    def log(self, level: int, text: str) -> None:
        logger.log(level, text)

    def go_on_recording(self) -> None:
        """There is no recording yet."""

    def end_recording(self) -> None:
        """There is no recording yet."""
