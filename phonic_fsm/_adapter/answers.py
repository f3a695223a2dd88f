"""Hands the assistant's answers to LiveKit, and follows whether and how long it plays them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import llm
from livekit.agents.types import TimedString

from .._audio.formats import WireFormat
from .._core import effects, events
from .generation import GenerationStreams
from .listener import Listener
from .metrics import SessionTimes
from .playback import Playback


class Answers:
    """The answers of one session, each in a generation's streams. The machine opens, fills and
    closes them, by effects."""

    def __init__(
        self,
        wire_format: WireFormat,
        times: SessionTimes,
        *,
        dispatch: Callable[[events.Event], None],
        dispatch_unattended: Callable[[events.Event], None],
        emit: Callable[..., None],
        tell_item: Callable[[llm.ChatItem], None],
        arguments_for: Callable[[str, str], str],
    ) -> None:
        """``tell_item`` tells LiveKit of a chat item, and ``arguments_for`` returns the arguments
        of a tool call (JSON), of a tool with this name, as its function expects them."""
        self._wire_format = wire_format
        self._times = times
        self._dispatch = dispatch
        self._dispatch_unattended = dispatch_unattended
        self._emit = emit
        self._tell_item = tell_item
        self._arguments_for = arguments_for
        self._generation: GenerationStreams | None = None
        """The open one."""
        self._newest: GenerationStreams
        """The newest one, open or not; it is set together with the open one."""
        self._unplayed: GenerationStreams | None = None
        """The one before, until LiveKit cannot have it to play any more."""
        self._calling: list[GenerationStreams] = []
        """Those with tool calls that LiveKit may not have taken."""
        self.listener = Listener(dispatch)
        self.playback = Playback()

    @property
    def newest(self) -> llm.GenerationCreatedEvent:
        """What announced the newest generation."""
        return self._newest.announcement

    def forget(self) -> None:
        """LiveKit plays nothing of what was said so far any more."""
        self._unplayed = None
        self.listener.forget()
        self.playback.stop()

    def drop_untaken(self) -> None:
        """Another agent takes over: LiveKit takes none of the answers that it has not taken.

        It passes over what comes while the former agent leaves.
        """
        calling, self._calling = self._calling, []
        for generation in calling:
            if generation.is_announced and not generation.is_taken:
                generation.drop()

    def performers(self) -> dict[type[Any], Callable[[Any], None]]:
        """The methods that carry out effects."""
        return {
            effects.OpenGeneration: self._open_generation,
            effects.PrepareGeneration: self._prepare_generation,
            effects.AnnounceGeneration: self._announce_generation,
            effects.PushText: self._push_text,
            effects.PushAudio: self._push_audio,
            effects.PushFunctionCall: self._push_function_call,
            effects.CloseGeneration: self._close_generation,
            effects.AskPlayback: self._ask_playback,
        }

    def _open_generation(self, effect: effects.OpenGeneration) -> None:
        self._prepare_generation(effect)
        self._announce_generation(effect)

    def _prepare_generation(
        self, effect: effects.OpenGeneration | effects.PrepareGeneration
    ) -> None:
        self._times.opened()
        before, self._unplayed = self._unplayed, None
        is_reply = isinstance(effect, effects.OpenGeneration) and effect.user_initiated
        # LiveKit plays one answer at a time, and keeps the line for a reply from the moment it
        # is asked for. What was said meanwhile, such as a welcome, would be played behind it.
        overtakes = is_reply and before is not None and before.is_queued
        self._generation = self._newest = GenerationStreams(
            effect.response_id,
            self._wire_format,
            lambda calls: self._dispatch_unattended(events.CallsDropped(calls)),
            before if overtakes else None,
        )

    def _announce_generation(
        self, effect: effects.OpenGeneration | effects.AnnounceGeneration
    ) -> None:
        generation = self._newest
        generation.is_announced = True
        generation.announcement.user_initiated = effect.user_initiated
        self._emit("generation_created", generation.announcement)
        if generation.has_text:
            self._tell_placeholder(generation)
        if generation.audio.seconds:
            self._expect_playback(generation)

    def _push_text(self, effect: effects.PushText) -> None:
        generation = self._open
        if generation.is_announced and not generation.has_text:
            self._tell_placeholder(generation)
        generation.push_text(TimedString(effect.text, start_time=effect.start, end_time=effect.end))

    def _tell_placeholder(self, generation: GenerationStreams) -> None:
        """Tell LiveKit of the message. It writes into it itself what the caller has heard."""
        self._tell_item(llm.ChatMessage(id=generation.response_id, role="assistant", content=[]))

    def _push_audio(self, effect: effects.PushAudio) -> None:
        generation = self._open
        first = not generation.audio.seconds
        generation.push_audio(effect.audio)
        if first:
            self._times.audio()
            if generation.is_announced:
                self._expect_playback(generation)

    def _expect_playback(self, generation: GenerationStreams) -> None:
        self.listener.expect(generation.audio)
        self.playback.expect(generation.audio)

    def _push_function_call(self, effect: effects.PushFunctionCall) -> None:
        generation = self._open
        generation.push_function_call(effect, self._arguments_for(effect.name, effect.arguments))
        self._calling = [each for each in self._calling if not each.is_taken]
        if generation not in self._calling:
            self._calling.append(generation)

    def _close_generation(self, effect: effects.CloseGeneration) -> None:
        self._open.close()
        self._unplayed = None if effect.interrupted else self._generation
        self._generation = None
        if effect.interrupted:
            self.listener.forget()
        metrics = self._times.closed(effect.response_id, interrupted=effect.interrupted)
        if metrics is not None:
            self._emit("metrics_collected", metrics)

    def _ask_playback(self, _: effects.AskPlayback) -> None:
        self._dispatch(events.PlaybackLeft(round(self.playback.left, 3)))

    @property
    def _open(self) -> GenerationStreams:
        # The machine pushes nothing unless it has opened a generation.
        assert self._generation is not None
        return self._generation
