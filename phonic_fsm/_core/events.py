"""Everything that can happen to a session: what the machine is fed with.

Messages from Phonic are events as they are (``phonic_fsm._wire.server``). The others are news of
the connection, timers that have run out, and calls from LiveKit. An event's name, in the table
and in traces, is its tag.
"""

from __future__ import annotations

from typing import Any, Union, get_args

from msgspec import UNSET, Struct, UnsetType

from .._wire.client import ClientMessage
from .._wire.codec import MalformedMessage, UnknownMessage
from .._wire.config import ConfigOptions, InlineTool
from .._wire.server import ServerMessage
from .conversation import Item


class _Event(Struct, frozen=True, tag_field="type"):
    pass


# -- the connection ------------------------------------------------------------------------------


class ConnectionOpened(_Event, frozen=True, tag="connection_opened"):
    """The websocket handshake is done."""

    seconds: float = 0.0
    """How long it took, from the first byte."""


class ConnectFailed(_Event, frozen=True, tag="connect_failed"):
    """No websocket could be opened."""

    problem: str
    retryable: bool = True
    """False where a second try cannot end otherwise (401, 403, 404)."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    chance: float = 0.0
    """A random number from 0 to 1: clients that were cut off together do not return together."""


class ConnectionClosed(_Event, frozen=True, tag="connection_closed"):
    """An open websocket is gone."""

    code: int
    """The server's close code; 1006 where no close frame came."""
    reason: str = ""
    unsent: tuple[ClientMessage, ...] = ()
    """Control messages that were handed over and had not been written, in order."""
    chance: float = 0.0
    """As in ``ConnectFailed``."""


# -- timers, named by what has come to pass ------------------------------------------------------


class RetryDue(_Event, frozen=True, tag="retry_due"):
    """The pause before the next attempt to connect is over."""


class AnswerOverdue(_Event, frozen=True, tag="answer_overdue"):
    """The server took the config, or the socket for a resume, and never said that it is ready."""


class GraceOver(_Event, frozen=True, tag="grace_over"):
    """Phonic no longer keeps the conversation whose connection was lost."""


class ReplyOverdue(_Event, frozen=True, tag="reply_overdue"):
    """What was asked for has not begun: after half of its time, and after all of it."""


class StateOverdue(_Event, frozen=True, tag="state_overdue"):
    """The session has been in this state for longer than the state should last."""

    seconds: float


class AnswerUnclaimed(_Event, frozen=True, tag="answer_unclaimed"):
    """Push-to-talk: nobody has asked for the answer that the assistant gives to the caller."""


class ChangesDue(_Event, frozen=True, tag="changes_due"):
    """The tick in which settings were changed is over: what changed can go out as one message."""


# -- calls from LiveKit --------------------------------------------------------------------------


class UpdateInstructions(_Event, frozen=True, tag="update_instructions"):
    instructions: str


class UpdateTools(_Event, frozen=True, tag="update_tools"):
    tools: tuple[InlineTool, ...]


class Addition(Struct, frozen=True):
    """A chat item and the one that it follows (``None``: the item is the first)."""

    after: str | None
    item: Item


class UpdateOptions(_Event, frozen=True, tag="update_options", kw_only=True):
    """The config as it is to be from now on, without prompt and own tools."""

    config: ConfigOptions
    tools: tuple[InlineTool, ...] | UnsetType = UNSET
    """The own tools, where the change concerns them."""


class UpdateChatContext(_Event, frozen=True, tag="update_chat_ctx"):
    """What ``update_chat_ctx`` changed: the difference, not the whole context."""

    added: tuple[Addition, ...] = ()
    changed: tuple[Item, ...] = ()
    removed: tuple[str, ...] = ()


class UpdateSession(_Event, frozen=True, tag="update_session", kw_only=True):
    """Several settings at once, as at the start and at a handoff."""

    instructions: str | UnsetType = UNSET
    tools: tuple[InlineTool, ...] | UnsetType = UNSET
    items: tuple[Item, ...] | UnsetType = UNSET
    """The whole chat context, which replaces the present one."""


class GenerateReply(_Event, frozen=True, tag="generate_reply"):
    request_id: str
    instructions: str | None = None


class Say(_Event, frozen=True, tag="say", omit_defaults=True):
    request_id: str
    text: str
    interruptible: bool | UnsetType = UNSET
    """Whether the caller can cut it short; unset: as Phonic has it."""


class CancelReply(_Event, frozen=True, tag="cancel_reply"):
    """The caller of generate_reply or say cancelled its future."""

    request_id: str


class Open(_Event, frozen=True, tag="open"):
    """The session was made: the first event of all."""


class SetExternalId(_Event, frozen=True, tag="set_external_id"):
    external_id: str


class Interrupt(_Event, frozen=True, tag="interrupt"):
    pass


class StartUserActivity(_Event, frozen=True, tag="start_user_activity"):
    """Push-to-talk: the caller takes the floor."""


class CommitAudio(_Event, frozen=True, tag="commit_audio"):
    """Push-to-talk: the caller has said all and awaits an answer."""


class ClearAudio(_Event, frozen=True, tag="clear_audio"):
    """Push-to-talk: what the caller has said since the last commit does not count."""

    heard_ms: int
    """How much of it (ms) has gone out already."""


class Restart(_Event, frozen=True, tag="restart"):
    """Give the conversation up and go on in a fresh one."""


class Break(_Event, frozen=True, tag="break"):
    """The session's own task failed: a fault of this package."""

    problem: str


class Close(_Event, frozen=True, tag="close"):
    """aclose()."""


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
    ServerMessage, UnknownMessage, MalformedMessage, ConnectionEvent, TimerEvent, CallEvent
]


def name_of(event: Event | type[Any]) -> str:
    """An event's name, or that of an event's type: its tag."""
    return str(event.__struct_config__.tag)


EVENTS: dict[str, type[Any]] = {name_of(kind): kind for kind in get_args(Event)}
"""Every event type by its name."""
