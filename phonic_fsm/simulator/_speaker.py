"""The assistant's voice: one line at a time, as audio chunks, paced or ahead of real time.

It knows how much of a line has been heard, and stops at once when told to. Why a line is said,
and what is sent after an interruption, is ``conversation``'s business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from phonic_fsm._wire import server

from ._voice import Speech

CHUNK_MS = 20


@dataclass(eq=False)
class _Utterance:
    """A line while it is said."""

    speech: Speech
    encode: Callable[[bytes], bytes] | None
    """From PCM16 LE to what is sent; None if that is sent."""
    ahead: bool
    interruptible: bool
    announced: bool
    """Whether it is a turn of its own, with a start and an end, rather than backchannel."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    began: float | None = None
    """When its first message was sent (seconds); None until then."""
    plays_from: float = 0.0
    """When its audio begins to be heard: later, if that of the line before still plays."""
    sent_ms: int = 0
    streaming: bool = True

    def heard(self, now: float) -> str | None:
        """The part that the caller has heard; None if there is none or all of it was heard."""
        if self.began is None or not self.announced:
            return None
        elapsed_ms = (now - self.plays_from) * 1000
        if not self.streaming and elapsed_ms >= self.speech.duration_ms:
            return None
        return self.speech.text_between(0, min(self.sent_ms, elapsed_ms + CHUNK_MS))


class Speaker:
    """Says lines through ``send``, one after the other."""

    def __init__(self, send: Callable[[server.ServerMessage], Awaitable[None]]) -> None:
        self._send = send
        self._voice = anyio.Lock()
        self._utterance: _Utterance | None = None
        self.played_until = 0.0
        """When all that was sent is played, or was (seconds), if nobody interrupts."""

    @property
    def uninterruptible(self) -> bool:
        """Whether a line is being said that the caller cannot interrupt."""
        now = self._utterance
        return now is not None and now.streaming and not now.interruptible

    async def speak(
        self,
        speech: Speech,
        *,
        encode: Callable[[bytes], bytes] | None,
        ahead: bool,
        interruptible: bool = True,
        announced: bool = True,
        since: float | None = None,
    ) -> None:
        """Say one line, after those that wait already; returns when it is over or was stopped.

        The timings of its first chunk count from ``since`` (seconds), else from now.
        """
        asked = anyio.current_time()
        async with self._voice:
            utterance = _Utterance(speech, encode, ahead, interruptible, announced)
            self._utterance = utterance
            with utterance.scope:
                await self._stream(utterance, asked, since or asked)

    async def fill_pauses(self, background: Iterable[bytes]) -> None:
        """Send ``background``, in chunks of 20 ms as they are, wherever no line is heard."""
        due = 0.0
        for chunk in background:
            due = max(due + CHUNK_MS / 1000, anyio.current_time())
            await anyio.sleep_until(due)
            async with self._voice:
                if due >= self.played_until:
                    await self._send(server.AudioChunk(chunk))

    async def cut(self) -> None:
        """End the line that is being said early, but orderly."""
        utterance = self._utterance
        self.stop()
        if (
            utterance
            and utterance.streaming
            and utterance.announced
            and utterance.began is not None
        ):
            await self._send(server.AssistantFinishedSpeaking())

    def stop(self) -> str | None:
        """Stop at once: the part that was heard of a line that now stays unfinished, or None.

        A line sent ahead of real time is unfinished until its audio would have been played.
        """
        utterance, self._utterance = self._utterance, None
        if utterance is None:
            return None
        utterance.scope.cancel()
        now = anyio.current_time()
        self.played_until = min(self.played_until, now)
        return utterance.heard(now)

    async def _stream(self, utterance: _Utterance, asked: float, since: float) -> None:
        # A cancelled scope interrupts only at the next wait, so each message asks first whether
        # it may still be sent.
        speech = utterance.speech
        await checkpoint_if_cancelled()
        began = utterance.began = anyio.current_time()
        utterance.plays_from = max(began, self.played_until)
        self.played_until = utterance.plays_from + speech.duration_ms / 1000
        if utterance.announced:
            await self._send(server.AssistantStartedSpeaking())
        chunk_bytes = 2 * (speech.sample_rate * CHUNK_MS // 1000)
        timings = _timings(began, asked, since) if utterance.announced else None
        for start in range(0, len(speech.pcm), chunk_bytes):
            if utterance.ahead:
                await checkpoint()  # lets the caller be heard between two chunks
            else:
                await anyio.sleep_until(began + utterance.sent_ms / 1000)
            await checkpoint_if_cancelled()
            audio = speech.pcm[start : start + chunk_bytes].ljust(chunk_bytes, b"\0")
            if utterance.encode is not None:
                audio = utterance.encode(audio)
            text = speech.text_between(utterance.sent_ms, utterance.sent_ms + CHUNK_MS)
            utterance.sent_ms += CHUNK_MS
            await self._send(server.AudioChunk(audio, text, timings))
            timings = None
        if not utterance.ahead:
            await anyio.sleep_until(began + speech.duration_ms / 1000)
        await checkpoint_if_cancelled()
        utterance.streaming = False
        if utterance.announced:
            await self._send(server.AssistantFinishedSpeaking())


def _timings(began: float, asked: float, since: float) -> dict[str, float]:
    """How long the line took to be thought of, to wait for its turn, and both (ms)."""
    times = {"response_ms": asked - since, "queue_ms": began - asked, "total_ms": began - since}
    return {name: round(seconds * 1000, 3) for name, seconds in times.items()}
