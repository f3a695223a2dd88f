"""What happened when, in lanes: the caller, the assistant, tools, the connection, states.

A session gets the assistant's audio faster than it is played. So this module calculates when the
caller heard it: a chunk is played when it arrives, or when the audio before it has been played, and
playback stops where the caller or the session cuts it off.

Times are seconds since the recording began; a step is its number.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct, field, structs

from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.effects import PushText, RejectReply, ResolveReply, SupersedeReply
from phonic_fsm._core.events import name_of
from phonic_fsm._core.states import State
from phonic_fsm._wire.config import DEFAULT_FORMAT, SAMPLING
from phonic_fsm._wire.server import AssistantEndedConversation, ToolCallOutputProcessed
from phonic_fsm.trace._format import AudioLength, Line, PassedAudio
from phonic_fsm.trace._lost_audio import OPEN_STATES, LostAudio
from phonic_fsm.trace._turns import GENERATION_OPENED, NO_ANSWER_DUE

from .changes import Change, ChangesBuilder
from .end import End, EndBuilder
from .severity import Severity

BIN = 0.05
"""Each level of a speech stands for so many seconds, and is that of the loudest chunk in them."""

SILENT = -100
"""Level of digital silence (dBFS)."""

UNPLAYED = 1.0
"""If LiveKit has not begun to play an answer so many seconds after it came, or by the time that its
end could have been heard, it plays none of it."""

TAKE_OVER = name_of(events.TakeOver)

GONE = "was lost with the process that had the call"
MOVED = "was handed over to another process"
"""Why a connection was lost, where another process has taken the call over."""

PAUSE = 0.3
"""If an answer has no audio for so many seconds, it is shown in two parts."""


class Span(Struct, kw_only=True):
    step: int
    """Where it begins."""
    start: float
    end: float


class CallerSpeech(Span, kw_only=True):
    text: str = ""


class CallerAudio(Span, kw_only=True):
    """What came of the caller's audio in each second of the stretch, and what became of it."""

    received_ms: int
    dbfs: float | None
    """``None`` for digital silence, and where nothing came."""
    peak: float | None
    levels: tuple[int, ...]
    """Of each tenth of the first second (dBFS). The seconds after it were like its loudest."""
    sent_ms: int
    filled_ms: int
    dropped_ms: int
    overflowed_ms: int
    waiting_ms: int
    rate: int
    channels: int


class Playback(Span, kw_only=True):
    """What LiveKit's output played without a stop, as it was observed."""

    interrupted: bool = False


class RoundTrip(Span, kw_only=True):
    """A ping to Phonic and its answer."""

    seconds: float


class AssistantSpeech(Span, kw_only=True):
    """What is heard of one message, or of a part of it."""

    message: str
    """Its id."""
    words: list[tuple[float, str]] = field(default_factory=list)
    """When each is heard."""
    levels: list[int] = field(default_factory=list)
    """In dBFS, one for every ``BIN`` seconds."""
    unheard: float | None = None
    """When the speech would have ended (s), if it was cut off."""
    played: bool = True
    """Whether LiveKit played any of it, as far as that was observed."""


class Heard(Struct, kw_only=True):
    """A piece of the assistant's audio that was heard without a gap."""

    start: float
    end: float
    source: float
    """Where it begins in the file beside the trace (s)."""


class ToolCall(Span, kw_only=True):
    """From the call until it is settled."""

    call_id: str
    name: str
    arguments: Any
    output: Any = None
    is_error: bool = False
    """Whether LiveKit says that the output is the tool's error."""
    given: float | None = None
    """When the tool's output came."""
    began: float | None = None
    """When LiveKit began to run it, if that was observed. Before, it plays what was said."""
    returned: float | None = None
    """When it was done, if that was observed."""
    status: Literal["", "done", "error", "cancelled"] = ""
    """How it ended, if that was observed."""
    sent: float | None = None
    carried: float | None = None
    """When a fresh conversation was given the output with the history."""
    acknowledged: float | None = None
    late: bool = False
    """The output came when Phonic no longer awaited it, and was told in words."""
    known: bool = True
    """Whether the agent had given a tool of this name."""
    ended: Literal["", "acknowledged", "interrupted", "handed over"] = ""
    """How the call ended. At a handoff the calls of the former agent are forgotten."""
    timed_out: bool = False
    """Phonic says that the output came too late."""
    problem: str | None = None
    """What Phonic says went wrong with it."""


class Link(Span, kw_only=True):
    """A stretch of the connection: ``connecting``, ``open`` or ``lost``."""

    kind: str
    attempts: list[float] = field(default_factory=list)
    """When a socket was asked for."""
    problems: list[str] = field(default_factory=list)
    """Why attempts failed."""
    cause: str = ""
    """Why it was lost."""
    restored: bool = False
    """Whether the conversation went on."""
    afresh: bool = False
    """It could not be resumed and goes on in a new one."""
    lost_audio: float = 0.0
    """Seconds of the caller's audio that never reached Phonic because of it."""


class StateSpan(Span, kw_only=True):
    state: str


class Trouble(Struct, kw_only=True):
    """An error or a warning of the session that no other lane shows."""

    step: int
    at: float
    text: str
    severity: Severity
    kind: str = ""
    """What kind of error it is, if it is one."""
    ended: bool = False
    """Whether the session ended with it."""


class Lanes(Struct, kw_only=True):
    seconds: float = 0.0
    states: list[StateSpan] = field(default_factory=list)
    caller: list[CallerSpeech] = field(default_factory=list)
    caller_audio: list[CallerAudio] = field(default_factory=list)
    """Without a gap, from the first second that was told of; empty where a trace tells of none."""
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
    """When no answer was due any more: the assistant chose not to respond, or the caller's turn
    was withdrawn."""
    withdrawn: list[Span] = field(default_factory=list)
    """The caller's turns that Phonic took back: there had been no speech in them."""
    redacted: bool = False
    """Whether what was said, and what tools were called with, is hidden behind placeholders."""
    welcome: bool = False
    """Whether the assistant was to speak first."""
    goodbye: float | None = None
    """When the assistant ended the conversation of its own accord."""
    discarded: list[Span] = field(default_factory=list)
    """Audio of the assistant that arrived after the session had interrupted the turn."""
    lost_audio_is_measured: bool = False
    """Whether the caller's audio that outages lost was measured, and not calculated."""
    changes: list[Change] = field(default_factory=list)
    agent: list[StateSpan] = field(default_factory=list)
    """What LiveKit takes the agent to be doing, where it was observed."""
    end: End | None = None
    """``None`` if the trace ends before the session is closed."""
    observed: bool = False
    """Whether an ``AgentSession`` was observed: without, nothing is known of playback, of when
    tools ran, and of LiveKit's reason for the end."""


class LaneBuilder:
    """Takes the steps and gives the lanes."""

    def __init__(self, settings: Settings, *, redacted: bool = False) -> None:
        rate, sample_bytes = SAMPLING[settings.config.output_format or DEFAULT_FORMAT]
        self._bytes_per_second = rate * sample_bytes
        self._lanes = Lanes(
            redacted=redacted,
            welcome=bool(settings.config.welcome_message)
            or settings.config.generate_welcome_message is True,
        )
        self._end = EndBuilder()
        self._changes = ChangesBuilder(settings)
        self._lost_audio = LostAudio()
        self._untaken: set[str] = set()
        """The messages whose audio LiveKit did not read."""
        self._observed_since = math.inf
        self.heard: list[Heard] = []
        """The audio beside the trace that was heard, in order; the last of it may be to come."""
        self._playhead = 0.0
        self._calls: dict[str, ToolCall] = {}
        self._tools: set[str] | None = None
        """The names of the agent's tools, once they are known."""
        self._requests: dict[str, Span] = {}
        """Replies that were asked for and have not begun, by the request."""
        self._opened: Line | None = None
        """The step that opened the generation, while the generation is empty."""
        self._generation = ""
        self._sounds = False
        """Whether audio of the open generation has come."""

    def take_audio(self, passed: PassedAudio) -> None:
        """Take a step in its condensed form."""
        self._lanes.seconds = max(self._lanes.seconds, passed.t)
        text, pushed = "", False
        for effect in passed.effects:
            if isinstance(effect, PushText):
                text = effect.text
            else:
                pushed = True
        event = passed.event
        self._lost_audio.pass_time(passed.t)
        self._note_chunk(passed, event.audio, event.text, text=text, pushed=pushed)

    def take(self, line: Line) -> None:
        if line.event["type"] == TAKE_OVER:
            self._note_takeover(line)
        self._lanes.seconds = max(self._lanes.seconds, line.t)
        self._note_assistant(line)
        if line.event["type"] == "audio_chunk" and line.source == line.target:
            self._lost_audio.pass_time(line.t)
            return  # nearly all of a call's steps, and no other lane's matter
        self._lost_audio.take(line)
        self._end.take(line)
        self._changes.take(line)
        self._note_state(line)
        self._note_observation(line)
        self._note_connection(line)
        self._note_caller(line)
        self._note_tools(line)
        self._note_requests(line)
        self._note_trouble(line)

    def lanes(self) -> Lanes:
        """The lanes up to the last step. What is still going on then ends with it.

        More steps may be taken afterwards, and the lanes be asked for again.
        """
        so_far = self._lanes
        now = so_far.seconds
        return structs.replace(
            so_far,
            end=self._end.end,
            observed=self._end.observed,
            states=_ended(so_far.states, now),
            connection=self._with_lost_audio(_ended(so_far.connection, now)),
            lost_audio_is_measured=self._lost_audio.is_measured,
            changes=self._changes.changes,
            agent=_ended(so_far.agent, now),
            caller=_ended(so_far.caller, now),
            caller_audio=_ended(so_far.caller_audio, now),
            tools=[_until(call, now) for call in so_far.tools],
            requests=[_until(request, now) for request in so_far.requests],
            announced=_ended(so_far.announced, now),
            open_answers=_ended(so_far.open_answers, now),
            playback=_ended(so_far.playback, now),
            assistant=[
                self._as_played(speech if speech.end <= now else _cut_off(speech, now))
                for speech in so_far.assistant
            ],
        )

    def _with_lost_audio(self, links: list[Link]) -> list[Link]:
        lost = dict(zip(self._lost_audio.began, self._lost_audio.seconds, strict=True))
        return [
            structs.replace(link, lost_audio=lost[link.start])
            if link.kind == "lost" and link.start in lost
            else link
            for link in links
        ]

    def _as_played(self, speech: AssistantSpeech) -> AssistantSpeech:
        """The same speech, with whether LiveKit has played it."""
        start, end = speech.start - PAUSE, max(speech.end, speech.start + UNPLAYED)
        played = self._lanes.playback
        if speech.message not in self._untaken and (
            not played
            or speech.start < self._observed_since
            or speech.end - speech.start < PAUSE
            or any(one.start <= end and start <= one.end for one in played)
        ):
            return speech
        return structs.replace(speech, played=False)

    # -- the process -----------------------------------------------------------------------------

    def _note_takeover(self, line: Line) -> None:
        gone = max(self._lanes.seconds, line.t - line.event["lost_for"])
        moved = line.event.get("cause") == "move"
        seams = self._lanes.moves if moved else self._lanes.takeovers
        seams.append(Span(step=line.seq, start=gone, end=line.t))
        self._cut_off(gone)
        links = self._lanes.connection
        if links and links[-1].kind == "open":
            self._begin_link(line, "lost", cause=MOVED if moved else GONE, at=gone)

    # -- states and the connection ---------------------------------------------------------------

    def _note_state(self, line: Line) -> None:
        states = self._lanes.states
        if states and states[-1].state == line.target:
            return
        if states:
            states[-1].end = line.t
        states.append(StateSpan(step=line.seq, start=line.t, end=math.inf, state=line.target))

    def _note_connection(self, line: Line) -> None:
        links, effects = self._lanes.connection, _types(line)
        if links and links[-1].kind != "open" and (problem := _why_not_connected(line)):
            links[-1].problems.append(problem)
        event = line.event["type"]
        if (
            event == "connection_closed"
            and "connect" in effects
            and links
            and links[-1].kind == "open"
        ):
            self._begin_link(line, "lost", cause=_why_closed(line.event))
        if "connect" in effects:
            if not links:
                self._begin_link(line, "connecting")
            links[-1].attempts.append(line.t)
            if links[-1].kind == "lost" and line.target == State.connecting.value:
                links[-1].afresh = True
        if line.source != line.target and line.target in OPEN_STATES and links:
            if links[-1].kind != "open":
                links[-1].restored = True
                self._begin_link(line, "open")
        elif line.target == State.closed.value and line.source != line.target:
            self._end_link(line.t)

    def _begin_link(self, line: Line, kind: str, cause: str = "", at: float | None = None) -> None:
        start = line.t if at is None else at
        self._end_link(start)
        self._lanes.connection.append(
            Link(step=line.seq, start=start, end=math.inf, kind=kind, cause=cause)
        )

    def _end_link(self, at: float) -> None:
        if self._lanes.connection:
            link = self._lanes.connection[-1]
            link.end = min(link.end, at)

    # -- the caller ------------------------------------------------------------------------------

    def _note_caller(self, line: Line) -> None:
        caller, effects = self._lanes.caller, _types(line)
        if "emit_speech_started" in effects:
            caller.append(CallerSpeech(step=line.seq, start=line.t, end=math.inf))
        if "emit_speech_stopped" in effects and caller and caller[-1].end == math.inf:
            caller[-1].end = line.t
        for addition in line.event.get("added", ()):
            self._lanes.typed |= addition["item"].get("role") == "user"
        if line.event["type"] in NO_ANSWER_DUE:
            self._lanes.excused.append(line.t)
        if line.event["type"] == "input_cancelled" and caller:
            start = caller[-1].start
            self._lanes.withdrawn.append(Span(step=line.seq, start=start, end=line.t))
        if "emit_transcript" in effects and caller:
            text = str(line.event.get("text", ""))
            caller[-1].text = f"{caller[-1].text} {text}".strip()

    # -- what was observed -----------------------------------------------------------------------

    def _note_observation(self, line: Line) -> None:
        event, kind = line.event, line.event["type"]
        if kind == "caller_audio":
            self._note_caller_audio(line)
        elif kind == "event_loop_late":
            start = max(0.0, line.t - event["seconds"])
            self._lanes.held_up.append(Span(step=line.seq, start=start, end=line.t))
        elif kind == "round_trip":
            took = event["seconds"]
            trip = RoundTrip(step=line.seq, start=line.t - took, end=line.t, seconds=took)
            self._lanes.trips.append(trip)
        elif kind == "agent_state":
            self._observed_since = min(self._observed_since, line.t)
            agent = self._lanes.agent
            if agent:
                agent[-1].end = line.t
            agent.append(StateSpan(step=line.seq, start=line.t, end=math.inf, state=event["state"]))
        elif kind == "playback_started":
            self._observed_since = min(self._observed_since, line.t)
            self._lanes.playback.append(Playback(step=line.seq, start=line.t, end=math.inf))
        elif kind == "playback_finished":
            self._end_playback(line.t, interrupted=event["interrupted"])
        elif kind == "tool_started" and (call := self._calls.get(event["call_id"])) is not None:
            call.began = line.t
        elif kind == "tool_ended" and (call := self._calls.get(event["call_id"])) is not None:
            call.returned, call.status = line.t, event["status"]

    def _note_caller_audio(self, line: Line) -> None:
        audio = self._lanes.caller_audio
        # The event is about the second before it.
        start = max(0.0, line.t - 1)
        if audio:
            audio[-1].end = start = max(start, audio[-1].start)
        seen = msgspec.convert(line.event, events.CallerAudio)
        fields = {name: getattr(seen, name) for name in seen.__struct_fields__}
        audio.append(CallerAudio(step=line.seq, start=start, end=math.inf, **fields))

    def _end_playback(self, at: float, *, interrupted: bool) -> None:
        playback = self._lanes.playback
        if playback and playback[-1].end == math.inf:
            playback[-1].end = at
            playback[-1].interrupted = interrupted

    # -- the assistant ---------------------------------------------------------------------------

    def _note_assistant(self, line: Line) -> None:
        text, pushed = "", False
        for effect in line.effects:
            kind = effect["type"]
            if kind == "push_text":
                text = effect["text"]
            elif kind == "push_audio":
                pushed = True
            elif kind in GENERATION_OPENED:
                self._generation = effect["response_id"]
                self._opened = line
            elif kind in ("push_function_call", "emit_dtmf"):
                self._opened = None
            elif kind == "close_generation":
                self._close(line, interrupted=effect.get("interrupted", False))
        event = line.event["type"]
        if event == "audio_chunk":
            part = line.event["audio"]
            audio = AudioLength(part["bytes"], part.get("dbfs"), part.get("at"))
            self._note_chunk(line, audio, line.event.get("text"), text=text, pushed=pushed)
        elif event == "assistant_started_speaking" and line.target == State.speaking.value:
            self._lanes.announced.append(Span(step=line.seq, start=line.t, end=math.inf))
        if event in ("user_started_speaking", "interrupt", "close"):
            self._cut_off(line.t)

    def _end_announcement(self, at: float) -> None:
        announced = self._lanes.announced
        if announced and announced[-1].end == math.inf:
            announced[-1].end = at

    def _close(self, line: Line, *, interrupted: bool) -> None:
        self._end_announcement(line.t)
        if self._sounds:
            self._sounds = False
            self._lanes.open_answers[-1].end = line.t
        if interrupted:
            self._cut_off(line.t)
        elif (
            self._opened is not None
            and self._opened is not line
            and line.event["type"] != name_of(events.ReplyOverdue)
        ):
            # One that opens and closes in one step tells LiveKit that no answer comes; that an
            # answer is overdue is a failed reply.
            begin = self._opened
            self._lanes.empty_answers.append(Span(step=begin.seq, start=begin.t, end=line.t))
        self._opened = None

    def _note_chunk(
        self,
        step: Line | PassedAudio,
        audio: AudioLength,
        said: str | None,
        *,
        text: str,
        pushed: bool,
    ) -> None:
        """Note what came in a chunk, and what of it was passed on: the text, the audio, or both."""
        if pushed and not self._sounds:
            self._sounds = True
            self._end_announcement(step.t)
            self._lanes.open_answers.append(Span(step=step.seq, start=step.t, end=math.inf))
        if pushed or text:
            self._opened = None
            seconds = audio.bytes / self._bytes_per_second if pushed else 0.0
            self._play(step, seconds, text, audio.dbfs)
            if pushed and audio.at is not None:
                self._hear(seconds, audio.at)
        elif audio.bytes and said:
            self._discard(step, audio.bytes / self._bytes_per_second)

    def _play(
        self, step: Line | PassedAudio, seconds: float, text: str, dbfs: float | None
    ) -> None:
        at = max(step.t, self._playhead)
        spoken = self._lanes.assistant
        if not spoken or spoken[-1].message != self._generation or at - spoken[-1].end > PAUSE:
            spoken.append(
                AssistantSpeech(step=step.seq, start=at, end=at, message=self._generation)
            )
        speech = spoken[-1]
        if text:
            speech.words.append((round(at, 3), text))
        speech.end = self._playhead = end = at + seconds
        start, levels = speech.start, speech.levels
        last = math.ceil((end - start) / BIN)
        if last > len(levels):
            levels += [SILENT] * (last - len(levels))
        if dbfs is not None:
            level = round(dbfs)
            for number in range(int((at - start) / BIN), last):
                levels[number] = max(levels[number], level)

    def _hear(self, seconds: float, source: float) -> None:
        """Note where the audio that will be played next is in the file beside the trace."""
        end = self._playhead
        last = self.heard[-1] if self.heard else Heard(start=0.0, end=-1.0, source=0.0)
        behind = last.source + last.end - last.start
        if math.isclose(last.end, end - seconds, abs_tol=1e-5) and math.isclose(
            behind, source, abs_tol=1e-5
        ):
            last.end = end
        else:
            self.heard.append(Heard(start=end - seconds, end=end, source=source))

    def _cut_off(self, at: float) -> None:
        """End the playback here: the audio that has arrived is not heard any further."""
        spoken = self._lanes.assistant
        for number in range(len(spoken) - 1, -1, -1):
            if spoken[number].end <= at:
                break
            spoken[number] = _cut_off(spoken[number], at)
        while self.heard and self.heard[-1].start >= at:
            self.heard.pop()
        if self.heard:
            self.heard[-1].end = min(self.heard[-1].end, at)
        self._playhead = min(self._playhead, at)

    def _discard(self, step: Line | PassedAudio, seconds: float) -> None:
        discarded = self._lanes.discarded
        if discarded and step.t - discarded[-1].end < PAUSE:
            discarded[-1].end += seconds
        else:
            discarded.append(Span(step=step.seq, start=step.t, end=step.t + seconds))

    # -- tools -----------------------------------------------------------------------------------

    def _note_tools(self, line: Line) -> None:
        event = line.event
        kind = event["type"]
        if kind == "tool_call" and "push_function_call" in _types(line):
            call = ToolCall(
                step=line.seq,
                start=line.t,
                end=math.inf,
                call_id=event["tool_call_id"],
                name=event["tool_name"],
                arguments=event.get("parameters"),
                known=self._tools is None or event["tool_name"] in self._tools,
            )
            self._calls[call.call_id] = call
            self._lanes.tools.append(call)
        elif kind == "update_chat_ctx":
            for addition in event.get("added", ()):
                self._note_output(line, addition["item"])
        elif kind == "update_session" and event.get("items") is not None:
            if line.source in OPEN_STATES:
                self._lanes.handoffs.append(Span(step=line.seq, start=line.t, end=line.t))
            for call in self._lanes.tools:
                if not call.ended:
                    call.ended, call.end = "handed over", line.t
        elif kind in ("tool_call_output_processed", "tool_call_interrupted"):
            self._settle(line)
        if event.get("tools") is not None and kind in _GIVES_TOOLS:
            self._tools = set(map(_tool_name, event["tools"]))
        for call_id in _outputs_sent(line):
            if call_id in self._calls:
                self._calls[call_id].sent = line.t
        if "config" in _sent(line):
            self._note_carried(line.t)

    def _note_carried(self, at: float) -> None:
        """A config goes out, and with it the history, which has every output so far."""
        for call in self._lanes.tools:
            if call.given is not None and call.acknowledged is None and call.carried is None:
                call.carried = at

    def _note_output(self, line: Line, item: dict[str, Any]) -> None:
        call = self._calls.get(str(item.get("call_id")))
        if line.source == State.closed.value:
            return  # a tool that outlived the session
        if call is not None and item["type"] == "function_call_output" and call.given is None:
            call.given, call.output = line.t, item["output"]
            call.is_error = bool(item.get("is_error"))
            # If the server is ready, an output that is awaited is sent at once.
            call.late = line.source in OPEN_STATES and call.call_id not in _outputs_sent(line)

    def _settle(self, line: Line) -> None:
        call = self._calls.get(line.event["tool_call_id"])
        if call is None or call.ended:
            return
        call.end = line.t
        if line.event["type"] == "tool_call_interrupted":
            call.ended = "interrupted"
            return
        call.ended, call.acknowledged = "acknowledged", line.t
        call.timed_out = bool(line.event.get("timed_out"))
        call.problem = line.event.get("error_message") or None

    # -- replies that were asked for -------------------------------------------------------------

    def _note_requests(self, line: Line) -> None:
        event = line.event
        if event["type"] in ("generate_reply", "say"):
            request = Span(step=line.seq, start=line.t, end=math.inf)
            self._requests[event["request_id"]] = request
            self._lanes.requests.append(request)
        over = [effect["request_id"] for effect in line.effects if effect["type"] in _END_REQUESTS]
        if event["type"] == "cancel_reply":
            over.append(event["request_id"])
        for request_id in over:
            if (settled := self._requests.pop(request_id, None)) is not None:
                settled.end = line.t

    # -- trouble ---------------------------------------------------------------------------------

    def _note_trouble(self, line: Line) -> None:
        lanes = self._lanes
        event = line.event["type"]
        if event == name_of(AssistantEndedConversation):
            lanes.goodbye = line.t
        for effect in line.effects:
            kind = effect["type"]
            if kind == "emit_error":
                ended = not effect.get("recoverable") and line.target == State.closed.value
                severity: Severity = "error" if ended else "warning"
                trouble = _trouble(line, effect["problem"], severity)
                trouble.kind, trouble.ended = effect["kind"], ended
                # The connection's lane has those that it recovers from.
                if ended or trouble.kind == "server_error":
                    lanes.troubles.append(trouble)
            elif kind == "log" and effect["level"] == "warning":
                self._note_warning(line, effect["text"])
            elif kind == "reject_reply":
                severity = "note" if effect["reason"] == "closed" else "error"
                lanes.failed_replies.append(_trouble(line, effect["problem"], severity))

    def _note_warning(self, line: Line, text: str) -> None:
        lanes, event = self._lanes, line.event["type"]
        if event == name_of(events.TurnOverdue):
            since = lanes.assistant[-1].end if lanes.assistant else line.t
            stalled = Span(step=line.seq, start=min(since, line.t), end=line.t)
            lanes.stalled_answers.append(stalled)
        elif event == name_of(events.AudioNotTaken):
            self._untaken.add(line.event["response_id"])
            lanes.untaken.append(_trouble(line, text, "error"))
        elif event == name_of(events.ReplyOverdue):
            lanes.failed_replies.append(_trouble(line, text, "error"))
        elif event == name_of(events.Restart):
            lanes.troubles.append(_trouble(line, text, "note"))
        elif event != name_of(ToolCallOutputProcessed) and "connect" not in _types(line):
            # The lanes of the tools and of the connection show theirs.
            lanes.troubles.append(_trouble(line, text, "warning"))


T = TypeVar("T", bound=Span)


def _ended(spans: list[T], at: float) -> list[T]:
    """The same spans, but the last one ends here if it has no end yet."""
    return [*spans[:-1], *(_until(span, at) for span in spans[-1:])]


def _until(span: T, at: float) -> T:
    return span if span.end <= at else structs.replace(span, end=at)


def _cut_off(speech: AssistantSpeech, at: float) -> AssistantSpeech:
    """The same speech, of which nothing is heard from here on."""
    unheard = speech.end if speech.unheard is None else speech.unheard
    return structs.replace(speech, unheard=unheard, end=max(at, speech.start))


def _trouble(line: Line, text: str, severity: Severity) -> Trouble:
    return Trouble(step=line.seq, at=line.t, text=text, severity=severity)


def _types(line: Line) -> set[str]:
    return {effect["type"] for effect in line.effects}


def _sent(line: Line) -> set[str]:
    """The types of the messages that the step sends."""
    return {effect["message"]["type"] for effect in line.effects if effect["type"] == "send"}


def _outputs_sent(line: Line) -> list[str]:
    """Ids of the calls whose outputs the step sends."""
    messages = [effect["message"] for effect in line.effects if effect["type"] == "send"]
    return [m["tool_call_id"] for m in messages if m["type"] == "tool_call_output"]


def _tool_name(tool: dict[str, Any]) -> str:
    function = tool["tool_schema"].get("function")
    # A trace from elsewhere may have anything there; the machine says that it cannot take it.
    return str(function.get("name", "")) if isinstance(function, dict) else ""


_GIVES_TOOLS = frozenset(
    map(name_of, (events.UpdateSession, events.UpdateTools, events.UpdateOptions))
)

_END_REQUESTS = frozenset(map(name_of, (ResolveReply, RejectReply, SupersedeReply)))


def _why_not_connected(line: Line) -> str:
    """Why an attempt to connect failed, if it did in this step."""
    event = line.event
    if event["type"] == name_of(events.ConnectFailed):
        return str(event["problem"])
    if event["type"] == name_of(events.ConnectionClosed):
        return f"the connection {_why_closed(event)}"
    if event["type"] == name_of(events.AnswerOverdue):
        return "Phonic did not say in time that it is ready"
    return ""


def _why_closed(event: dict[str, Any]) -> str:
    if event["code"] == 1006:
        return f"broke off ({event.get('reason') or 'no close frame'})"
    reason = f", “{event['reason']}”" if event.get("reason") else ""
    return f"was closed by Phonic (code {event['code']}{reason})"
