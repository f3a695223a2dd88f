"""Everything that can happen to a session: what the machine is fed with.

Messages from Phonic are events as they are (``phonic_fsm._wire.server``). The others are news of
the connection, timers that have run out, and calls from LiveKit. An event's name, in the table
and in traces, is its tag.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Union, get_args

from msgspec import UNSET, Struct, UnsetType

from .._wire.client import ClientMessage
from .._wire.codec import MalformedMessage, UnknownMessage
from .._wire.config import ConfigOptions, InlineTool
from .._wire.facts import Id, Measured, Private, Public, Setting, StepKind
from .._wire.server import ServerMessage
from .history import Item


class _Event(Struct, frozen=True, tag_field="type"):
    pass


# -- the connection ------------------------------------------------------------------------------


class ConnectionOpened(_Event, frozen=True, tag="connection_opened"):
    """The websocket handshake is done."""

    step_kind: ClassVar[StepKind] = "connection"
    seconds: Measured[float] = 0.0
    """How long it took, from the first byte."""


class ConnectFailed(_Event, frozen=True, tag="connect_failed"):
    """No websocket could be opened."""

    step_kind: ClassVar[StepKind] = "connection"
    problem: Public[str]
    retryable: bool = True
    """False where a second try cannot end otherwise (401, 403, 404)."""
    retry_after: Public[float | None] = None
    """Seconds that the server asks to wait."""
    chance: Measured[float] = 0.0
    """A random number from 0 to 1: clients that were cut off together do not return together."""


class ConnectionClosed(_Event, frozen=True, tag="connection_closed"):
    """An open websocket is gone."""

    step_kind: ClassVar[StepKind] = "connection"
    code: Public[int]
    """The server's close code; 1006 where no close frame came."""
    reason: Public[str] = ""
    unsent: tuple[ClientMessage, ...] = ()
    """Control messages that were handed over and had not been written, in order."""
    chance: Measured[float] = 0.0
    """As in ``ConnectFailed``."""


# -- timers, named by what has come to pass ------------------------------------------------------


class RetryDue(_Event, frozen=True, tag="retry_due"):
    """The pause before the next attempt to connect is over."""

    step_kind: ClassVar[StepKind] = "connection"


class AnswerOverdue(_Event, frozen=True, tag="answer_overdue"):
    """The server took the config, or the socket for a resume, and never said that it is ready."""

    step_kind: ClassVar[StepKind] = "connection"


class GraceOver(_Event, frozen=True, tag="grace_over"):
    """Phonic no longer keeps the conversation whose connection was lost."""

    step_kind: ClassVar[StepKind] = "connection"


class ReplyOverdue(_Event, frozen=True, tag="reply_overdue"):
    """What was asked for has not begun: after half of its time, and after all of it."""

    step_kind: ClassVar[StepKind] = "reply"


class StateOverdue(_Event, frozen=True, tag="state_overdue"):
    """The session has been in this state for longer than the state should last."""

    step_kind: ClassVar[StepKind] = "error"
    seconds: Public[float]


class AnswerUnclaimed(_Event, frozen=True, tag="answer_unclaimed"):
    """Push-to-talk: nobody has asked for the answer that the assistant gives to the caller."""

    step_kind: ClassVar[StepKind] = "speech"


class ChangesDue(_Event, frozen=True, tag="changes_due"):
    """The tick in which settings were changed is over: what changed can go out as one message."""

    step_kind: ClassVar[StepKind] = "settings"


# -- news of LiveKit -----------------------------------------------------------------------------

WhyNotTaken = Literal["not_subscribed", "given_up", "not_read"]
"""No caller has subscribed to the agent's track; LiveKit has given its wait for that up, for the
rest of the call; or nobody knows."""


class AudioNotTaken(_Event, frozen=True, tag="audio_not_taken"):
    """LiveKit does not read what the assistant says: nobody hears it."""

    step_kind: ClassVar[StepKind] = "error"
    response_id: Id[str]
    seconds: Measured[float]
    """For how long its audio has waited, with nothing else to be heard."""
    reason: WhyNotTaken


# -- calls from LiveKit --------------------------------------------------------------------------


class UpdateInstructions(_Event, frozen=True, tag="update_instructions"):
    step_kind: ClassVar[StepKind] = "settings"
    instructions: Setting[str]


class UpdateTools(_Event, frozen=True, tag="update_tools"):
    step_kind: ClassVar[StepKind] = "settings"
    tools: tuple[InlineTool, ...]


class Addition(Struct, frozen=True):
    """A chat item and the one that it follows (``None``: the item is the first)."""

    after: Id[str | None]
    item: Item


class UpdateOptions(_Event, frozen=True, tag="update_options", kw_only=True):
    """The config as it is to be from now on, without prompt and own tools."""

    step_kind: ClassVar[StepKind] = "settings"
    config: ConfigOptions
    tools: tuple[InlineTool, ...] | UnsetType = UNSET
    """The own tools, where the change concerns them."""


class UpdateChatContext(_Event, frozen=True, tag="update_chat_ctx"):
    """What ``update_chat_ctx`` changed: the difference, not the whole context."""

    step_kind: ClassVar[StepKind] = "chat"
    added: tuple[Addition, ...] = ()
    changed: tuple[Item, ...] = ()
    removed: Id[tuple[str, ...]] = ()


class UpdateSession(_Event, frozen=True, tag="update_session", kw_only=True):
    """Several settings at once, as at the start and at a handoff."""

    step_kind: ClassVar[StepKind] = "settings"
    instructions: Setting[str | UnsetType] = UNSET
    tools: tuple[InlineTool, ...] | UnsetType = UNSET
    items: tuple[Item, ...] | UnsetType = UNSET
    """The whole chat context, which replaces the present one."""


class GenerateReply(_Event, frozen=True, tag="generate_reply"):
    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]
    instructions: Private[str | None] = None


class Say(_Event, frozen=True, tag="say", omit_defaults=True):
    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]
    text: Private[str]
    interruptible: bool | UnsetType = UNSET
    """Whether the caller can cut it short; unset: as Phonic has it."""


class CancelReply(_Event, frozen=True, tag="cancel_reply"):
    """The caller of generate_reply or say cancelled its future."""

    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]


class Open(_Event, frozen=True, tag="open"):
    """The session was made: the first event of all."""

    step_kind: ClassVar[StepKind] = "connection"


class SetExternalId(_Event, frozen=True, tag="set_external_id"):
    step_kind: ClassVar[StepKind] = "settings"
    external_id: Id[Setting[str]]


class Interrupt(_Event, frozen=True, tag="interrupt"):
    step_kind: ClassVar[StepKind] = "speech"


class StartUserActivity(_Event, frozen=True, tag="start_user_activity"):
    """Push-to-talk: the caller takes the floor."""

    step_kind: ClassVar[StepKind] = "speech"


class CommitAudio(_Event, frozen=True, tag="commit_audio"):
    """Push-to-talk: the caller has said all and awaits an answer."""

    step_kind: ClassVar[StepKind] = "speech"


class ClearAudio(_Event, frozen=True, tag="clear_audio"):
    """Push-to-talk: what the caller has said since the last commit does not count."""

    step_kind: ClassVar[StepKind] = "speech"
    heard_ms: Measured[int]
    """How much of it (ms) has gone out already."""


class Restart(_Event, frozen=True, tag="restart"):
    """Give the conversation up and go on in a fresh one."""

    step_kind: ClassVar[StepKind] = "connection"


class Break(_Event, frozen=True, tag="break"):
    """The session's own task failed: a fault of this package."""

    step_kind: ClassVar[StepKind] = "error"
    problem: Public[str]


class Close(_Event, frozen=True, tag="close"):
    """aclose()."""

    step_kind: ClassVar[StepKind] = "connection"


SettingsEvent = Union[UpdateInstructions, UpdateTools, UpdateOptions, UpdateSession]
ConnectionEvent = Union[ConnectionOpened, ConnectFailed, ConnectionClosed]
TimerEvent = Union[
    RetryDue,
    AnswerOverdue,
    GraceOver,
    ReplyOverdue,
    AnswerUnclaimed,
    ChangesDue,
    StateOverdue,
]
CallEvent = Union[
    Open,
    UpdateInstructions,
    UpdateTools,
    UpdateOptions,
    UpdateChatContext,
    UpdateSession,
    GenerateReply,
    Say,
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
    TimerEvent,
    AudioNotTaken,
    CallEvent,
]


def name_of(event: Event | type[Any]) -> str:
    """An event's name, or that of an event's type: its tag."""
    return str(event.__struct_config__.tag)


EVENTS: dict[str, type[Any]] = {name_of(kind): kind for kind in get_args(Event)}
"""Every event type by its name."""
