"""What a config means to the simulator: every field that it honours, with the defaults filled in.

Pure. Refusing a config is ``refusal``'s; acting on it is ``conversation``'s and ``assistant``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from msgspec import UnsetType

from phonic_fsm.runtime.audio_format import WIRE_FORMATS, WireFormat
from phonic_fsm.wire.config import DEFAULT_FORMAT, ConfigOptions, InlineTool, ToolDefinition

_STOCK_WELCOME = "Hello, how can I help you?"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Settings:
    """Durations are in ms."""

    input_format: WireFormat
    output_format: WireFormat
    ahead: bool
    push_to_talk: bool
    threshold_dbfs: float
    min_speech_ms: float
    min_silence_ms: float
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
            tools={tool_name(tool): tool for tool in _given(config.tools, [])},
        )


def welcome_line(config: ConfigOptions, of_agent: str | None) -> str:
    """What is said at the start, "" for nothing; ``of_agent`` is the scenario's own welcome."""
    if _given(config.generate_welcome_message, False):
        return of_agent or _STOCK_WELCOME
    return _given(config.welcome_message, of_agent or "")


def tool_name(tool: ToolDefinition) -> str:
    """The name under which a tool is called."""
    return tool if isinstance(tool, str) else tool.name


def tool_timeout_ms(tool: ToolDefinition) -> int:
    """How long the server waits for the output of a call."""
    default_ms = 15_000
    if isinstance(tool, InlineTool):
        return _given(tool.tool_call_output_timeout_ms, default_ms)
    return default_ms


def is_uninterruptible(tool: ToolDefinition) -> bool:
    """Whether the caller cannot interrupt while the tool runs."""
    return isinstance(tool, InlineTool) and _given(tool.uninterruptible, False)


def _given(value: _T | UnsetType | None, default: _T) -> _T:
    """``null`` is taken as unset, like the SDK does."""
    return default if value is None or isinstance(value, UnsetType) else value
