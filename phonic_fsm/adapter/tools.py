"""LiveKit's function tools as Phonic's inline tools."""

from __future__ import annotations

from livekit.agents import llm

from ..wire.config import InlineTool

OUTPUT_TIMEOUT_MS = 60_000
"""How long Phonic waits for a tool's output."""


def to_inline_tools(context: llm.ToolContext) -> tuple[InlineTool, ...]:
    """One inline tool per function tool.

    Calls wait until the assistant has finished speaking and do not follow one another without
    speech: a generation of LiveKit's holds one message, and its calls come at its end.
    """
    return tuple(
        InlineTool(
            tool_schema=schema,
            tool_call_output_timeout_ms=OUTPUT_TIMEOUT_MS,
            wait_for_speech_before_tool_call=True,
            allow_tool_chaining=False,
        )
        for schema in context.parse_function_tools("openai", strict=True)
    )
