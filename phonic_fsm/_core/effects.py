"""Everything that the machine can ask for. A step lists its effects in the order to carry them out.

An effect says what to do, never how. The runtime carries out those of the first two groups, and the
log; the adapter carries out the others.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Union, get_args

from msgspec import Struct

from .._wire.bounds import Bound
from .._wire.client import ClientMessage
from .._wire.facts import Id, Measured, Private, PrivateJson, Public, StepKind
from .history import FunctionCall, FunctionCallOutput, Message


class _Effect(Struct, frozen=True, tag_field="type"):
    pass


# -- the connection ------------------------------------------------------------------------------


class Connect(_Effect, frozen=True, tag="connect"):
    """Open a websocket. With an id, it resumes that conversation."""

    step_kind: ClassVar[StepKind] = "connection"
    resume: Id[str | None] = None


class Disconnect(_Effect, frozen=True, tag="disconnect"):
    """Close the websocket, if there is one, once what was sent before is written.

    No ``connection_closed`` follows.
    """

    step_kind: ClassVar[StepKind] = "connection"


class Abandon(_Effect, frozen=True, tag="abandon"):
    """Drop the websocket, if there is one, without a close frame, and send nothing more.

    A close frame would end the conversation, with which another process goes on.
    """

    step_kind: ClassVar[StepKind] = "connection"


class Send(_Effect, frozen=True, tag="send"):
    """Send a message to Phonic. Messages keep their order."""

    step_kind: ClassVar[StepKind | None] = None
    message: ClientMessage


Gate = Literal["closed", "holding", "muted", "open"]
ToolCallOutcome = Literal["processed", "timed_out", "failed", "interrupted"]


class KeepMemory(_Effect, frozen=True, tag="keep_memory"):
    """The machine's whole memory, for the journal. Nothing is to be done."""

    step_kind: ClassVar[StepKind] = "connection"
    memory: Measured[dict[str, Any]]


class SetAudioGate(_Effect, frozen=True, tag="set_audio_gate", omit_defaults=True):
    """Say what happens to the caller's audio.

    It is dropped (closed) or sent (open), or the newest of it is kept until it can be sent, while
    nothing is sent (holding) or silence is sent in its place (muted).
    """

    step_kind: ClassVar[StepKind] = "connection"
    gate: Gate
    keep_ms: Public[int] = 0
    """How much of the newest audio is kept."""


class FlushAudio(_Effect, frozen=True, tag="flush_audio"):
    """Send the caller's audio that waits for a chunk to be full."""

    step_kind: ClassVar[StepKind] = "speech"


# -- time ----------------------------------------------------------------------------------------


class StartTimer(_Effect, frozen=True, tag="start_timer"):
    """Deliver the event of this name after so many seconds. A running timer starts again."""

    step_kind: ClassVar[StepKind | None] = None
    event: Public[str]
    seconds: Public[float]


class StopTimer(_Effect, frozen=True, tag="stop_timer"):
    step_kind: ClassVar[StepKind | None] = None
    event: Public[str]


# -- the assistant's output ----------------------------------------------------------------------


class OpenGeneration(_Effect, frozen=True, tag="open_generation"):
    """Open the streams of a new generation, and announce it."""

    step_kind: ClassVar[StepKind] = "speech"
    response_id: Id[str]
    """Also the id of the message."""
    user_initiated: bool = False


class PrepareGeneration(_Effect, frozen=True, tag="prepare_generation"):
    """Open the streams of a new generation, and do not announce it yet."""

    step_kind: ClassVar[StepKind] = "speech"
    response_id: Id[str]


class AnnounceGeneration(_Effect, frozen=True, tag="announce_generation"):
    """Announce the generation that was prepared."""

    step_kind: ClassVar[StepKind] = "speech"
    response_id: Id[str]
    user_initiated: bool


class PushText(_Effect, frozen=True, tag="push_text", gc=False):
    """Words, and from when to when they are spoken, in seconds of the generation's audio."""

    step_kind: ClassVar[StepKind] = "audio"
    text: Private[str]
    start: Measured[float] = 0.0
    end: Measured[float] = 0.0


class PushAudio(_Effect, frozen=True, tag="push_audio", gc=False):
    """Audio in the session's output format."""

    step_kind: ClassVar[StepKind] = "audio"
    audio: Measured[bytes]


class PushFunctionCall(_Effect, frozen=True, tag="push_function_call"):
    step_kind: ClassVar[StepKind] = "tool"
    id: Id[str]
    call_id: Id[str]
    name: Public[str]
    arguments: PrivateJson[str]


class CloseGeneration(_Effect, frozen=True, tag="close_generation"):
    step_kind: ClassVar[StepKind] = "speech"
    response_id: Id[str]
    interrupted: bool = False


class AskPlayback(_Effect, frozen=True, tag="ask_playback"):
    """Say, by the event ``playback_left``, how long what the assistant has said is still played."""

    step_kind: ClassVar[StepKind] = "speech"


# -- the chat context ----------------------------------------------------------------------------


class AddItem(_Effect, frozen=True, tag="add_item"):
    step_kind: ClassVar[StepKind] = "chat"
    item: Message | FunctionCall | FunctionCallOutput


class RestoreItem(_Effect, frozen=True, tag="restore_item"):
    """Add an item of the past that the agent's chat context lacks, after a takeover."""

    step_kind: ClassVar[StepKind] = "chat"
    item: Message | FunctionCall | FunctionCallOutput


class CorrectMessage(_Effect, frozen=True, tag="correct_message"):
    """Cut an interrupted message down to what was spoken of it; without text, take it out."""

    step_kind: ClassVar[StepKind] = "speech"
    id: Id[str]
    text: Private[str]


# -- replies that were asked for -----------------------------------------------------------------


class ResolveReply(_Effect, frozen=True, tag="resolve_reply"):
    """Resolve the reply's future with the generation of this id."""

    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]
    response_id: Id[str]


ReplyFailure = Literal["timed_out", "declined", "closed"]


class RejectReply(_Effect, frozen=True, tag="reject_reply"):
    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]
    reason: ReplyFailure
    problem: Public[str]


class SupersedeReply(_Effect, frozen=True, tag="supersede_reply"):
    """Cancel the reply's future: a newer request has taken its place."""

    step_kind: ClassVar[StepKind] = "reply"
    request_id: Id[str]


# -- events for LiveKit, and the log -------------------------------------------------------------


class EmitSpeechStarted(_Effect, frozen=True, tag="emit_speech_started", omit_defaults=True):
    step_kind: ClassVar[StepKind] = "speech"
    committed: bool = False
    """Whether LiveKit has committed the turn before (push-to-talk): it has begun earlier."""


class EmitSpeechStopped(_Effect, frozen=True, tag="emit_speech_stopped"):
    step_kind: ClassVar[StepKind] = "speech"


class EmitTranscript(_Effect, frozen=True, tag="emit_transcript", omit_defaults=True):
    step_kind: ClassVar[StepKind] = "speech"
    item_id: Id[str]
    text: Private[str]
    language: Public[str | None] = None
    """ISO 639-1 code of what the caller spoke, if Phonic says so."""
    turns_ago: Public[int] = 0
    """How many turns of the caller have begun since the one that this is the transcript of."""


class EmitConnected(_Effect, frozen=True, tag="emit_connected"):
    """A connection is open. Opening it took so many seconds."""

    step_kind: ClassVar[StepKind] = "connection"
    seconds: Measured[float]


class EmitDtmf(_Effect, frozen=True, tag="emit_dtmf"):
    """The assistant dials these digits."""

    step_kind: ClassVar[StepKind] = "speech"
    digits: Private[str]


class EmitToolCallSettled(_Effect, frozen=True, tag="emit_tool_call_settled", omit_defaults=True):
    """A tool call is over."""

    step_kind: ClassVar[StepKind] = "tool"
    call_id: Id[str]
    name: Public[str]
    outcome: ToolCallOutcome
    duration_ms: Measured[float | None] = None
    """From the call to its end, as Phonic measured it."""
    problem: Private[str | None] = None


class EmitTimings(_Effect, frozen=True, tag="emit_timings"):
    """How long each part of the preparation of an answer took (ms), as Phonic says."""

    step_kind: ClassVar[StepKind] = "speech"
    timings: Measured[dict[str, float]]


class EmitReconnected(_Effect, frozen=True, tag="emit_reconnected"):
    step_kind: ClassVar[StepKind] = "connection"


ErrorKind = Literal[
    "connect_failed",
    "configuration_refused",
    "connection_lost",
    "conversation_ended",
    "superseded",
    "server_error",
    "internal_error",
]


class EmitError(_Effect, frozen=True, tag="emit_error"):
    step_kind: ClassVar[StepKind] = "error"
    kind: ErrorKind
    problem: Private[str]
    recoverable: bool = False
    code: Public[str | None] = None
    fields: Private[dict[str, str]] = {}
    """What is wrong with single fields, by their path, as Phonic says."""


class Log(_Effect, frozen=True, tag="log", omit_defaults=True):
    """Write a line to the log. It holds nothing that was said in the call."""

    step_kind: ClassVar[StepKind | None] = None
    level: Literal["debug", "info", "warning"]
    text: Measured[str]
    bound: Bound | None = None
    """The bound that was reached, if that is what it says."""


Effect = Union[
    Connect,
    Disconnect,
    Abandon,
    KeepMemory,
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
    AskPlayback,
    AddItem,
    RestoreItem,
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

EFFECTS: dict[str, type[Any]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Effect)}
"""Every effect type by its name."""
