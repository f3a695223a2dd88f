"""All lanes of a call, made of its steps."""

from __future__ import annotations

from typing import get_args

from msgspec import Struct, field, structs

from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import name_of
from phonic_fsm._core.guards import asks_for_a_welcome, leaves_the_welcome_to_phonic
from phonic_fsm._core.states import State
from phonic_fsm._wire.config import DEFAULT_FORMAT, SAMPLING
from phonic_fsm.trace._format import End as LastLine
from phonic_fsm.trace._format import EndReason, Line, PassedAudio
from phonic_fsm.trace._runs import AudioRun

from ..changes import Change, ChangesBuilder
from ..end import End, EndBuilder
from .answers import AnswerLane, Dropped
from .caller import CallerAudio, CallerLane, CallerSpeech
from .connection import ConnectionLane, Link
from .hearing import AssistantSpeech, Heard
from .observed import ObservedLane, Playback
from .process import ProcessLane, RoundTrip
from .requests import RequestLane
from .span import Span, StateSpan, ended, enter, until
from .tools import ToolCall, ToolLane
from .trouble import Trouble, TroubleLane

_TAKE_OVER, _CALLER_AUDIO = name_of(events.TakeOver), name_of(events.CallerAudio)
_OBSERVATIONS = frozenset(map(name_of, get_args(events.Observation)))


class Lanes(Struct, kw_only=True):
    seconds: float = 0.0
    states: list[StateSpan] = field(default_factory=list)
    caller: list[CallerSpeech] = field(default_factory=list)
    caller_audio: list[CallerAudio] = field(default_factory=list)
    """Without a gap, from the first second that was told of; empty where a trace tells of none."""
    sounds: list[Span] = field(default_factory=list)
    """Where the caller's audio was as loud as what Phonic understood, whether it noticed it or not;
    their steps are not told."""
    pressed: list[Span] = field(default_factory=list)
    """With push-to-talk, while the caller was heard, who was muted otherwise."""
    uncommitted: Span | None = None
    """With push-to-talk, a turn of the caller's that was not committed by the end of the trace."""
    typed: bool = False
    """Whether the caller, or the agent in the caller's name, has written instead of spoken."""
    assistant: list[AssistantSpeech] = field(default_factory=list)
    tools: list[ToolCall] = field(default_factory=list)
    connection: list[Link] = field(default_factory=list)
    playback: list[Playback] = field(default_factory=list)
    """Empty if nobody observed it; ``assistant`` is calculated."""
    moves: list[Span] = field(default_factory=list)
    """From when a process handed the call over until another one had it."""
    takeovers: list[Span] = field(default_factory=list)
    """When nobody had the call: from the last sign of one process until another took it over."""
    trips: list[RoundTrip] = field(default_factory=list)
    held_up: list[Span] = field(default_factory=list)
    """When something held the event loop up."""
    troubles: list[Trouble] = field(default_factory=list)
    failed_replies: list[Trouble] = field(default_factory=list)
    empty_answers: list[Span] = field(default_factory=list)
    """Turns of the assistant that ended without a sound, a word or a call."""
    stalled_answers: list[Span] = field(default_factory=list)
    """Answers of which neither more came nor the end, from what came last of them."""
    announced: list[Span] = field(default_factory=list)
    """From the beginning of an answer, as Phonic told it, until its first audio or its end."""
    open_answers: list[Span] = field(default_factory=list)
    """Answers from their first audio, as it came, until nothing more of them was awaited."""
    untaken: list[Trouble] = field(default_factory=list)
    """Audio of the assistant that LiveKit did not read, and why."""
    requests: list[Span] = field(default_factory=list)
    """Replies that the agent asked for, until they began or were given up."""
    handoffs: list[Span] = field(default_factory=list)
    """When another agent took over."""
    excused: list[float] = field(default_factory=list)
    """When no answer was due any more: the assistant chose not to respond, or dialled digits, or
    the caller's turn was withdrawn."""
    withdrawn: list[Span] = field(default_factory=list)
    """The caller's turns that Phonic took back: there had been no speech in them."""
    redacted: bool = False
    """Whether what was said, and what tools were called with, is hidden behind placeholders."""
    welcome: bool = False
    """Whether the assistant was to speak first."""
    may_welcome: bool = False
    """Whether it may speak first: it was to, or an agent of Phonic's or a configuration endpoint
    may have asked for that."""
    goodbye: float | None = None
    """When the assistant ended the conversation of its own accord."""
    discarded: list[Dropped] = field(default_factory=list)
    """Audio of the assistant that arrived after its turn had been cut off here."""
    cut_by_reset: set[str] = field(default_factory=set)
    """The assistant's messages that changed settings have cut off."""
    lost_audio_is_measured: bool = False
    """Whether the caller's audio that outages lost was measured, and not calculated."""
    changes: list[Change] = field(default_factory=list)
    agent: list[StateSpan] = field(default_factory=list)
    """What LiveKit takes the agent to be doing, where it was observed."""
    end: End | None = None
    """``None`` if the trace ends before the session is closed."""
    cut: EndReason | None = None
    """Why the trace ends before the session does, if it says so."""
    observed: bool = False
    """Whether an ``AgentSession`` was observed: without, nothing is known of playback, of when
    tools ran, and of LiveKit's reason for the end."""

    @property
    def closed(self) -> StateSpan | None:
        """Since when the session is closed."""
        return next((at for at in self.states if at.state == State.closed.value), None)

    @property
    def over(self) -> float:
        """When the session was closed, or the trace ends."""
        return self.seconds if self.closed is None else self.closed.start


class LaneBuilder:
    """Takes the steps and gives the lanes."""

    def __init__(self, settings: Settings, *, redacted: bool = False) -> None:
        rate, sample_bytes = SAMPLING[settings.config.output_format or DEFAULT_FORMAT]
        self._redacted = redacted
        self._welcome = asks_for_a_welcome(settings.config)
        self._may_welcome = self._welcome or leaves_the_welcome_to_phonic(settings.config)
        self.steps = 0
        """The number of the last step that was taken."""
        self._seconds = 0.0
        self._states: list[StateSpan] = []
        self._answers = AnswerLane(rate * sample_bytes)
        self._connection = ConnectionLane()
        self._caller = CallerLane()
        self._observed = ObservedLane()
        self._tools = ToolLane()
        self._requests = RequestLane()
        self._process = ProcessLane()
        self._trouble = TroubleLane()
        self._end = EndBuilder()
        self._changes = ChangesBuilder(settings)

    def take_audio(self, passed: PassedAudio) -> None:
        """Take a step in its condensed form."""
        self.steps = passed.seq
        self._seconds = max(self._seconds, passed.t)
        self._answers.take_audio(passed)

    def take_run(self, run: AudioRun) -> None:
        """Take many steps at once."""
        self.steps = run.last
        self._seconds = max(self._seconds, run.until)
        self._answers.take_run(run)

    def take(self, line: Line) -> None:
        kind = line.event["type"]
        if kind == _TAKE_OVER:
            self._take_over(line)
        self.steps = line.seq
        self._seconds = max(self._seconds, line.t)
        # Most of a call's steps are of these kinds, and matter to no other lane.
        if kind == _CALLER_AUDIO:
            self._caller.take_audio(line)
            self._connection.take_audio(line)
            return
        if kind == "audio_chunk" and line.source == line.target:
            self._answers.take(line)
            return
        enter(self._states, line, line.target)
        self._observed.take(line)
        self._tools.take(line)
        self._process.take(line)
        self._end.take(line)
        self._changes.take(line)
        if kind in _OBSERVATIONS and line.source == line.target and not line.effects:
            return
        self._answers.take(line)
        self._connection.take(line)
        self._caller.take(line)
        self._requests.take(line)
        self._trouble.take(line)

    @property
    def seconds(self) -> float:
        """How far the call has come."""
        return self._seconds

    @property
    def heard(self) -> list[Heard]:
        """The audio beside the trace that was heard, in order; the last of it may be to come."""
        return self._answers.hearing.heard

    def lanes(self, last_line: LastLine | None = None) -> Lanes:
        """The lanes up to the last step. What is still going on then ends with it.

        More steps may be taken afterwards, and the lanes be asked for again. ``last_line`` is that
        of a trace that ends before its session does.
        """
        now = self._seconds
        answers, caller, observed = self._answers, self._caller, self._observed
        return Lanes(
            seconds=now,
            states=ended(self._states, now),
            caller=caller.turns(now),
            sounds=caller.sounds(now),
            pressed=ended(caller.pressed, now),
            uncommitted=caller.uncommitted(now),
            caller_audio=ended(caller.audio, now),
            typed=caller.typed,
            assistant=[self._up_to(speech, now) for speech in answers.hearing.speeches],
            tools=[until(call, now) for call in self._tools.calls],
            connection=self._connection.links(now),
            playback=ended(observed.playback, now),
            moves=self._connection.moves,
            takeovers=self._connection.takeovers,
            trips=self._process.trips,
            held_up=self._process.held_up,
            troubles=self._trouble.troubles,
            failed_replies=self._requests.failed,
            empty_answers=answers.empty,
            stalled_answers=answers.stalled,
            announced=ended(answers.announced, now),
            open_answers=ended(answers.open, now),
            untaken=answers.untaken,
            requests=[until(request, now) for request in self._requests.requests],
            handoffs=self._tools.handoffs,
            excused=caller.excused,
            withdrawn=caller.withdrawn,
            redacted=self._redacted,
            welcome=self._welcome,
            may_welcome=self._may_welcome,
            goodbye=answers.goodbye,
            discarded=answers.discarded,
            cut_by_reset=answers.cut_by_reset,
            lost_audio_is_measured=self._connection.lost_audio_is_measured,
            changes=self._changes.changes,
            agent=ended(observed.agent, now),
            end=self._end.end,
            cut=last_line.end if last_line is not None else None,
            observed=self._end.observed,
        )

    def _take_over(self, line: Line) -> None:
        """Note that a process took the call over from one that is gone."""
        gone = max(self._seconds, line.t - line.event["lost_for"])
        self._answers.take_over(gone)
        self._connection.take_over(line, gone)

    def _up_to(self, speech: AssistantSpeech, now: float) -> AssistantSpeech:
        """What has been heard of the speech, and whether LiveKit has played it."""
        so_far = speech if speech.end <= now else speech.cut_off(now)
        if so_far.message not in self._answers.untaken_messages and self._observed.has_played(
            so_far, self._answers.hearing.speeches
        ):
            return so_far
        return structs.replace(so_far, played=False)
