"""The fields of ``config`` and ``reset``, and the tools that they carry.

Source: ``phonic.types.ConfigOptions``, ``InlineWebSocketTool`` and ``BuiltInToolDefinition`` of
the SDK. A field left ``UNSET`` is not sent, so the Phonic agent's own setting (or the server's
default) holds; ``None`` is sent as ``null``.
"""

from __future__ import annotations

from typing import Any, Literal, Union

from msgspec import UNSET, Struct, UnsetType

from .facts import Compared, Function, Id, Public

AudioFormat = Literal["pcm_44100", "pcm_24000", "pcm_16000", "pcm_8000", "mulaw_8000"]
"""The audio formats that Phonic takes: PCM16 LE, or µ-law, and the sample rate in Hz; all mono."""

DEFAULT_FORMAT = "pcm_44100"
"""The format that Phonic is assumed to use if the config names none."""

SAMPLING = {
    "pcm_44100": (44_100, 2),
    "pcm_24000": (24_000, 2),
    "pcm_16000": (16_000, 2),
    "pcm_8000": (8_000, 2),
    "mulaw_8000": (8_000, 1),
}
"""The sample rate (Hz) and the bytes per sample of each format. All are mono."""


class InlineTool(Struct, frozen=True, tag="custom_websocket", tag_field="type"):
    """A tool that the application runs (``custom_websocket``)."""

    tool_schema: Function[dict[str, Any]]
    """The function in OpenAI's form: ``{"type": "function", "function": {...}}``."""
    execution_mode: Literal["sync", "async"] | UnsetType | None = UNSET
    tool_call_output_timeout_ms: Public[int | UnsetType | None] = UNSET
    require_speech_before_tool_call: bool | UnsetType | None = UNSET
    wait_for_speech_before_tool_call: bool | UnsetType | None = UNSET
    forbid_speech_after_tool_call: bool | UnsetType | None = UNSET
    forbid_tool_call_after_speech: bool | UnsetType | None = UNSET
    allow_tool_chaining: bool | UnsetType | None = UNSET
    wait_for_response: bool | UnsetType | None = UNSET
    uninterruptible: bool | UnsetType | None = UNSET
    can_run_during_user_speech: bool | UnsetType | None = UNSET

    @property
    def name(self) -> str:
        return str(self.tool_schema["function"]["name"])


class BuiltInTool(Struct, frozen=True, tag="built_in", tag_field="type"):
    """One of Phonic's built-in tools, with a configuration of its own."""

    name: Public[str]
    tool_config: Compared[dict[str, Any]]


ToolDefinition = Union[str, BuiltInTool, InlineTool]
"""A string is the name of a tool that Phonic has already."""


class ConfigOptions(Struct, frozen=True, kw_only=True):
    """All settings of a conversation, as ``config`` and ``reset`` carry them (48 fields).

    Durations are in the unit of their suffix (``_sec``, ``_ms``); ``audio_speed`` is a factor;
    languages are ISO 639-1 codes.
    """

    agent: Public[str | UnsetType | None] = UNSET
    project: Public[str | UnsetType | None] = UNSET
    model: Public[str | UnsetType | None] = UNSET
    system_prompt: Compared[str | UnsetType | None] = UNSET
    audio_speed: Public[float | UnsetType | None] = UNSET
    background_noise_level: Public[float | UnsetType | None] = UNSET
    background_noise: Public[str | UnsetType | None] = UNSET
    generate_welcome_message: bool | UnsetType | None = UNSET
    is_welcome_message_interruptible: bool | UnsetType | None = UNSET
    websocket_timeout_sec: Public[int | UnsetType | None] = UNSET
    welcome_message: Compared[str | UnsetType | None] = UNSET
    voice_id: Public[str | UnsetType | None] = UNSET
    additional_voice_ids: Public[list[str] | UnsetType | None] = UNSET
    input_format: AudioFormat | UnsetType | None = UNSET
    output_format: AudioFormat | UnsetType | None = UNSET
    vad_prebuffer_duration_ms: Public[int | UnsetType | None] = UNSET
    vad_min_speech_duration_ms: Public[int | UnsetType | None] = UNSET
    vad_min_silence_duration_ms: Public[int | UnsetType | None] = UNSET
    vad_threshold: Public[float | UnsetType | None] = UNSET
    min_words_to_interrupt: Public[int | UnsetType | None] = UNSET
    generate_no_input_poke_text: bool | UnsetType | None = UNSET
    no_input_poke_sec: Public[int | float | UnsetType | None] = UNSET
    no_input_poke_text: Compared[str | UnsetType | None] = UNSET
    no_input_end_conversation_sec: Public[int | float | UnsetType | None] = UNSET
    default_language: Public[str | UnsetType | None] = UNSET
    additional_languages: Public[list[str] | UnsetType | None] = UNSET
    multilingual_mode: Public[str | UnsetType | None] = UNSET
    push_to_talk: bool | UnsetType | None = UNSET
    stream_ahead_of_real_time: bool | UnsetType | None = UNSET
    intelligence_level: Public[str | UnsetType | None] = UNSET
    phonic_model: Public[str | UnsetType | None] = UNSET
    boosted_keywords: Compared[list[str] | UnsetType | None] = UNSET
    pronunciation_dictionary: Compared[list[dict[str, str]] | UnsetType | None] = UNSET
    tools: Public[list[ToolDefinition] | UnsetType | None] = UNSET
    template_variables: Compared[dict[str, str] | UnsetType | None] = UNSET
    enable_redaction: bool | UnsetType | None = UNSET
    enable_watermarking: bool | UnsetType | None = UNSET
    mcp_servers: Public[list[str] | UnsetType | None] = UNSET
    observability_integrations: Public[list[str] | UnsetType | None] = UNSET
    external_storage_policy: Compared[str | UnsetType | None] = UNSET
    tasks: Compared[list[dict[str, str]] | UnsetType | None] = UNSET
    outbound_number_pool: Compared[dict[str, list[str]] | UnsetType | None] = UNSET
    enable_assistant_backchannel: bool | UnsetType | None = UNSET
    assistant_backchannel_aggressiveness: Public[float | UnsetType | None] = UNSET
    configuration_endpoint: Compared[dict[str, Any] | UnsetType | None] = UNSET
    additional_params: Compared[dict[str, Any] | UnsetType | None] = UNSET
    data_retention_policy: Compared[dict[str, Any] | UnsetType | None] = UNSET
    external_id: Id[Compared[str | UnsetType | None]] = UNSET
