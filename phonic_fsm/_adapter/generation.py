"""The streams of one generation: a message with text and audio, and tool calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Literal

from livekit import rtc
from livekit.agents import llm
from livekit.agents.utils import aio

from .._audio.formats import WireFormat
from .._core.effects import PushFunctionCall
from .subscription import until_subscribed


class AudioStream(aio.Chan[rtc.AudioFrame]):
    """An answer's audio. LiveKit gets the first frame once the caller can hear the agent."""

    def __init__(self, response_id: str) -> None:
        super().__init__()
        self.response_id = response_id
        self.frames = 0
        """How many were pushed."""
        self.seconds = 0.0
        """How much audio was pushed."""
        self.came_at = 0.0
        """When the first of it was pushed (s, by the event loop's clock)."""
        self.ends_at = 0.0
        """When the audio so far has been played to its end (s, by the event loop's clock).

        LiveKit reads the first frame when it begins to play. 0 before that.
        """
        self.on_taken: Callable[[AudioStream], None] | None = None
        """Is called when LiveKit reads the first frame."""
        self._clock = asyncio.get_running_loop().time

    def push(self, frame: rtc.AudioFrame, seconds: float) -> None:
        now = self._clock()
        if not self.seconds:
            self.came_at = now
        self.frames += 1
        self.seconds += seconds
        if self.ends_at:
            # LiveKit waits for what comes later than it is needed.
            self.ends_at = max(self.ends_at, now) + seconds
        self.send_nowait(frame)

    async def __anext__(self) -> rtc.AudioFrame:
        try:
            frame = await self.recv()
        except aio.ChanClosed:
            raise StopAsyncIteration from None
        if not self.ends_at:
            await self._begin()
        return frame

    async def _begin(self) -> None:
        await until_subscribed()
        self.ends_at = self._clock() + self.seconds
        if self.on_taken is not None:
            self.on_taken(self)


class _TextStream(aio.Chan[str]):
    """An answer's words. LiveKit takes them when it begins to play the answer."""

    is_taken = False

    def __aiter__(self) -> AsyncIterator[str]:
        self.is_taken = True
        return super().__aiter__()


class _CallStream(aio.Chan[llm.FunctionCall]):
    """An answer's tool calls. LiveKit begins to read them at once, if it takes the answer, and
    calls ``aclose`` when it is done with it."""

    def __init__(self, on_left: Callable[[], None]) -> None:
        super().__init__()
        self.is_taken = False
        self._on_left = on_left

    def __aiter__(self) -> AsyncIterator[llm.FunctionCall]:
        self.is_taken = True
        return super().__aiter__()

    async def aclose(self) -> None:
        self._on_left()


class GenerationStreams:
    """The streams that LiveKit reads. ``announcement`` is the event that hands them to it."""

    def __init__(
        self,
        response_id: str,
        wire_format: WireFormat,
        on_dropped: Callable[[tuple[str, ...]], None],
        before: GenerationStreams | None = None,
    ) -> None:
        """Open the streams. LiveKit plays the message of the generation ``before`` first.

        ``on_dropped`` is called with the ids of its tool calls if LiveKit drops the answer before
        it begins to play it: no tool of it runs then.
        """
        self.response_id = response_id
        self._on_dropped = on_dropped
        self._calls: list[str] = []
        self._texts = 0
        self.is_announced = False
        self._sample_rate = wire_format.sample_rate
        self._decode = wire_format.decode
        self._messages = aio.Chan[llm.MessageGeneration]()
        self._functions = _CallStream(self._leave)
        self._text = _TextStream()
        self.audio = AudioStream(response_id)
        modalities: asyncio.Future[list[Literal["text", "audio"]]] = (
            asyncio.get_running_loop().create_future()
        )
        modalities.set_result(["audio", "text"])
        self._message = llm.MessageGeneration(
            message_id=response_id,
            text_stream=self._text,
            audio_stream=self.audio,
            modalities=modalities,
        )
        if before is not None:
            self._messages.send_nowait(before._message)
        self._messages.send_nowait(self._message)
        self.announcement = llm.GenerationCreatedEvent(
            message_stream=self._messages,
            function_stream=self._functions,
            user_initiated=False,
            response_id=response_id,
        )

    @property
    def has_text(self) -> bool:
        return self._texts > 0

    @property
    def is_queued(self) -> bool:
        """Whether LiveKit has taken it, and has read nothing of what was said in it."""
        unread = (self._text.qsize(), self.audio.qsize()) == (self._texts, self.audio.frames)
        return self.has_text and self._messages.empty() and unread

    def push_text(self, text: str) -> None:
        self._texts += 1
        self._text.send_nowait(text)

    def push_audio(self, audio: bytes) -> None:
        """Push audio in the wire format. Half a sample at its end is left out."""
        pcm = audio if self._decode is None else self._decode(audio)
        samples = len(pcm) // 2
        if len(pcm) % 2:
            pcm = pcm[:-1]
        if samples:
            self.audio.push(
                rtc.AudioFrame(pcm, self._sample_rate, num_channels=1, samples_per_channel=samples),
                samples / self._sample_rate,
            )

    def push_function_call(self, call: PushFunctionCall, arguments: str) -> None:
        """Push a call with these arguments (JSON), which are the call's as its function expects."""
        self._calls.append(call.call_id)
        self._functions.send_nowait(
            llm.FunctionCall(id=call.id, call_id=call.call_id, name=call.name, arguments=arguments)
        )

    @property
    def is_taken(self) -> bool:
        """Whether LiveKit has taken the answer."""
        return self._functions.is_taken

    def drop(self) -> None:
        """Say that LiveKit will not take the answer, so that no tool of it runs."""
        self._on_dropped(tuple(self._calls))

    def _leave(self) -> None:
        if self._calls and not self._text.is_taken:
            self._on_dropped(tuple(self._calls))

    def close(self) -> None:
        """End the streams. What was pushed before can still be read."""
        for channel in (self._text, self.audio, self._functions, self._messages):
            channel.close()
