"""The calls of tools, and the handoffs at which those of the former agent are forgotten."""

from __future__ import annotations

import math
from typing import Any, Literal

from phonic_fsm._core import events
from phonic_fsm._core.events import name_of
from phonic_fsm._core.states import State
from phonic_fsm.trace._format import Line
from phonic_fsm.trace._lost_audio import OPEN_STATES

from .effects import effect_types, messages_sent, outputs_sent
from .span import Span

_GIVES_TOOLS = frozenset(
    map(name_of, (events.UpdateSession, events.UpdateTools, events.UpdateOptions))
)

_DROPPED = name_of(events.CallsDropped)


class ToolCall(Span, kw_only=True):
    """From the call until it is settled."""

    call_id: str
    name: str
    arguments: Any
    output: Any = None
    is_error: bool = False
    """Whether LiveKit says that the output is the tool's error."""
    given: float | None = None
    """When the tool's output came."""
    asks_for_answer: bool = True
    """Whether LiveKit says that the output is to be answered. One that is empty is not."""
    began: float | None = None
    """When LiveKit began to run it, if that was observed. Before, it plays what was said."""
    returned: float | None = None
    """When it was done, if that was observed."""
    status: Literal["", "done", "error", "cancelled"] = ""
    """How it ended, if that was observed."""
    sent: float | None = None
    carried: float | None = None
    """When a fresh conversation was given the output with the history."""
    acknowledged: float | None = None
    late: bool = False
    """The output came when Phonic no longer awaited it."""
    told: float | None = None
    """When Phonic was told a late output in words."""
    known: bool = True
    """Whether the agent had given a tool of this name."""
    ended: Literal["", "acknowledged", "interrupted", "handed over", "not made"] = ""
    """How the call ended. At a handoff the calls of the former agent are forgotten. LiveKit makes
    no call of an answer that is cut off before it is played."""
    timed_out: bool = False
    """Phonic says that the output came too late."""
    problem: str | None = None
    """What Phonic says went wrong with it."""


class ToolLane:
    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.handoffs: list[Span] = []
        self._by_id: dict[str, ToolCall] = {}
        self._tools: set[str] | None = None
        """The names of the agent's tools, once they are known."""

    def take(self, line: Line) -> None:
        event = line.event
        kind = event["type"]
        if kind == "tool_call" and "push_function_call" in effect_types(line):
            self._begin(line)
        elif kind == "tool_started" and (call := self._by_id.get(event["call_id"])) is not None:
            call.began = line.t
        elif kind == "tool_ended" and (call := self._by_id.get(event["call_id"])) is not None:
            call.returned, call.status = line.t, event["status"]
        elif kind == "update_chat_ctx":
            for addition in event.get("added", ()):
                self._note_output(line, addition["item"])
        elif kind == "update_session" and event.get("items") is not None:
            self._hand_over(line)
        elif kind in ("tool_call_output_processed", "tool_call_interrupted"):
            self._settle(line)
        elif kind == _DROPPED:
            self._note_dropped(line)
        if event.get("tools") is not None and kind in _GIVES_TOOLS:
            self._tools = set(map(_tool_name, event["tools"]))
        for call_id in outputs_sent(line):
            if call_id in self._by_id:
                self._by_id[call_id].sent = line.t
        sent = messages_sent(line)
        if "config" in sent:
            self._note_carried(line.t)
        if "add_system_message" in sent:
            self._note_told(line.t)

    def _begin(self, line: Line) -> None:
        name = line.event["tool_name"]
        call = ToolCall(
            step=line.seq,
            start=line.t,
            end=math.inf,
            call_id=line.event["tool_call_id"],
            name=name,
            arguments=line.event.get("parameters"),
            known=self._tools is None or name in self._tools,
        )
        self._by_id[call.call_id] = call
        self.calls.append(call)

    def _hand_over(self, line: Line) -> None:
        if line.source in OPEN_STATES:
            self.handoffs.append(Span(step=line.seq, start=line.t, end=line.t))
        for call in self.calls:
            if not call.ended:
                call.ended, call.end = "handed over", line.t

    def _note_dropped(self, line: Line) -> None:
        for call_id in line.event["calls"]:
            if (call := self._by_id.get(call_id)) is not None and not call.ended:
                call.ended, call.end = "not made", line.t

    def _note_carried(self, at: float) -> None:
        """A config goes out, and with it the history, which has every output so far."""
        for call in self.calls:
            if call.given is not None and call.acknowledged is None and call.carried is None:
                call.carried = at

    def _note_told(self, at: float) -> None:
        """A system message goes out, and with it what has waited for a connection."""
        for call in self.calls:
            if call.late and call.told is None:
                call.told = at

    def _note_output(self, line: Line, item: dict[str, Any]) -> None:
        call = self._by_id.get(str(item.get("call_id")))
        if line.source == State.closed.value:
            return  # a tool that outlived the session
        if call is not None and item["type"] == "function_call_output" and call.given is None:
            call.given, call.output = line.t, item["output"]
            call.is_error = bool(item.get("is_error"))
            call.asks_for_answer = bool(item.get("reply_required", True))
            # If the server is ready, an output that is awaited is sent at once.
            is_open = line.source in OPEN_STATES
            call.late = call.call_id not in outputs_sent(line) if is_open else bool(call.ended)

    def _settle(self, line: Line) -> None:
        call = self._by_id.get(line.event["tool_call_id"])
        if call is None or call.ended:
            return
        call.end = line.t
        if line.event["type"] == "tool_call_interrupted":
            call.ended = "interrupted"
            return
        call.ended, call.acknowledged = "acknowledged", line.t
        call.timed_out = bool(line.event.get("timed_out"))
        call.problem = line.event.get("error_message") or None


def _tool_name(tool: dict[str, Any]) -> str:
    function = tool["tool_schema"].get("function")
    # A trace from elsewhere may have anything there; the machine says that it cannot take it.
    return str(function.get("name", "")) if isinstance(function, dict) else ""
