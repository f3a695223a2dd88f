"""What a config means to the simulator: the fields that it honours, with their defaults.

A config that comes here is valid: ``_refusals`` has checked it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from msgspec import UnsetType

from phonic_fsm._audio.formats import WIRE_FORMATS, WireFormat
from phonic_fsm._wire.config import DEFAULT_FORMAT, ConfigOptions, InlineTool, ToolDefinition

from ._doubts import Doubts

_STOCK_WELCOME = "Hello, how can I help you?"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Settings:
    """A conversation's settings. Durations are in the unit of their suffix; 0 s means never."""

    input_format: WireFormat
    output_format: WireFormat
    ahead: bool
    push_to_talk: bool
    threshold_dbfs: float
    min_speech_ms: float
    min_silence_ms: float
    min_words_to_interrupt: int
    backchannels: bool
    background_level: float | None
    """From 0 to 1; None if the config asks for no background noise."""
    poke_after_s: float
    poke_line: str | None
    """None if the question is to be generated."""
    end_after_s: float
    timeout_s: float
    tools: dict[str, ToolDefinition]

    @classmethod
    def of(cls, config: ConfigOptions) -> Settings:
        return cls(
            input_format=WIRE_FORMATS[config.input_format or DEFAULT_FORMAT],
            output_format=WIRE_FORMATS[config.output_format or DEFAULT_FORMAT],
            ahead=_given(config.stream_ahead_of_real_time, False),
            push_to_talk=_given(config.push_to_talk, False),
            threshold_dbfs=40 * _given(config.vad_threshold, 0.5) - 60,
            min_speech_ms=_given(config.vad_min_speech_duration_ms, 60),
            min_silence_ms=_given(config.vad_min_silence_duration_ms, 500),
            min_words_to_interrupt=_given(config.min_words_to_interrupt, 0),
            backchannels=_given(config.enable_assistant_backchannel, True),
            background_level=_noise_level(config),
            poke_after_s=_given(config.no_input_poke_sec, 0),
            poke_line=_poke_line(config),
            end_after_s=_given(config.no_input_end_conversation_sec, 0),
            timeout_s=_given(config.websocket_timeout_sec, 0),
            tools={tool_name(tool): tool for tool in _given(config.tools, [])},
        )


def welcome_line(config: ConfigOptions, of_agent: str | None, doubts: Doubts) -> str:
    """What is said at the start, "" for nothing; ``of_agent`` is the scenario's welcome."""
    if config.welcome_message is None and doubts.null_welcome == "silences":
        of_agent = None
    if _given(config.generate_welcome_message, False):
        return of_agent or _STOCK_WELCOME
    return _given(config.welcome_message, of_agent or "")


def tool_name(tool: ToolDefinition) -> str:
    """The name under which a tool is called."""
    return tool if isinstance(tool, str) else tool.name


@dataclass(frozen=True)
class ToolRules:
    """When a tool may be called, and whether its output is awaited."""

    timeout_ms: int
    """How long the client's output is awaited."""
    awaited: bool
    """Whether the assistant waits for the output before it goes on."""
    uninterruptible: bool
    """Whether the caller is not heard while the output is awaited."""
    during_user_speech: bool
    speech_required_before: bool
    forbidden_after_speech: bool
    speech_forbidden_after: bool
    chaining: bool

    @classmethod
    def of(cls, tool: ToolDefinition) -> ToolRules:
        """The rules of a tool; one that is only named has the defaults."""
        inline = tool if isinstance(tool, InlineTool) else InlineTool(tool_schema={})
        return cls(
            timeout_ms=_given(inline.tool_call_output_timeout_ms, 15_000),
            awaited=inline.execution_mode != "async" or _given(inline.wait_for_response, False),
            uninterruptible=_given(inline.uninterruptible, False),
            during_user_speech=_given(inline.can_run_during_user_speech, False),
            speech_required_before=_given(inline.require_speech_before_tool_call, False),
            forbidden_after_speech=_given(inline.forbid_tool_call_after_speech, False),
            speech_forbidden_after=_given(inline.forbid_speech_after_tool_call, False),
            chaining=_given(inline.allow_tool_chaining, False),
        )


def _poke_line(config: ConfigOptions) -> str | None:
    generated = _given(config.generate_no_input_poke_text, False)
    return None if generated else _given(config.no_input_poke_text, None)


def _noise_level(config: ConfigOptions) -> float | None:
    if not _given(config.background_noise, ""):
        return None
    return min(max(_given(config.background_noise_level, 0.5), 0.0), 1.0)


def _given(value: _T | UnsetType | None, default: _T) -> _T:
    """A field's value, or ``default`` if it is unset or null."""
    return default if value is None or isinstance(value, UnsetType) else value
