"""What a recovery needs to know and the machine does not remember: what was played, and when.

The machine reads no clock. So this class follows its steps, each with its time, while a journal is
written, and again while it is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from .._core import effects, events
from .._core.history import History
from .._core.machine import Step
from .._wire.config import DEFAULT_FORMAT, SAMPLING, ConfigOptions

NEARLY_ALL = 0.25
"""An answer of which less than this is left (s) has been heard."""


LAST_WORDS = 2.0
"""An ``AgentSession`` that is closed cuts off what is said, and closes its session next. If the
call goes on, what was cut off so shortly (s) before was meant to be heard."""


class _Answer(Struct):
    response_id: str
    came: float
    """When its first audio came (s)."""
    began: float | None = None
    """When it began to be played (s), as LiveKit has said."""
    seconds: float = 0.0
    words: list[events.Words] = field(default_factory=list)


class Account:
    """Follows one session. Times are in s, by the journal's clock."""

    def __init__(self, config: ConfigOptions) -> None:
        rate, sample_bytes = SAMPLING[config.output_format or DEFAULT_FORMAT]
        self._bytes_per_second = rate * sample_bytes
        self.state: Any = None
        """What the application has remembered."""
        self.times: dict[str, float] = {}
        """When each item of the history was added, by its id."""
        self.lost_at: float | None = None
        """When the connection to Phonic was lost, until it has come back."""
        self._answers: deque[_Answer] = deque()
        """Those that have not been played to their ends, in order; the last one may be open."""
        self._cut: events.LastCut | None = None
        self._playback: events.PlaybackNews = "unknown"
        self._on: Mapping[type[Any], Callable[[float, Any], None]] = {
            effects.OpenGeneration: self._open,
            effects.PrepareGeneration: self._open,
            effects.PushText: self._text,
            effects.PushAudio: self._audio,
            effects.EmitSpeechStarted: self._stop,
            effects.AddItem: self._add,
            events.Interrupt: self._interrupt,
            events.TakeOver: self._take_over,
            events.UpdateChatContext: self._add_all,
            events.UpdateSession: self._bring,
            events.PlaybackStarted: self._begin,
            events.PlaybackFinished: self._finish,
            events.AgentState: self._observe,
            events.RememberState: self._remember,
            events.ConnectionClosed: self._lose,
            effects.SetAudioGate: self._regain,
            events.Checkpoint: self._take,
        }

    def follow(self, t: float, step: Step) -> None:
        """Take a step."""
        on = self._on
        do = on.get(type(step.event))
        if do is not None:
            do(t, step.event)
        for effect in step.effects:
            do = on.get(type(effect))
            if do is not None:
                do(t, effect)

    def checkpoint(self, history: History) -> events.Checkpoint:
        """All of it, with the times of the items that are in the history."""
        times = {item.id: self.times[item.id] for item in history if item.id in self.times}
        playing = tuple(
            events.Playing(one.response_id, one.began, one.seconds, tuple(one.words), one.came)
            for one in self._answers
        )
        return events.Checkpoint(
            times=times,
            playing=playing,
            state=self.state,
            playback=self._playback,
            cut=self._cut,
            lost_at=self.lost_at,
        )

    def unheard(self, t: float) -> tuple[events.Unheard, ...]:
        """The answers that the caller had not heard to their ends at this time."""
        found = []
        free = 0.0
        is_told = self._playback in ("told", "awaited")
        for answer in self._answers:
            began = answer.began
            if began is None and not is_told:
                # Nobody says when it is played: one answer after the other, each at once.
                began = max(answer.came, free)
            played = 0.0 if began is None else min(max(t - began, 0.0), answer.seconds)
            free = (began or t) + answer.seconds
            if answer.seconds - played > NEARLY_ALL:
                text = "".join(part.text for part in answer.words if part.end <= played)
                found.append(events.Unheard(answer.response_id, text, round(played, 3)))
        cut = self._cut
        return tuple(found) or (cut.unheard if cut and t - cut.t < LAST_WORDS else ())

    def _open(self, t: float, effect: effects.OpenGeneration | effects.PrepareGeneration) -> None:
        self._cut = None
        if self._answers and not self._answers[-1].seconds:
            self._answers.pop()
        self._answers.append(_Answer(effect.response_id, t))

    def _text(self, _: float, effect: effects.PushText) -> None:
        if self._answers:
            self._answers[-1].words.append(events.Words(effect.text, effect.end))

    def _audio(self, t: float, effect: effects.PushAudio) -> None:
        if self._answers:
            answer = self._answers[-1]
            if not answer.seconds:
                answer.came = t
            answer.seconds += len(effect.audio) / self._bytes_per_second

    def _stop(self, *_: object) -> None:
        """LiveKit plays nothing of what was said so far any more."""
        self._answers.clear()
        self._cut = None

    def _take_over(self, t: float, event: events.TakeOver) -> None:
        self._stop()
        self.lost_at = t - event.lost_for

    def _interrupt(self, t: float, _: events.Interrupt) -> None:
        cut = self.unheard(t)
        self._answers.clear()
        self._cut = events.LastCut(t, cut)

    def _begin(self, t: float, _: events.PlaybackStarted) -> None:
        self._playback = "told"
        waiting = (answer for answer in self._answers if answer.began is None)
        answer = next(waiting, None)
        if answer is not None:
            answer.began = t

    def _finish(self, *_: object) -> None:
        if self._answers and self._answers[0].began is not None:
            self._answers.popleft()

    def _observe(self, _: float, event: events.AgentState) -> None:
        if self._playback in ("unknown", "awaited"):
            self._playback = "missing" if event.state == "speaking" else "awaited"

    def _add(self, t: float, effect: effects.AddItem) -> None:
        self.times[effect.item.id] = t

    def _add_all(self, t: float, event: events.UpdateChatContext) -> None:
        for addition in event.added:
            self.times[addition.item.id] = t

    def _bring(self, t: float, event: events.UpdateSession) -> None:
        for item in event.items or ():
            self.times.setdefault(item.id, t)

    def _remember(self, _: float, event: events.RememberState) -> None:
        self.state = event.value

    def _lose(self, t: float, _: events.ConnectionClosed) -> None:
        if self.lost_at is None:
            self.lost_at = t

    def _regain(self, _: float, effect: effects.SetAudioGate) -> None:
        # Only an open conversation has the gate so, whichever message has shown that it is open.
        if effect.gate in ("open", "muted"):
            self.lost_at = None

    def _take(self, _: float, event: events.Checkpoint) -> None:
        """Go on from a checkpoint; if it is one's own, nothing changes."""
        self.state, self.times = event.state, dict(event.times)
        self._playback, self._cut, self.lost_at = event.playback, event.cut, event.lost_at
        self._answers = deque(
            _Answer(one.response_id, one.came, one.began, one.seconds, list(one.words))
            for one in event.playing
        )
