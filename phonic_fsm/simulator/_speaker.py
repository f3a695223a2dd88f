"""The assistant's voice: it says one line at a time, and an interruption stops it at once.

A *task* here is whatever the assistant does that takes time: saying lines, waiting for a tool.
Why a line is said, and what the client is told about an interruption, is decided in
``_assistant``, ``_tool_calls`` and ``_caller``.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from phonic_fsm._wire import server

from ._channel import Channel
from ._floor import Floor, Who
from ._settings import Settings
from ._voice import ASSISTANT_PITCH_HZ, CHUNK_MS, Speech, speak


@dataclass(eq=False)
class _Line:
    """A line while it is said. Times are those of anyio's clock, in seconds."""

    speech: Speech
    encode: Callable[[bytes], bytes] | None
    """Turns PCM16 LE into the output format; None if that is PCM16 LE already."""
    ahead: bool
    """Whether it is sent as fast as possible instead of in real time."""
    interruptible: bool
    announced: bool
    """Whether it is a turn of its own, with a start and an end. Backchannel is not."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    began: float | None = None
    """When its first message was sent; None until then."""
    plays_from: float = 0.0
    """When the caller begins to hear it: later than it began, if the line before still plays."""
    sent_ms: int = 0
    is_streaming: bool = True

    def heard(self, now: float) -> str | None:
        """The part that the caller has heard. None if the line has not begun, is no turn of its
        own, or was heard to its end."""
        if self.began is None or not self.announced:
            return None
        elapsed_ms = (now - self.plays_from) * 1000
        if not self.is_streaming and elapsed_ms >= self.speech.duration_ms:
            return None
        return self.speech.text_between(0, min(self.sent_ms, elapsed_ms + CHUNK_MS))

    def next_chunk(self, timings: dict[str, float] | None = None) -> server.AudioChunk | None:
        """The next 20 ms; None after the last."""
        chunk_bytes = 2 * (self.speech.sample_rate * CHUNK_MS // 1000)
        start = self.sent_ms // CHUNK_MS * chunk_bytes
        audio = self.speech.pcm[start : start + chunk_bytes]
        if not audio:
            return None
        audio = audio.ljust(chunk_bytes, b"\0")
        text = self.speech.text_between(self.sent_ms, self.sent_ms + CHUNK_MS)
        self.sent_ms += CHUNK_MS
        return server.AudioChunk(self.encode(audio) if self.encode else audio, text, timings)


@dataclass(frozen=True)
class CutOff:
    """What was stopped before its end."""

    heard: str | None
    """The part that the caller has heard; None if that is all, or nothing was being said."""
    unsaid: str
    """The part that was not sent."""
    is_unfinished: bool
    """Whether the client has been told that a turn has begun, and not that it has ended."""
    in_flight: tuple[server.AudioChunk, ...]
    """The chunks that would have come next, 100 ms of them."""


_NOTHING = CutOff(None, "", False, ())


class Speaker:
    """Says lines over ``channel``, one after the other, and tells ``floor`` while it does.

    ``settings`` and ``tasks`` must be set before anything else is used.
    """

    settings: Settings
    tasks: TaskGroup
    """The task group of the present connection."""

    def __init__(self, channel: Channel, floor: Floor) -> None:
        self.played_until = 0.0
        """When the caller has heard all that was sent, if nobody interrupts it (s)."""
        self._channel = channel
        self._floor = floor
        self._voice = anyio.Lock()
        self._line: _Line | None = None
        self._running: dict[anyio.CancelScope, Who] = {}

    @property
    def is_speaking(self) -> bool:
        """Whether a turn of the assistant is being sent."""
        line = self._line
        return line is not None and line.is_streaming and line.announced

    @property
    def is_uninterruptible(self) -> bool:
        """Whether a line is being sent that the caller cannot interrupt."""
        line = self._line
        return line is not None and line.is_streaming and not line.interruptible

    def begin(self, task: Callable[[], Awaitable[None]], who: Who = Who.ASSISTANT) -> None:
        """Run ``task`` until it is over or stopped."""
        # The scope exists before the task runs, so that a stop reaches it from the start.
        scope = anyio.CancelScope()
        self._running[scope] = who
        self._floor.take(who)
        self.tasks.start_soon(self._run, scope, task)

    async def speak(
        self,
        text: str,
        *,
        interruptible: bool = True,
        announced: bool = True,
        since: float | None = None,
    ) -> None:
        """Say ``text`` after the lines that already wait; return when it is said or was stopped.

        The timings of its first chunk count from ``since`` (seconds), by default from now.
        """
        asked = anyio.current_time()
        wire_format = self.settings.output_format
        line = _Line(
            speak(text, wire_format.sample_rate, pitch_hz=ASSISTANT_PITCH_HZ),
            wire_format.encode,
            self.settings.ahead,
            interruptible,
            announced,
        )
        async with self._voice:
            # A stop that comes while the voice is being taken must not leave this line behind.
            await checkpoint_if_cancelled()
            self._line = line
            with line.scope:
                await self._stream(line, asked, since or asked)

    async def fill_pauses(self, background: Iterable[bytes]) -> None:
        """Send ``background``, which comes in chunks of 20 ms, whenever no line is heard."""
        due = 0.0
        for chunk in background:
            due = max(due + CHUNK_MS / 1000, anyio.current_time())
            await anyio.sleep_until(due)
            async with self._voice:
                if due >= self.played_until:
                    await self._channel.send(server.AudioChunk(chunk))

    async def cut_short(self) -> None:
        """End the present line early, and say that it has ended."""
        if self._stop_line().is_unfinished:
            await self._channel.send(server.AssistantFinishedSpeaking())

    def stop(self) -> CutOff:
        """Stop all tasks and the present line at once, and send nothing about it.

        A line that was sent ahead of real time can be cut off until its audio would have been
        played.
        """
        for scope in self._running:
            scope.cancel()
        self._running.clear()
        heard = self._stop_line()
        self._floor.leave(Who.ASSISTANT)
        self._floor.leave(Who.POKE)
        return heard

    def _stop_line(self) -> CutOff:
        line, self._line = self._line, None
        if line is None:
            return _NOTHING
        line.scope.cancel()
        now = anyio.current_time()
        self.played_until = min(self.played_until, now)
        is_unfinished = line.is_streaming and line.announced and line.began is not None
        heard = line.heard(now)
        unsaid = line.speech.text_between(line.sent_ms, math.inf) if line.announced else ""
        in_flight = [chunk for _ in range(5) if is_unfinished and (chunk := line.next_chunk())]
        return CutOff(heard, unsaid, is_unfinished, tuple(in_flight))

    async def _run(self, scope: anyio.CancelScope, task: Callable[[], Awaitable[None]]) -> None:
        with scope:
            await task()
        who = self._running.pop(scope, None)
        if who is not None and who not in self._running.values():
            self._floor.leave(who, self.played_until)

    async def _stream(self, line: _Line, asked: float, since: float) -> None:
        # A cancelled scope interrupts only at the next wait, so each message asks first whether
        # it may still be sent.
        speech = line.speech
        began = line.began = anyio.current_time()
        line.plays_from = max(began, self.played_until)
        self.played_until = line.plays_from + speech.duration_ms / 1000
        if line.announced:
            await self._channel.send(server.AssistantStartedSpeaking())
        timings = _timings(began, asked, since) if line.announced else None
        while line.sent_ms < speech.duration_ms:
            if line.ahead:
                await checkpoint()  # lets the caller be heard between two chunks
            else:
                await anyio.sleep_until(began + line.sent_ms / 1000)
            await checkpoint_if_cancelled()
            if chunk := line.next_chunk(timings):
                await self._channel.send(chunk)
            timings = None
        if not line.ahead:
            await anyio.sleep_until(began + speech.duration_ms / 1000)
        await checkpoint_if_cancelled()
        line.is_streaming = False
        if line.announced:
            await self._channel.send(server.AssistantFinishedSpeaking())


def _timings(began: float, asked: float, since: float) -> dict[str, float]:
    """How long the line took to think of, how long it waited for its turn, and the sum (ms)."""
    times = {"response_ms": asked - since, "queue_ms": began - asked, "total_ms": began - since}
    return {name: round(seconds * 1000, 3) for name, seconds in times.items()}
