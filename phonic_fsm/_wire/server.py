"""Messages from Phonic's server (18, and ``conversation_reconnected``), tagged by ``type``.

Source: ``phonic.conversations.socket_client.ConversationsSocketClientResponse``. What the SDK's
union lacks, its reconnecting socket looks for: ``conversation_reconnected``. Each message is at
the same time the event that the machine is fed with. Fields that the server may leave out have a
default, and so have those that it might fill with ``null``; fields that it may add are skipped.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Union

from msgspec import Meta, Struct

from .facts import Id, Measured, Private, Public, StepKind

LONGEST_NAME = 256
"""Characters of an id, a tool's name or a code. A message with a longer one is refused."""

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]


class _ServerMessage(Struct, frozen=True, tag_field="type"):
    pass


class ReadyToStartConversation(_ServerMessage, frozen=True, tag="ready_to_start_conversation"):
    """The server has accepted the config, and listens from here on."""

    step_kind: ClassVar[StepKind] = "connection"


class ConversationCreated(_ServerMessage, frozen=True, tag="conversation_created"):
    step_kind: ClassVar[StepKind] = "connection"
    conversation_id: Id[Name]


class ConversationReconnected(_ServerMessage, frozen=True, tag="conversation_reconnected"):
    """The conversation was resumed with ``reconnect_conv_id``. Source: the SDK's code."""

    step_kind: ClassVar[StepKind] = "connection"


class InputText(_ServerMessage, frozen=True, tag="input_text", omit_defaults=True):
    """The final transcript of what the caller said."""

    step_kind: ClassVar[StepKind] = "speech"
    text: Private[str]
    language: Public[Name | None] = None
    repeats_typed: bool | None = None
    """Whether it is what the user typed a moment ago. The session says so, not the server."""


class InputCancelled(_ServerMessage, frozen=True, tag="input_cancelled"):
    """No speech was detected after all: the caller's turn does not count."""

    step_kind: ClassVar[StepKind] = "speech"


class AudioChunk(_ServerMessage, frozen=True, tag="audio_chunk", gc=False):
    """The assistant's audio (base64 on the wire) and the words that are spoken in it.

    Between the assistant's turns, chunks without text bring silence or background sound.
    """

    step_kind: ClassVar[StepKind] = "audio"
    audio: Measured[bytes | None] = b""
    text: Private[str | None] = ""
    timings: Measured[dict[str, float] | None] = None
    """Latencies (ms), on the first chunk of a turn."""


class UserStartedSpeaking(_ServerMessage, frozen=True, tag="user_started_speaking"):
    step_kind: ClassVar[StepKind] = "speech"


class UserFinishedSpeaking(_ServerMessage, frozen=True, tag="user_finished_speaking"):
    step_kind: ClassVar[StepKind] = "speech"


class AssistantStartedSpeaking(_ServerMessage, frozen=True, tag="assistant_started_speaking"):
    step_kind: ClassVar[StepKind] = "speech"


class AssistantFinishedSpeaking(_ServerMessage, frozen=True, tag="assistant_finished_speaking"):
    step_kind: ClassVar[StepKind] = "speech"


class InterruptedResponse(_ServerMessage, frozen=True, tag="interrupted_response"):
    step_kind: ClassVar[StepKind] = "speech"
    text: Private[str]
    """What the assistant said before the caller interrupted it."""


class Dtmf(_ServerMessage, frozen=True, tag="dtmf"):
    step_kind: ClassVar[StepKind] = "speech"
    digits: Private[str]
    timings: Measured[dict[str, float] | None] = None


class ToolCall(_ServerMessage, frozen=True, tag="tool_call"):
    step_kind: ClassVar[StepKind] = "tool"
    tool_call_id: Id[Name]
    tool_name: Public[Name]
    parameters: Private[dict[str, Any] | None] = {}


class CalledTool(Struct, frozen=True):
    id: Id[Name]
    name: Public[Name]


class ToolCallOutputProcessed(
    _ServerMessage, frozen=True, tag="tool_call_output_processed", kw_only=True
):
    """A tool call is over. The ``endpoint_*`` fields are those of webhook tools."""

    step_kind: ClassVar[StepKind] = "tool"
    tool_call_id: Id[Name]
    tool: CalledTool | None = None
    tool_config: Private[dict[str, Any] | None] = None
    endpoint_method: Public[Name | None] = None
    endpoint_url: Private[str | None] = None
    endpoint_timeout_ms: Public[int | None] = None
    endpoint_called_at: Measured[str | None] = None
    query_params: Private[dict[str, str | None] | None] = None
    request_body: Private[dict[str, Any] | None] = None
    response_body: Private[Any] = None
    parameters: Private[dict[str, Any] | None] = None
    output: Private[Any] = None
    response_status_code: Public[int | None] = None
    duration_ms: Measured[float | None] = None
    timed_out: bool | None = None
    error_message: Private[str | None] = None
    conversation_item_role: Public[Name | None] = None


class ToolCallInterrupted(_ServerMessage, frozen=True, tag="tool_call_interrupted"):
    step_kind: ClassVar[StepKind] = "tool"
    tool_call_id: Id[Name]
    tool_name: Public[Name] = ""


class AssistantChoseNotToRespond(_ServerMessage, frozen=True, tag="assistant_chose_not_to_respond"):
    step_kind: ClassVar[StepKind] = "speech"


class AssistantEndedConversation(_ServerMessage, frozen=True, tag="assistant_ended_conversation"):
    step_kind: ClassVar[StepKind] = "connection"


class Problem(Struct, frozen=True):
    """The text and the code of an ``error`` or a ``warning``."""

    message: Private[str]
    code: Public[Name | None] = None


class Error(_ServerMessage, frozen=True, tag="error", omit_defaults=True):
    step_kind: ClassVar[StepKind] = "error"
    error: Problem
    param_errors: Private[dict[str, str] | None] = None
    """What is wrong with single fields, by their path."""
    names: Literal["update_system_prompt"] | None = None
    """The message from the client that its text names. The decoder says so, not the server."""
    calls: Id[tuple[str, ...]] = ()
    """The tool calls that its text names, by id. The session says so, not the server."""


class Warning(_ServerMessage, frozen=True, tag="warning", omit_defaults=True):
    step_kind: ClassVar[StepKind] = "error"
    warning: Problem
    names: Literal["update_system_prompt"] | None = None
    """As in ``Error``."""


ServerMessage = Union[
    ReadyToStartConversation,
    ConversationCreated,
    ConversationReconnected,
    InputText,
    InputCancelled,
    AudioChunk,
    UserStartedSpeaking,
    UserFinishedSpeaking,
    AssistantStartedSpeaking,
    AssistantFinishedSpeaking,
    InterruptedResponse,
    Dtmf,
    ToolCall,
    ToolCallOutputProcessed,
    ToolCallInterrupted,
    AssistantChoseNotToRespond,
    AssistantEndedConversation,
    Error,
    Warning,
]
