"""The tool calls that wait for the client's output.

Only keeps account of them, by ids and times that it is given: it sends nothing and waits for
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec

from phonic_fsm.wire import server
from phonic_fsm.wire.config import ToolDefinition

from .scenario import Call
from .settings import is_uninterruptible, tool_timeout_ms

_TIMED_OUT = "I am sorry, that took too long."


@dataclass(eq=False)
class PlacedCall:
    """A call that was sent, and what has become of it. Times are in seconds."""

    id: str
    call: Call
    placed_at: float
    deadline: float
    uninterruptible: bool
    settled: anyio.Event = field(default_factory=anyio.Event)
    output: Any = None

    @property
    def line(self) -> str:
        """What the assistant says about it."""
        if not self.settled.is_set():
            return _TIMED_OUT
        text = self.output if isinstance(self.output, str) else _as_json(self.output)
        return self.call.then.replace("{output}", text)

    def processed(self, now: float) -> server.ToolCallOutputProcessed:
        """The acknowledgement of the output, or of its absence."""
        in_time = self.settled.is_set()
        return server.ToolCallOutputProcessed(
            tool_call_id=self.id,
            tool=server.CalledTool(id=self.call.tool, name=self.call.tool),
            parameters=self.call.parameters,
            output=self.output,
            duration_ms=round((now - self.placed_at) * 1000, 3),
            timed_out=not in_time,
            error_message=None if in_time else "no tool_call_output in time",
            conversation_item_role="assistant",
        )


class ToolCalls:
    """The calls of one turn: placed together, and spoken about together once all are settled."""

    def __init__(self) -> None:
        self.placed: list[PlacedCall] = []

    @property
    def uninterruptible(self) -> bool:
        """Whether the caller has to wait for one of them."""
        return any(call.uninterruptible for call in self.placed)

    def place(self, call_id: str, call: Call, tool: ToolDefinition, now: float) -> PlacedCall:
        deadline = now + tool_timeout_ms(tool) / 1000
        placed = PlacedCall(call_id, call, now, deadline, is_uninterruptible(tool))
        self.placed.append(placed)
        return placed

    def settle(self, call_id: str, output: Any, now: float) -> PlacedCall | None:
        """Note a call's output; None if no call of that id waits for one."""
        for placed in self.placed:
            if placed.id == call_id and not placed.settled.is_set() and now < placed.deadline:
                placed.output = output
                placed.settled.set()
                return placed
        return None

    def clear(self) -> list[PlacedCall]:
        """Forget all of them, and return them."""
        placed, self.placed = self.placed, []
        return placed


def _as_json(output: Any) -> str:
    return msgspec.json.encode(output).decode()
