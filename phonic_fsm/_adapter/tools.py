"""Translates LiveKit's function tools into Phonic's, with the settings of single tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from livekit.agents import llm
from msgspec import structs
from typing_extensions import Required, TypedDict

from .._wire.config import BuiltInTool, InlineTool, ToolDefinition

if TYPE_CHECKING:
    from phonic.requests import ResponsesToolDefinitionParams

BUILT_IN = ("choose_not_to_respond", "keypad_input", "natural_conversation_ending", "web_search")


class PhonicToolConfig(TypedDict, total=False):
    """Settings of one tool, an entry of the option ``configs_for_tools``.

    ``name`` is required. A setting that is left out keeps its default. ``respond_after_sec`` is for
    the built-in tool ``choose_not_to_respond`` only, ``speech_before_tool_call`` for the other
    built-in tools, and everything else for your own tools.
    """

    name: Required[str]
    execution_mode: Literal["sync", "async"]
    tool_call_output_timeout_ms: int
    require_speech_before_tool_call: bool
    wait_for_speech_before_tool_call: bool
    forbid_speech_after_tool_call: bool
    forbid_tool_call_after_speech: bool
    allow_tool_chaining: bool
    wait_for_response: bool
    uninterruptible: bool
    can_run_during_user_speech: bool
    respond_after_sec: float | None
    speech_before_tool_call: Literal["required", "optional", "suppressed"]


DEFAULTS = InlineTool(
    tool_schema={},
    tool_call_output_timeout_ms=60_000,
    # If left out, the assistant must speak before every call (SDK: ResponsesToolDefinition).
    require_speech_before_tool_call=False,
    # A generation of LiveKit's has one message, and its tool calls come at the end.
    wait_for_speech_before_tool_call=True,
    forbid_speech_after_tool_call=False,
    forbid_tool_call_after_speech=False,
    allow_tool_chaining=False,
)
"""The settings of your own tools, unless ``configs_for_tools`` says otherwise."""


class ToolConfigs:
    """The settings of single tools, by the tool's name."""

    def __init__(
        self,
        configs: list[PhonicToolConfig] | None = None,
        silent_after: list[str] | None = None,
    ) -> None:
        """``silent_after`` has the names from ``forbid_speech_after_tool_call`` (deprecated).

        Raises:
            ValueError: a tool has no such setting.
        """
        self._by_name: dict[str, dict[str, Any]] = {
            name: {"forbid_speech_after_tool_call": True} for name in silent_after or ()
        }
        for config in configs or ():
            name = config["name"]
            fields = {field: value for field, value in config.items() if field != "name"}
            self._by_name[name] = {**self._by_name.get(name, {}), **fields}
            _check_fields(name, fields)

    def inline(self, context: llm.ToolContext) -> tuple[InlineTool, ...]:
        """The function tools as inline tools of Phonic's."""
        return tuple(
            structs.replace(
                DEFAULTS, tool_schema=schema, **self._by_name.get(schema["function"]["name"], {})
            )
            for schema in context.parse_function_tools("openai", strict=True)
        )

    def phonic(self, names: list[str]) -> list[ToolDefinition]:
        """Phonic's own tools: each as its name, or as an object if it is built in with settings."""
        return [
            BuiltInTool(name, self._by_name[name])
            if name in BUILT_IN and self._by_name.get(name)
            else name
            for name in names
        ]


def to_phonic_tool_definitions(
    tool_context: llm.ToolContext,
) -> list[ResponsesToolDefinitionParams]:
    """The function tools as definitions for Phonic's Responses API.

    Each has a ``name``, a ``description`` and ``parameters`` (a JSON schema). The API returns
    calls; your code runs the tools.
    """
    schemas = [
        tool["function"] for tool in tool_context.parse_function_tools("openai", strict=True)
    ]
    return [
        {
            "name": schema["name"],
            "description": schema.get("description") or "",
            "parameters": schema["parameters"],
        }
        for schema in schemas
    ]


def _check_fields(name: str, fields: dict[str, Any]) -> None:
    if name not in BUILT_IN:
        possible = set(structs.asdict(DEFAULTS)) - {"tool_schema"}
    elif name == "choose_not_to_respond":
        possible = {"respond_after_sec"}
    else:
        possible = {"speech_before_tool_call"}
    wrong = sorted(fields.keys() - possible)
    if wrong:
        raise ValueError(
            f"configs_for_tools: {name} has no {wrong[0]}; it has {', '.join(sorted(possible))}"
        )
