"""Translates LiveKit's function tools into Phonic's, with the settings of single tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from livekit.agents import llm
from msgspec import structs
from typing_extensions import Required, TypedDict

from .._wire.config import BuiltInTool, InlineTool, ToolDefinition
from . import schemas
from .sendable import unsendable

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
        """The function tools as inline tools of Phonic's.

        Raises:
            ValueError: a tool cannot be described to Phonic. The message names the tool and the
                place in its description or schema.
        """
        return tuple(
            structs.replace(
                DEFAULTS,
                tool_schema={"type": "function", "function": _strict(function)},
                **self._by_name.get(function["name"], {}),
            )
            for function in _functions(context)
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
    return [
        {
            "name": function["name"],
            "description": function.get("description") or "",
            "parameters": function["parameters"],
        }
        for function in _functions(tool_context)
    ]


def offered_by(choice: llm.ToolChoice | None) -> tuple[str, ...] | None:
    """The names of the tools that LiveKit's choice leaves to Phonic; ``None`` for all of them.

    Raises:
        ValueError: there is no such choice.
    """
    if choice == "none":
        return ()
    if choice in (None, "auto", "required"):
        return None
    try:
        name = choice["function"]["name"]  # type: ignore[index]
    except (TypeError, KeyError):
        name = None
    if not isinstance(name, str):
        raise ValueError(
            "tool_choice must be 'auto', 'required', 'none' or a function with its name, "
            f"got {choice!r}"
        )
    return (name,)


def arguments_for(context: llm.ToolContext | None, name: str, arguments: str) -> str:
    """The arguments of a call (JSON) as the function that is called expects them.

    Phonic sends null for an optional argument that the assistant does not give. LiveKit replaces
    it by the default where it has made the schema itself. A raw schema is the function's own (or
    that of an MCP server): there, the argument is left out unless the schema takes null.
    """
    tool = context.function_tools.get(name) if context is not None else None
    if not isinstance(tool, llm.RawFunctionTool):
        return arguments
    given = json.loads(arguments)
    expected = schemas.without_fillers(tool.info.raw_schema["parameters"], given)
    return arguments if expected == given else json.dumps(expected, ensure_ascii=False)


def _functions(context: llm.ToolContext) -> list[dict[str, Any]]:
    """The function tools' descriptions in OpenAI's form, raw ones as they were given."""
    parsed = context.parse_function_tools("openai", strict=True)
    return [schema["function"] for schema in parsed]


def _strict(function: dict[str, Any]) -> dict[str, Any]:
    """A function's description as strict function calling requires it."""
    name = function["name"]
    # Before the schema is read: it is assumed to be JSON there.
    problem = unsendable(name, "the name of a tool") or unsendable(
        {key: function.get(key) for key in ("description", "parameters")}, f"tool {name}"
    )
    if problem is not None:
        raise ValueError(problem)
    try:
        schemas.check(function["parameters"])
        parameters = schemas.closed(function["parameters"])
    except schemas.NotClosable as error:
        raise ValueError(f"tool {name}: {error}") from None
    return {
        "name": name,
        "strict": True,
        # The field is required; an MCP server may have none.
        "description": function.get("description") or name,
        "parameters": parameters,
    }


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
