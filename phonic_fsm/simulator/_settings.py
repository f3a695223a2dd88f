"""What a config means to the simulator: the fields that it honours, with their defaults.

A config that comes here is valid: ``_refusals`` has checked it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec import UnsetType
from msgspec.structs import replace

from phonic_fsm._audio.formats import WIRE_FORMATS, WireFormat
from phonic_fsm._wire.config import ConfigOptions, InlineTool, ToolDefinition

from ._doubts import Doubts
from ._published import CONFIG, TOOL

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
    shorten_by: float
    """What every waiting time has been divided by, and a tool's is still to be."""

    @classmethod
    def of(cls, config: ConfigOptions, *, shorten_by: float = 1.0) -> Settings:
        """The settings of a whole config; every waiting time is divided by ``shorten_by``."""

        def given(name: str) -> Any:
            return _given(getattr(config, name), CONFIG[name].default)

        return cls(
            input_format=WIRE_FORMATS[given("input_format")],
            output_format=WIRE_FORMATS[given("output_format")],
            ahead=given("stream_ahead_of_real_time"),
            push_to_talk=given("push_to_talk"),
            threshold_dbfs=40 * given("vad_threshold") - 60,
            min_speech_ms=given("vad_min_speech_duration_ms"),
            min_silence_ms=given("vad_min_silence_duration_ms"),
            min_words_to_interrupt=given("min_words_to_interrupt"),
            backchannels=given("enable_assistant_backchannel"),
            background_level=_noise_level(config),
            poke_after_s=(given("no_input_poke_sec") or 0) / shorten_by,
            poke_line=None if given("generate_no_input_poke_text") else given("no_input_poke_text"),
            end_after_s=given("no_input_end_conversation_sec") / shorten_by,
            timeout_s=given("websocket_timeout_sec") / shorten_by,
            tools={tool_name(tool): tool for tool in _given(config.tools, [])},
            shorten_by=shorten_by,
        )


def with_agent(config: ConfigOptions, agents: Mapping[str, ConfigOptions]) -> ConfigOptions:
    """``config`` with the settings of the agent that it names, where it has none of its own.

    An agent that is not among ``agents`` has no settings.
    """
    agent = agents.get(_given(config.agent, ""))
    if agent is None:
        return config
    unset = [
        field for field in config.__struct_fields__ if _given(getattr(config, field), None) is None
    ]
    return replace(config, **{field: getattr(agent, field) for field in unset})


def welcome_line(
    config: ConfigOptions, agents: Mapping[str, ConfigOptions], generated: str, doubts: Doubts
) -> str:
    """What is said at the start, "" for nothing; ``generated`` is what is said where the config or
    its agent asks for a welcome without giving it."""
    whole = with_agent(config, agents)
    if config.welcome_message is None and doubts.null_welcome == "silences":
        whole = replace(whole, welcome_message=None)
    if _given(whole.generate_welcome_message, False):
        return generated
    return _given(whole.welcome_message, "")


def tool_name(tool: ToolDefinition) -> str:
    """The name under which a tool is called."""
    return tool if isinstance(tool, str) else tool.name


@dataclass(frozen=True)
class ToolRules:
    """When a tool may be called, and whether its output is awaited."""

    timeout_ms: float
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
    def of(cls, tool: ToolDefinition, *, shorten_by: float) -> ToolRules:
        """The rules of a tool; one that is only named has the defaults."""
        inline = tool if isinstance(tool, InlineTool) else InlineTool(tool_schema={})

        def given(name: str) -> Any:
            return _given(getattr(inline, name), TOOL[name].default)

        return cls(
            timeout_ms=given("tool_call_output_timeout_ms") / shorten_by,
            awaited=given("execution_mode") != "async" or given("wait_for_response"),
            speech_required_before=given("require_speech_before_tool_call"),
            speech_forbidden_after=given("forbid_speech_after_tool_call"),
            chaining=given("allow_tool_chaining"),
            # Younger than the published description, which would have their defaults.
            uninterruptible=_given(inline.uninterruptible, False),
            during_user_speech=_given(inline.can_run_during_user_speech, False),
            forbidden_after_speech=_given(inline.forbid_tool_call_after_speech, False),
        )


def _noise_level(config: ConfigOptions) -> float | None:
    if not _given(config.background_noise, ""):
        return None
    rule = CONFIG["background_noise_level"]
    level: float = _given(config.background_noise_level, rule.default)
    return level / (rule.most or 1)


def _given(value: _T | UnsetType | None, default: _T) -> _T:
    """A field's value, or ``default`` if it is unset or null."""
    return default if value is None or isinstance(value, UnsetType) else value
