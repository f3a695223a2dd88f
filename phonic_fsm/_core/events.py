"""Everything that can happen to a session. The machine takes one event per step.

A message from Phonic is an event as it is (``phonic_fsm._wire.server``). The other events are here:
news of the connection, timers that have run out, and calls from LiveKit. The name of an event, in
the table and in traces, is its tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Union, get_args

from msgspec import UNSET, Struct, UnsetType

from .._wire.bounds import Bound
from .._wire.client import ClientMessage
from .._wire.codec import MalformedMessage, UnknownMessage
from .._wire.config import ConfigOptions, InlineTool
from .._wire.facts import Compared, Id, Measured, Private, Public, StepKind
from .._wire.server import ServerMessage
from .history import Item


class _Event(Struct, frozen=True, tag_field="type"):
    pass


# -- the connection ------------------------------------------------------------------------------


class ConnectionOpened(_Event, frozen=True, tag="connection_opened"):
    """The websocket handshake is done."""

    step_kind: ClassVar[StepKind] = "connection"
    seconds: Measured[float] = 0.0
    """How long it took to open the connection."""


class ConnectFailed(_Event, frozen=True, tag="connect_failed"):
    """A websocket could not be opened."""

    step_kind: ClassVar[StepKind] = "connection"
    problem: Public[str]
    retryable: bool = True
    """Whether another attempt may succeed; it cannot after 401, 403 or 404."""
    retry_after: Public[float | None] = None
    """Seconds that the server asks to wait."""
    chance: Measured[float] = 0.0
    """A random number from 0 to 1, by which clients that were cut off together return apart."""
    busy: bool = False
    """Whether Phonic is there, but takes no more connections at present: HTTP 429."""


class ConnectionClosed(_Event, frozen=True, tag="connection_closed", omit_defaults=True):
    """The websocket was closed, or broke off."""

    step_kind: ClassVar[StepKind] = "connection"
    code: Public[int]
    """The server's close code, or 1006 if no close frame came."""
    reason: Public[str] = ""
    unsent: tuple[ClientMessage, ...] = ()
    """Messages, other than audio, that were still waiting to be written, in order."""
    chance: Measured[float] = 0.0
    """As in ``ConnectFailed``."""
    seconds: Measured[float] = 0.0
    """For how long the connection was open."""
    bound: Bound | None = None
    """The bound for which this side has ended it, if it has."""


# -- the process --------------------------------------------------------------------------------


class Unheard(Struct, frozen=True):
    """An answer of which the caller has heard no more than this."""

    response_id: Id[str]
    text: Private[str]
    seconds: Measured[float]
    """How much of its audio was played."""


class TakeOver(_Event, frozen=True, tag="take_over", kw_only=True, omit_defaults=True):
    """Another process had the session; this one has its memory, and nothing else of it.

    It is the first event in the new process, in the place of ``open``. No socket is open there, no
    timer runs, and LiveKit knows nothing of what was announced to it.
    """

    step_kind: ClassVar[StepKind] = "connection"
    cause: Public[Literal["death", "move"]] = "death"
    """Whether the process before has died, or has handed the session over."""
    lost_for: Measured[float]
    """Seconds since Phonic has lost the connection, as far as that is known."""
    repeatable: Public[tuple[str, ...]] = ()
    """The names of the tools that may be run again, if it is not known whether they were."""
    unheard: tuple[Unheard, ...] = ()
    """The answers that were not played to their ends, in order."""
    conversation_id: Id[str | None] = None
    """Phonic's id of the conversation, if nothing else is known of the session: what the process
    before has written cannot be read, so this one has no memory of it."""


class LeaseLost(_Event, frozen=True, tag="lease_lost", omit_defaults=True):
    """The session is another process's. This one must neither send nor say more."""

    step_kind: ClassVar[StepKind] = "connection"
    reason: Public[str | None] = None
    """Why this process has given the session up; ``None`` if another one has taken it over."""


class Words(Struct, frozen=True):
    """A part of an answer's text, and when its audio ends (s, in the answer's audio)."""

    text: Private[str]
    end: Measured[float]


class Playing(Struct, frozen=True):
    """An answer that has not been played to its end, as far as that is known."""

    response_id: Id[str]
    began: Measured[float | None]
    """When it began to be played (s, by the trace's clock)."""
    seconds: Measured[float]
    """Of audio so far."""
    words: tuple[Words, ...]
    came: Measured[float] = 0.0
    """When its first audio came (s, by the trace's clock)."""


class LastCut(Struct, frozen=True):
    """What LiveKit has cut off last, if nothing was said since."""

    t: Measured[float]
    """When it did (s, by the trace's clock)."""
    unheard: tuple[Unheard, ...]


PlaybackNews = Literal["unknown", "awaited", "missing", "told"]
"""What LiveKit says of when an answer is played.

``unknown``
    The ``AgentSession`` has said nothing at all.
``awaited``
    The agent has not spoken, so nothing was played.
``missing``
    The agent has spoken, and nothing was said to be played: there is no audio output that would
    tell.
``told``
    It says when it plays.
"""


class Checkpoint(_Event, frozen=True, tag="checkpoint", kw_only=True):
    """A journal is to hold the machine's memory, so that a recovery can begin here.

    The event has what a recovery needs beside that.
    """

    step_kind: ClassVar[StepKind] = "connection"
    times: Measured[dict[str, float]]
    """When each item of the history was added (s, by the trace's clock), by its id."""
    playing: tuple[Playing, ...]
    state: Private[Any]
    """What the application wants to know again, a JSON value."""
    playback: Public[PlaybackNews] = "told"
    cut: LastCut | None = None
    lost_at: Measured[float | None] = None
    """When the connection to Phonic was lost (s, by the trace's clock), until it has come back."""


# -- timers that have run out --------------------------------------------------------------------


class RetryDue(_Event, frozen=True, tag="retry_due"):
    """The pause before the next attempt to connect is over."""

    step_kind: ClassVar[StepKind] = "connection"


class AnswerOverdue(_Event, frozen=True, tag="answer_overdue"):
    """The server has not said in time that it is ready, after the config or the resume."""

    step_kind: ClassVar[StepKind] = "connection"


class GraceOver(_Event, frozen=True, tag="grace_over"):
    """Phonic no longer keeps the conversation whose connection was lost."""

    step_kind: ClassVar[StepKind] = "connection"


class ReplyOverdue(_Event, frozen=True, tag="reply_overdue"):
    """A reply has not begun: half of its time, or all of it, has passed."""

    step_kind: ClassVar[StepKind] = "reply"


class OpeningOverdue(_Event, frozen=True, tag="opening_overdue"):
    """The conversation is open, and the assistant has not begun to speak without being asked."""

    step_kind: ClassVar[StepKind] = "reply"


class EchoOver(_Event, frozen=True, tag="echo_over"):
    """What the user typed was sent so long ago that Phonic no longer repeats it."""

    step_kind: ClassVar[StepKind] = "reply"


class TurnOverdue(_Event, frozen=True, tag="turn_overdue"):
    """More of the assistant's turn, or its end, should have come by now."""

    step_kind: ClassVar[StepKind] = "speech"


class StateOverdue(_Event, frozen=True, tag="state_overdue"):
    """The session has been in its state for longer than that state should last."""

    step_kind: ClassVar[StepKind] = "error"
    seconds: Public[float]


class LastWordsOver(_Event, frozen=True, tag="last_words_over"):
    """The conversation is over, and what was left to play can have been played."""

    step_kind: ClassVar[StepKind] = "speech"


class AnswerUnclaimed(_Event, frozen=True, tag="answer_unclaimed"):
    """Push-to-talk: LiveKit has not asked for the answer that the assistant is giving."""

    step_kind: ClassVar[StepKind] = "speech"


class ChangesDue(_Event, frozen=True, tag="changes_due"):
    """The event loop's tick in which settings were changed is over, so that they can be sent."""

    step_kind: ClassVar[StepKind] = "settings"


# -- news of LiveKit -----------------------------------------------------------------------------

WhyNotTaken = Literal["not_subscribed", "given_up", "not_read"]
"""No caller has subscribed to the agent's track; LiveKit has given up waiting for that, for the
rest of the call; or the reason is not known."""


class PlaybackLeft(_Event, frozen=True, tag="playback_left"):
    """How long it takes until the caller has heard all that the assistant has said."""

    step_kind: ClassVar[StepKind] = "speech"
    seconds: Measured[float]


class AudioNotTaken(_Event, frozen=True, tag="audio_not_taken"):
    """LiveKit does not read the assistant's audio, so nobody hears it."""

    step_kind: ClassVar[StepKind] = "error"
    response_id: Id[str]
    seconds: Measured[float]
    """How long the audio has waited, while nothing else was played."""
    reason: WhyNotTaken


# -- what is observed, for the trace -------------------------------------------------------------


class CallerAudio(_Event, frozen=True, tag="caller_audio", kw_only=True, omit_defaults=True):
    """The caller's audio of one second. It stands for the seconds after it, until the next one.

    A second whose level varies, as it does in speech, stands for itself alone.
    """

    step_kind: ClassVar[StepKind] = "audio"
    received_ms: Measured[int] = 0
    """So much came from LiveKit."""
    dbfs: Measured[float | None] = None
    """Its RMS level relative to full scale; ``None`` if it was digital silence, or nothing came."""
    peak: Measured[float | None] = None
    """The level of its loudest sample, likewise."""
    levels: Measured[tuple[int, ...]] = ()
    """The RMS level of each tenth of a second of it (dBFS, -100 for digital silence)."""
    sent_ms: Measured[int] = 0
    """So much left this process for Phonic, of what came now or had waited."""
    filled_ms: Measured[int] = 0
    """So much silence was sent because no audio came, or the caller was muted."""
    dropped_ms: Measured[int] = 0
    """So much will never be sent: it came while nothing could be sent, was too much to keep, or
    waited when the connection was lost or the session was closed."""
    overflowed_ms: Measured[int] = 0
    """So much of ``dropped_ms`` had been given to the connection, which took too little: the newest
    2 s wait for it, and older audio gives way."""
    waiting_ms: Measured[int] = 0
    """So much is kept and has not been sent yet."""
    rate: Public[int] = 0
    """The sample rate of LiveKit's frames (Hz); 0 before the first."""
    channels: Public[int] = 0


SILENT = -100
"""The level of digital silence (dBFS)."""

FLAT = 12
"""Decibels. Sound whose level varies by less is a steady one."""


def is_flat(levels: Sequence[int]) -> bool:
    """Whether this is silence, or a steady sound."""
    return not levels or max(levels) - min(levels) < FLAT


class EventLoopLate(_Event, frozen=True, tag="event_loop_late"):
    """Something in the process held the event loop up, and with it every session."""

    step_kind: ClassVar[StepKind] = "error"
    seconds: Measured[float]


class RoundTrip(_Event, frozen=True, tag="round_trip"):
    """How long a ping to Phonic and its answer took."""

    step_kind: ClassVar[StepKind] = "connection"
    seconds: Measured[float]


class PlaybackStarted(_Event, frozen=True, tag="playback_started"):
    """LiveKit's output has begun to play an answer."""

    step_kind: ClassVar[StepKind] = "speech"


class PlaybackFinished(_Event, frozen=True, tag="playback_finished"):
    """LiveKit's output has played an answer to its end, or was told to stop."""

    step_kind: ClassVar[StepKind] = "speech"
    position: Measured[float]
    """How much of it was played (s)."""
    interrupted: bool


class ToolStarted(_Event, frozen=True, tag="tool_started"):
    """LiveKit has begun to run a tool. Before, it waits for the answer in front to be played."""

    step_kind: ClassVar[StepKind] = "tool"
    call_id: Id[str]


class ToolEnded(_Event, frozen=True, tag="tool_ended"):
    """A tool has returned, raised, or was cancelled."""

    step_kind: ClassVar[StepKind] = "tool"
    call_id: Id[str]
    status: Literal["done", "error", "cancelled"]


class AgentState(_Event, frozen=True, tag="agent_state"):
    """What LiveKit takes the agent to be doing: ``listening``, ``thinking`` or ``speaking``."""

    step_kind: ClassVar[StepKind] = "speech"
    state: Public[str]


class AgentChanged(_Event, frozen=True, tag="agent_changed"):
    """LiveKit has handed the call over from one agent to another."""

    step_kind: ClassVar[StepKind] = "settings"
    agent: Public[str]
    """The id of the one that has it now."""
    before: Public[str | None] = None


class AgentSessionClosed(_Event, frozen=True, tag="agent_session_closed", omit_defaults=True):
    """The ``AgentSession`` is closed. It closes this session first, and tells why afterwards."""

    step_kind: ClassVar[StepKind] = "connection"
    reason: Public[str]
    """LiveKit's ``CloseReason``."""
    error: Private[str | None] = None
    """What closed it, if an error did."""
    room_left: Public[str | None] = None
    """Why the job's room was left, if it had been by then: LiveKit's ``DisconnectReason``."""
    caller_left: Public[str | None] = None
    """Why a participant who is no agent had left the room, likewise."""


class JobShutDown(_Event, frozen=True, tag="job_shut_down"):
    """The LiveKit job is being shut down. It closes its ``AgentSession`` first."""

    step_kind: ClassVar[StepKind] = "connection"
    reason: Public[str]


# -- calls from LiveKit --------------------------------------------------------------------------


class RememberState(_Event, frozen=True, tag="remember_state"):
    """What the application wants to know again if another process takes the session over."""

    step_kind: ClassVar[StepKind] = "settings"
    value: Private[Any]
    """A JSON value."""


class UpdateInstructions(_Event, frozen=True, tag="update_instructions"):
    step_kind: ClassVar[StepKind] = "settings"
    instructions: Compared[str]


class UpdateTools(_Event, frozen=True, tag="update_tools"):
    step_kind: ClassVar[StepKind] = "settings"
    tools: tuple[InlineTool, ...]


class Addition(Struct, frozen=True):
    """A chat item, and the id of the one in front of it (``None`` if it is the first)."""

    after: Id[str | None]
    item: Item


class UpdateOptions(_Event, frozen=True, tag="update_options", kw_only=True):
    """The config from now on, without the prompt and the application's own tools."""

    step_kind: ClassVar[StepKind] = "settings"
    config: ConfigOptions
    tools: tuple[InlineTool, ...] | UnsetType = UNSET
    """The application's own tools, if the change concerns them."""


class UpdateToolChoice(_Event, frozen=True, tag="update_tool_choice"):
    """Which of the application's tools Phonic may call from now on."""

    step_kind: ClassVar[StepKind] = "settings"
    offered: Public[tuple[str, ...] | None] = None
    """Their names; ``None`` for all of them."""


class UpdateChatContext(_Event, frozen=True, tag="update_chat_ctx"):
    """The difference that ``update_chat_ctx`` makes to the chat context."""

    step_kind: ClassVar[StepKind] = "chat"
    added: tuple[Addition, ...] = ()
    changed: tuple[Item, ...] = ()
    removed: Id[tuple[str, ...]] = ()


class CallsDropped(_Event, frozen=True, tag="calls_dropped"):
    """An answer was interrupted before LiveKit began to play it, so no tool call in it is made."""

    step_kind: ClassVar[StepKind] = "tool"
    calls: Id[tuple[str, ...]]


class UpdateSession(_Event, frozen=True, tag="update_session", kw_only=True):
    """Several settings at once: at the start, and at a handoff."""

    step_kind: ClassVar[StepKind] = "settings"
    instructions: Compared[str | UnsetType] = UNSET
    tools: tuple[InlineTool, ...] | UnsetType = UNSET
    items: tuple[Item, ...] | UnsetType = UNSET
    """The whole chat context, which takes the place of the present one."""


class GenerateReply(_Event, frozen=True, tag="generate_reply"):
    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]
    instructions: Private[str | None] = None


class Say(_Event, frozen=True, tag="say", omit_defaults=True):
    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]
    text: Private[str]
    interruptible: bool | UnsetType = UNSET
    """Whether the caller can interrupt it. If it is unset, Phonic decides."""
    complete: bool = True
    """Whether this is all of the text. Otherwise ``say_more`` brings the rest."""


class SayMore(_Event, frozen=True, tag="say_more"):
    """More of a text that ``say`` got as a stream."""

    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]
    text: Private[str]
    complete: bool
    """Whether this was the end of it."""


class CancelReply(_Event, frozen=True, tag="cancel_reply"):
    """The future of ``generate_reply`` or ``say`` was cancelled."""

    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]


class Open(_Event, frozen=True, tag="open"):
    """The session was made. This is the first event."""

    step_kind: ClassVar[StepKind] = "connection"


class SetExternalId(_Event, frozen=True, tag="set_external_id"):
    step_kind: ClassVar[StepKind] = "settings"
    external_id: Id[Compared[str]]


class Interrupt(_Event, frozen=True, tag="interrupt"):
    step_kind: ClassVar[StepKind] = "speech"


class StartUserActivity(_Event, frozen=True, tag="start_user_activity"):
    """Push-to-talk: the caller begins to speak."""

    step_kind: ClassVar[StepKind] = "speech"


class CommitAudio(_Event, frozen=True, tag="commit_audio"):
    """Push-to-talk: the caller has finished, and waits for an answer."""

    step_kind: ClassVar[StepKind] = "speech"


class ClearAudio(_Event, frozen=True, tag="clear_audio"):
    """Push-to-talk: drop what the caller has said since the last commit."""

    step_kind: ClassVar[StepKind] = "speech"
    heard_ms: Measured[int]
    """How much of it has been sent already (ms)."""


class Restart(_Event, frozen=True, tag="restart"):
    """Give up the conversation, and go on in a fresh one."""

    step_kind: ClassVar[StepKind] = "connection"


class Break(_Event, frozen=True, tag="break"):
    """The session's own task failed, which is a fault of the package, or was cancelled."""

    step_kind: ClassVar[StepKind] = "error"
    problem: Public[str]


class Close(_Event, frozen=True, tag="close"):
    """``aclose()`` was called."""

    step_kind: ClassVar[StepKind] = "connection"


SettingsEvent = Union[UpdateInstructions, UpdateTools, UpdateOptions, UpdateSession]
ConnectionEvent = Union[ConnectionOpened, ConnectFailed, ConnectionClosed]
ProcessEvent = Union[TakeOver, LeaseLost, Checkpoint]
TimerEvent = Union[
    RetryDue,
    AnswerOverdue,
    GraceOver,
    ReplyOverdue,
    OpeningOverdue,
    EchoOver,
    TurnOverdue,
    LastWordsOver,
    AnswerUnclaimed,
    ChangesDue,
    StateOverdue,
]
Observation = Union[
    CallerAudio,
    EventLoopLate,
    RoundTrip,
    PlaybackStarted,
    PlaybackFinished,
    ToolStarted,
    ToolEnded,
    AgentState,
    AgentChanged,
    AgentSessionClosed,
    JobShutDown,
    RememberState,
]
CallEvent = Union[
    Open,
    UpdateInstructions,
    UpdateTools,
    UpdateOptions,
    UpdateToolChoice,
    UpdateChatContext,
    CallsDropped,
    UpdateSession,
    GenerateReply,
    Say,
    SayMore,
    CancelReply,
    SetExternalId,
    Interrupt,
    StartUserActivity,
    CommitAudio,
    ClearAudio,
    Restart,
    Break,
    Close,
]
Event = Union[
    ServerMessage,
    UnknownMessage,
    MalformedMessage,
    ConnectionEvent,
    ProcessEvent,
    TimerEvent,
    PlaybackLeft,
    AudioNotTaken,
    Observation,
    CallEvent,
]


def name_of(event: Event | type[Any]) -> str:
    """The name of an event or of a type of event: its tag."""
    return str(event.__struct_config__.tag)


EVENTS: dict[str, type[Any]] = {name_of(kind): kind for kind in get_args(Event)}
"""Every event type by its name."""
