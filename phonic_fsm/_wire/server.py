"""Messages from Phonic's server (18, and ``conversation_reconnected``), tagged by ``type``.

Source: ``phonic.conversations.socket_client.ConversationsSocketClientResponse``. What the SDK's
union lacks, its reconnecting socket looks for: ``conversation_reconnected``. Each message is at
the same time the event that the machine is fed with. Fields that the server may leave out have a
default, and so have those that it might fill with ``null``; fields that it may add are skipped.
"""

from __future__ import annotations

from typing import Any, Union

from msgspec import Struct


class _ServerMessage(Struct, frozen=True, tag_field="type"):
    pass


class ReadyToStartConversation(_ServerMessage, frozen=True, tag="ready_to_start_conversation"):
    """The config was accepted; from here on the server listens."""


class ConversationCreated(_ServerMessage, frozen=True, tag="conversation_created"):
    conversation_id: str


class ConversationReconnected(_ServerMessage, frozen=True, tag="conversation_reconnected"):
    """The answer to a connection opened with ``reconnect_conv_id`` (observed in SDK code)."""


class InputText(_ServerMessage, frozen=True, tag="input_text"):
    """What the caller said, once it is final."""

    text: str
    language: str | None = None


class InputCancelled(_ServerMessage, frozen=True, tag="input_cancelled"):
    """The caller's turn was withdrawn."""


class AudioChunk(_ServerMessage, frozen=True, tag="audio_chunk", gc=False):
    """The assistant's audio (base64 on the wire) with the text that goes with it.

    Also sent outside the assistant's turns: silence or background sound, without text.
    """

    audio: bytes | None = b""
    text: str | None = ""
    timings: dict[str, float] | None = None
    """Latencies in ms, on a turn's first chunk."""


class UserStartedSpeaking(_ServerMessage, frozen=True, tag="user_started_speaking"):
    pass


class UserFinishedSpeaking(_ServerMessage, frozen=True, tag="user_finished_speaking"):
    pass


class AssistantStartedSpeaking(_ServerMessage, frozen=True, tag="assistant_started_speaking"):
    pass


class AssistantFinishedSpeaking(_ServerMessage, frozen=True, tag="assistant_finished_speaking"):
    pass


class InterruptedResponse(_ServerMessage, frozen=True, tag="interrupted_response"):
    text: str
    """The part of the assistant's turn that was spoken before the caller interrupted."""


class Dtmf(_ServerMessage, frozen=True, tag="dtmf"):
    digits: str
    timings: dict[str, float] | None = None


class ToolCall(_ServerMessage, frozen=True, tag="tool_call"):
    tool_call_id: str
    tool_name: str
    parameters: dict[str, Any] | None = {}


class CalledTool(Struct, frozen=True):
    id: str
    name: str


class ToolCallOutputProcessed(
    _ServerMessage, frozen=True, tag="tool_call_output_processed", kw_only=True
):
    """A call is settled. Webhook tools fill the ``endpoint_*`` fields, ours the others."""

    tool_call_id: str
    tool: CalledTool | None = None
    tool_config: dict[str, Any] | None = None
    endpoint_method: str | None = None
    endpoint_url: str | None = None
    endpoint_timeout_ms: int | None = None
    endpoint_called_at: str | None = None
    query_params: dict[str, str | None] | None = None
    request_body: dict[str, Any] | None = None
    response_body: Any = None
    parameters: dict[str, Any] | None = None
    output: Any = None
    response_status_code: int | None = None
    duration_ms: float | None = None
    timed_out: bool | None = None
    error_message: str | None = None
    conversation_item_role: str | None = None


class ToolCallInterrupted(_ServerMessage, frozen=True, tag="tool_call_interrupted"):
    tool_call_id: str
    tool_name: str = ""


class AssistantChoseNotToRespond(_ServerMessage, frozen=True, tag="assistant_chose_not_to_respond"):
    pass


class AssistantEndedConversation(_ServerMessage, frozen=True, tag="assistant_ended_conversation"):
    pass


class Problem(Struct, frozen=True):
    """What an ``error`` or a ``warning`` says."""

    message: str
    code: str | None = None


class Error(_ServerMessage, frozen=True, tag="error"):
    error: Problem
    param_errors: dict[str, str] | None = None
    """Field path → what is wrong with it."""


class Warning(_ServerMessage, frozen=True, tag="warning"):
    warning: Problem


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
