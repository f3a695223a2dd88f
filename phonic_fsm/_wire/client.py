"""Messages from the client to Phonic's server (12), tagged by ``type``.

Source: the ``*Payload`` models that ``phonic.conversations.socket_client`` sends.
"""

from __future__ import annotations

from typing import Any, Union

from msgspec import UNSET, Struct, UnsetType

from .config import ConfigOptions, ToolDefinition


class _ClientMessage(Struct, frozen=True, tag_field="type"):
    pass


class Config(ConfigOptions, frozen=True, kw_only=True, tag="config", tag_field="type"):
    """Starts the conversation: sent first, and once."""


class AudioChunk(_ClientMessage, frozen=True, tag="audio_chunk", gc=False):
    """The caller's audio in the input format: base64 on the wire, at most 40 ms (20 advised)."""

    audio: bytes
    iso_date_time: str | UnsetType | None = UNSET


class UpdateSystemPrompt(_ClientMessage, frozen=True, tag="update_system_prompt"):
    """Replaces the system prompt; it cannot contain template variables."""

    system_prompt: str


class AddSystemMessage(_ClientMessage, frozen=True, tag="add_system_message"):
    system_message: str


class UpdateToolsSubset(_ClientMessage, frozen=True, tag="update_tools_subset"):
    tools: list[ToolDefinition]


class SetExternalId(_ClientMessage, frozen=True, tag="set_external_id"):
    external_id: str


class ToolCallOutput(_ClientMessage, frozen=True, tag="tool_call_output"):
    tool_call_id: str
    output: Any


class Mute(_ClientMessage, frozen=True, tag="mute"):
    """Push-to-talk: the caller has let go."""


class Unmute(_ClientMessage, frozen=True, tag="unmute"):
    """Push-to-talk: the caller speaks from here on."""


class GenerateReply(_ClientMessage, frozen=True, tag="generate_reply"):
    system_message: str | UnsetType | None = UNSET
    user_message: str | UnsetType | None = UNSET


class Say(_ClientMessage, frozen=True, tag="say"):
    text: str
    interruptible: bool | UnsetType | None = UNSET


class Reset(_ClientMessage, frozen=True, tag="reset"):
    """New config and a fresh turn on the same connection."""

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
