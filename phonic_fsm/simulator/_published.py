"""What Phonic publishes about the values in a config and in a tool: defaults, ranges and choices.

Source: the published description of the websocket (AsyncAPI, July 2026) for defaults and choices,
that of the REST API (OpenAPI: an agent's and a tool's settings) for ranges, and the SDK's types for
what is younger than both. Nothing here checks a value, and a service may widen a range unannounced.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Published(NamedTuple):
    """What is known of one field. Values are in the unit of the field's name."""

    default: Any = None
    """What holds if neither the config nor its agent says anything; None if that is not known."""
    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] = ()


_FORMATS = ("pcm_44100", "pcm_24000", "pcm_16000", "pcm_8000", "mulaw_8000")

CONFIG = {
    "project": Published("main"),
    "model": Published("merritt", choices=("merritt",)),
    "system_prompt": Published("Respond in 1-2 sentences."),
    "audio_speed": Published(1.0, 0.5, 1.5),
    "background_noise_level": Published(0.0, 0.0, 0.25),
    "background_noise": Published(choices=("office", "call-center", "coffee-shop")),
    "generate_welcome_message": Published(False),
    "is_welcome_message_interruptible": Published(True),
    "websocket_timeout_sec": Published(60, 1, 300),
    "voice_id": Published("sabrina"),
    "input_format": Published("pcm_44100", choices=_FORMATS),
    "output_format": Published("pcm_44100", choices=_FORMATS),
    "vad_prebuffer_duration_ms": Published(500, 0, 2000),
    "vad_min_speech_duration_ms": Published(50, 0, 1500),
    "vad_min_silence_duration_ms": Published(800, 0, 1500),
    "vad_threshold": Published(0.38, 0.2, 0.8),
    "min_words_to_interrupt": Published(1, 1, 10),
    "generate_no_input_poke_text": Published(False),
    "no_input_poke_sec": Published(),
    "no_input_poke_text": Published("Are you still there?"),
    "no_input_end_conversation_sec": Published(180),
    "default_language": Published("en"),
    "additional_languages": Published([]),
    "multilingual_mode": Published("request", choices=("auto", "request", "initial")),
    "push_to_talk": Published(False),
    "stream_ahead_of_real_time": Published(False),
    "intelligence_level": Published("standard", choices=("standard", "high")),
    "enable_redaction": Published(False),
    "mcp_servers": Published([]),
    "observability_integrations": Published([], choices=("braintrust",)),
    "enable_assistant_backchannel": Published(False),
    "assistant_backchannel_aggressiveness": Published(0.1, 0.0, 1.0),
}
"""Fields of a config. For a list, ``choices`` are those of its items."""

TOOL = {
    "execution_mode": Published("sync", choices=("sync", "async")),
    "tool_call_output_timeout_ms": Published(5000, 1000, 180_000),
    "require_speech_before_tool_call": Published(False),
    "wait_for_speech_before_tool_call": Published(False),
    "forbid_speech_after_tool_call": Published(False),
    "allow_tool_chaining": Published(True),
    "wait_for_response": Published(False),
}
"""Fields of an inline tool."""

MOST_ADDITIONAL_LANGUAGES = 2
"""So many ``additional_languages`` are allowed in the ``multilingual_mode`` ``auto``."""

RESERVED_PARAMETERS = frozenset(
    {
        "call_info",
        "conversation_id",
        "from_phone_number",
        "pre_tool_text",
        "to_phone_number",
        "twilio_call_sid",
    }
)
"""Phonic adds these to every tool call, so no parameter of a tool may have such a name."""

BUILT_IN_TOOLS = (
    "keypad_input",
    "natural_conversation_ending",
    "choose_not_to_respond",
    "web_search",
)
