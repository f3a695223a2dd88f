"""Everything that the machine can ask for: what a step puts out, in the order to carry it out.

An effect says what to do, never how. The runtime carries out the first two groups, the adapter
the others.
"""

from __future__ import annotations

from typing import Any, Literal, Union, get_args

from msgspec import Struct

from .._wire.client import ClientMessage
from .conversation import Item


class _Effect(Struct, frozen=True, tag_field="type"):
    pass


# -- the connection ------------------------------------------------------------------------------


class Connect(_Effect, frozen=True, tag="connect"):
    """Open a websocket; with an id, to resume that conversation."""

    resume: str | None = None


class Disconnect(_Effect, frozen=True, tag="disconnect"):
    """Close the websocket, if there is one, after what was sent before.

    It is not heard of again: no ``connection_closed`` follows.
    """


class Send(_Effect, frozen=True, tag="send"):
    """Hand a message to the outbox; order is kept."""

    message: ClientMessage


Gate = Literal["closed", "holding", "open"]
ToolCallOutcome = Literal["processed", "timed_out", "failed", "interrupted"]


class SetAudioGate(_Effect, frozen=True, tag="set_audio_gate"):
    """What happens to the caller's audio: dropped, kept (the newest 2 s) or sent."""

    gate: Gate


class FlushAudio(_Effect, frozen=True, tag="flush_audio"):
    """Send what has been taken of the caller's audio and waits for a chunk to be full."""


# -- time ----------------------------------------------------------------------------------------


class StartTimer(_Effect, frozen=True, tag="start_timer"):
    """Deliver the event of this name after so many seconds; a running timer starts anew."""

    event: str
    seconds: float


class StopTimer(_Effect, frozen=True, tag="stop_timer"):
    event: str


# -- the assistant's output ----------------------------------------------------------------------


class OpenGeneration(_Effect, frozen=True, tag="open_generation"):
    """Open message, function, text and audio channels and announce them."""

    response_id: str
    """Also the id of the message."""
    user_initiated: bool = False


class PrepareGeneration(_Effect, frozen=True, tag="prepare_generation"):
    """Open the channels, and announce nothing yet."""

    response_id: str


class AnnounceGeneration(_Effect, frozen=True, tag="announce_generation"):
    """Announce the generation that was prepared."""

    response_id: str
    user_initiated: bool


class PushText(_Effect, frozen=True, tag="push_text", gc=False):
    """Words, and when in the generation's audio they are spoken (seconds)."""

    text: str
    start: float = 0.0
    end: float = 0.0


class PushAudio(_Effect, frozen=True, tag="push_audio", gc=False):
    """Audio in the session's output format."""

    audio: bytes


class PushFunctionCall(_Effect, frozen=True, tag="push_function_call"):
    id: str
    call_id: str
    name: str
    arguments: str


class CloseGeneration(_Effect, frozen=True, tag="close_generation"):
    response_id: str
    interrupted: bool = False


# -- the chat context ----------------------------------------------------------------------------


class AddItem(_Effect, frozen=True, tag="add_item"):
    item: Item


class CorrectMessage(_Effect, frozen=True, tag="correct_message"):
    """A message was cut off: this much of it was spoken; without text, take it out."""

    id: str
    text: str


# -- replies that were asked for -----------------------------------------------------------------


class ResolveReply(_Effect, frozen=True, tag="resolve_reply"):
    """The future gets the generation of this id."""

    request_id: str
    response_id: str


ReplyFailure = Literal["timed_out", "declined", "closed"]


class RejectReply(_Effect, frozen=True, tag="reject_reply"):
    request_id: str
    reason: ReplyFailure
    problem: str


class SupersedeReply(_Effect, frozen=True, tag="supersede_reply"):
    """A newer request took its place: the future is cancelled."""

    request_id: str


# -- events for LiveKit, and the log -------------------------------------------------------------


class EmitSpeechStarted(_Effect, frozen=True, tag="emit_speech_started"):
    pass


class EmitSpeechStopped(_Effect, frozen=True, tag="emit_speech_stopped"):
    pass


class EmitTranscript(_Effect, frozen=True, tag="emit_transcript"):
    item_id: str
    text: str


class EmitConnected(_Effect, frozen=True, tag="emit_connected"):
    """A socket is open; opening it took so many seconds."""

    seconds: float


class EmitDtmf(_Effect, frozen=True, tag="emit_dtmf"):
    """The assistant dials these digits."""

    digits: str


class EmitToolCallSettled(_Effect, frozen=True, tag="emit_tool_call_settled", omit_defaults=True):
    """A tool call has come to its end."""

    call_id: str
    name: str
    outcome: ToolCallOutcome
    duration_ms: float | None = None
    """As Phonic measured it."""
    problem: str | None = None


class EmitTimings(_Effect, frozen=True, tag="emit_timings"):
    """Phonic's breakdown of the latency of the turn that begins: names and ms."""

    timings: dict[str, float]


class EmitReconnected(_Effect, frozen=True, tag="emit_reconnected"):
    pass


ErrorKind = Literal[
    "connect_failed",
    "configuration_refused",
    "connection_lost",
    "conversation_ended",
    "server_error",
    "internal_error",
]


class EmitError(_Effect, frozen=True, tag="emit_error"):
    kind: ErrorKind
    problem: str
    recoverable: bool = False
    code: str | None = None
    fields: dict[str, str] = {}
    """What Phonic has against single fields, by their path."""


class Log(_Effect, frozen=True, tag="log"):
    """A line for the log; it holds nothing that was said."""

    level: Literal["debug", "info", "warning"]
    text: str


Effect = Union[
    Connect,
    Disconnect,
    Send,
    SetAudioGate,
    FlushAudio,
    StartTimer,
    StopTimer,
    OpenGeneration,
    PrepareGeneration,
    AnnounceGeneration,
    PushText,
    PushAudio,
    PushFunctionCall,
    CloseGeneration,
    AddItem,
    CorrectMessage,
    ResolveReply,
    RejectReply,
    SupersedeReply,
    EmitSpeechStarted,
    EmitSpeechStopped,
    EmitTranscript,
    EmitConnected,
    EmitDtmf,
    EmitToolCallSettled,
    EmitTimings,
    EmitReconnected,
    EmitError,
    Log,
]

EFFECTS: tuple[type[Any], ...] = get_args(Effect)
"""Every effect type."""
