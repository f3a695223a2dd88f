"""The tool calls that wait for the client's output.

Only keeps account of them, by ids and times that it is given: it sends nothing and waits for
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import msgspec

from phonic_fsm._wire import server

from ._scenario import Call
from ._settings import ToolRules

_TIMED_OUT = "I am sorry, that took too long."


@dataclass(eq=False)
class PlacedCall:
    """A call that was sent, and what has become of it. Times are in seconds."""

    id: str
    call: Call
    rules: ToolRules
    placed_at: float
    during: Literal["user", "assistant"]
    """Whose turn it belongs to."""
    settled: anyio.Event = field(default_factory=anyio.Event)
    timed_out: bool = False
    output: Any = None

    @property
    def deadline(self) -> float:
        return self.placed_at + self.rules.timeout_ms / 1000

    @property
    def line(self) -> str:
        """What the assistant says about it, once it is settled."""
        if self.rules.speech_forbidden_after:
            return ""
        if self.timed_out:
            return _TIMED_OUT
        text = self.output if isinstance(self.output, str) else _as_json(self.output)
        return self.call.then.replace("{output}", text)

    def processed(self, now: float) -> server.ToolCallOutputProcessed:
        """The acknowledgement of the output, or of its absence."""
        return server.ToolCallOutputProcessed(
            tool_call_id=self.id,
            tool=server.CalledTool(id=self.call.tool, name=self.call.tool),
            parameters=self.call.parameters,
            output=self.output,
            duration_ms=round((now - self.placed_at) * 1000, 3),
            timed_out=self.timed_out,
            error_message="no tool_call_output in time" if self.timed_out else None,
            conversation_item_role=self.during,
        )


class ToolCalls:
    """The calls that were placed and not yet spoken about.

    Those that the assistant waits for are all of one turn, and are spoken about together; the
    others go their own ways.
    """

    def __init__(self) -> None:
        self._placed: dict[str, PlacedCall] = {}

    @property
    def awaited(self) -> list[PlacedCall]:
        return [placed for placed in self._placed.values() if placed.rules.awaited]

    @property
    def unawaited(self) -> list[PlacedCall]:
        return [placed for placed in self._placed.values() if not placed.rules.awaited]

    def place(self, placed: PlacedCall) -> None:
        self._placed[placed.id] = placed

    def settle(self, call_id: str, output: Any, now: float) -> PlacedCall | None:
        """Note a call's output; None if no call of that id waits for one."""
        placed = self._placed.get(call_id)
        if placed is None or placed.settled.is_set() or now >= placed.deadline:
            return None
        placed.output = output
        placed.settled.set()
        return placed

    def expire(self, placed: PlacedCall) -> bool:
        """Note that no output came in time; False if one did, or if the call was forgotten."""
        if placed.settled.is_set() or placed.id not in self._placed:
            return False
        placed.timed_out = True
        placed.settled.set()
        return True

    def forget(self, *calls: PlacedCall) -> list[PlacedCall]:
        """Strike these off the account; returns those that were still on it."""
        return [call for call in calls if self._placed.pop(call.id, None)]

    def clear(self) -> None:
        self._placed.clear()


def _as_json(output: Any) -> str:
    return msgspec.json.encode(output).decode()
