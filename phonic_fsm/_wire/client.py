"""Messages from the client to Phonic's server (12), tagged by ``type``.

Source: the ``*Payload`` models that ``phonic.conversations.socket_client`` sends.
"""

from __future__ import annotations

from typing import Any, ClassVar, Union

from msgspec import UNSET, Struct, UnsetType

from .config import ConfigOptions, ToolDefinition
from .facts import Compared, Id, Measured, Private, Public, StepKind


class _ClientMessage(Struct, frozen=True, tag_field="type"):
    pass


class Config(ConfigOptions, frozen=True, kw_only=True, tag="config", tag_field="type"):
    """Starts the conversation. It is the first message, and sent once."""

    step_kind: ClassVar[StepKind] = "settings"


class AudioChunk(_ClientMessage, frozen=True, tag="audio_chunk", gc=False):
    """The caller's audio in the input format; base64 on the wire, 20 ms advised, at most 40 ms."""

    step_kind: ClassVar[StepKind] = "audio"
    audio: Measured[bytes]
    iso_date_time: Measured[str | UnsetType | None] = UNSET


class UpdateSystemPrompt(_ClientMessage, frozen=True, tag="update_system_prompt"):
    """Replaces the system prompt. The new one cannot contain template variables."""

    step_kind: ClassVar[StepKind] = "settings"
    system_prompt: Compared[str]


class AddSystemMessage(_ClientMessage, frozen=True, tag="add_system_message"):
    step_kind: ClassVar[StepKind] = "chat"
    system_message: Private[str]


class UpdateToolsSubset(_ClientMessage, frozen=True, tag="update_tools_subset"):
    step_kind: ClassVar[StepKind] = "settings"
    tools: Public[list[ToolDefinition]]


class SetExternalId(_ClientMessage, frozen=True, tag="set_external_id"):
    step_kind: ClassVar[StepKind] = "settings"
    external_id: Id[Compared[str]]


class ToolCallOutput(_ClientMessage, frozen=True, tag="tool_call_output"):
    step_kind: ClassVar[StepKind] = "tool"
    tool_call_id: Id[str]
    output: Private[Any]


class Mute(_ClientMessage, frozen=True, tag="mute"):
    """Push-to-talk: the caller has finished."""

    step_kind: ClassVar[StepKind] = "speech"


class Unmute(_ClientMessage, frozen=True, tag="unmute"):
    """Push-to-talk: the caller begins to speak."""

    step_kind: ClassVar[StepKind] = "speech"


class GenerateReply(_ClientMessage, frozen=True, tag="generate_reply"):
    step_kind: ClassVar[StepKind] = "reply"
    system_message: Private[str | UnsetType | None] = UNSET
    user_message: Private[str | UnsetType | None] = UNSET


class Say(_ClientMessage, frozen=True, tag="say"):
    step_kind: ClassVar[StepKind] = "reply"
    text: Private[str]
    interruptible: bool | UnsetType | None = UNSET


class Reset(_ClientMessage, frozen=True, tag="reset"):
    """Sets a new config and begins a fresh turn, on the same connection."""

    step_kind: ClassVar[StepKind] = "settings"
    config: ConfigOptions


ClientMessage = Union[
    Config,
    AudioChunk,
    UpdateSystemPrompt,
    AddSystemMessage,
    UpdateToolsSubset,
    SetExternalId,
    ToolCallOutput,
    Mute,
    Unmute,
    GenerateReply,
    Say,
    Reset,
]
