"""Makes a scenario of a recorded call, so that the call can be had again with today's agent.

A trace tells what the caller said, and what Phonic did about it. What the agent did is not taken
over: that is what is tried anew. A line is taken for the answer to what happened last: to a tool's
output, to ``generate_reply``, or to the caller. Words that the agent had Phonic say, by ``say``,
are the agent's.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from phonic_fsm._runtime.printable import printable
from phonic_fsm.trace._feeding import checked
from phonic_fsm.trace._format import Line
from phonic_fsm.trace._reader import TraceReader

from ._scenario import Scenario


def scenario_of(trace: str | PathLike[str]) -> Scenario:
    """The scenario of a recorded call. A turn of it is what the caller said, and what followed.

    Raises:
        TraceError: the trace cannot be read to its end.
    """
    reader = TraceReader(trace)
    recorded = _Recorded()
    for line in checked(reader):
        recorded.take(line)
    return recorded.scenario(
        f"From {printable(reader.path.name)}, recorded {reader.header.started}."
    )


def as_json(scenario: Scenario) -> bytes:
    """The scenario as a file that ``load_scenario`` reads, without what has its default."""
    return msgspec.json.format(msgspec.json.encode(_told(scenario)), indent=2) + b"\n"


def _told(value: Any) -> Any:
    if isinstance(value, Struct):
        held = {field.name: (field, getattr(value, field.name)) for field in fields(value)}
        return {
            name: _told(part)
            for name, (field, part) in held.items()
            if field.required or part not in (field.default, {})
        }
    return [_told(item) for item in value] if isinstance(value, tuple) else value


Cause = Literal["nothing", "welcome", "caller", "reply", "output", "say"]
"""What the next line is about."""


class _Recorded:
    def __init__(self) -> None:
        self._turns: list[dict[str, Any]] = []
        self._replies: list[str] = []
        self._welcome: str | None = None
        self._cause: Cause = "nothing"
        self._into: Cause | None = None
        """What the line that is being spoken is about."""
        self._answered: dict[str, Any] | None = None
        """The turn that was answered last."""
        self._answered_at = self._spoke_at = 0.0
        """When its answer began, and when the caller began to speak after that (s)."""
        self._calls: dict[str, dict[str, Any]] = {}
        self._outputs: list[tuple[dict[str, Any], str]] = []
        """The calls that the next line speaks about, with their outputs."""

    def take(self, line: Line) -> None:
        event = line.event
        take = getattr(self, f"_on_{event['type']}", None)
        if take is not None and line.source != "closed":
            take(line, event)
        for effect in line.effects:
            if effect["type"] == "send":
                self._sent(effect["message"])

    def scenario(self, description: str) -> Scenario:
        plain: dict[str, Any] = {"description": description, "turns": self._turns}
        plain["replies"] = [reply for reply in self._replies if reply]
        if self._welcome:
            plain["welcome"] = self._welcome
        return msgspec.convert(plain, Scenario)

    # -- what the agent asked for ----------------------------------------------------------------

    def _sent(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "generate_reply":
            self._cause = "reply"
        elif kind == "say":
            self._cause = "say"
        elif kind == "tool_call_output" and message["tool_call_id"] in self._calls:
            self._outputs.append((self._calls[message["tool_call_id"]], str(message["output"])))
            self._cause = "output"

    # -- what the caller did ---------------------------------------------------------------------

    def _on_user_started_speaking(self, line: Line, _: dict[str, Any]) -> None:
        self._spoke_at = line.t

    def _on_interrupted_response(self, _: Line, __: dict[str, Any]) -> None:
        if self._answered is not None:
            at = max(self._spoke_at, self._answered_at)
            self._answered["interrupt_after_ms"] = round((at - self._answered_at) * 1000)
            self._answered = None

    def _on_playback_finished(self, line: Line, event: dict[str, Any]) -> None:
        if event["interrupted"]:
            self._on_interrupted_response(line, event)

    def _on_input_text(self, _: Line, event: dict[str, Any]) -> None:
        if event.get("repeats_typed"):
            return
        self._turns.append({"caller": event["text"]})
        self._cause, self._into = "caller", None

    def _on_input_cancelled(self, _: Line, __: dict[str, Any]) -> None:
        self._turns.append({"cancelled": True})
        self._cause, self._into = "nothing", None

    # -- what the service did --------------------------------------------------------------------

    def _on_audio_chunk(self, line: Line, event: dict[str, Any]) -> None:
        text = event.get("text") or ""
        if not text:
            return
        if self._into is None:
            self._into = self._cause
            self._begin_line(line)
        self._add(text)

    def _begin_line(self, line: Line) -> None:
        self._answered = None
        if self._into == "caller":
            self._answered, self._answered_at = self._turns[-1], line.t
        elif self._into == "reply":
            self._replies.append("")
        elif self._into == "nothing" and not self._turns and self._welcome is None:
            self._into, self._welcome = "welcome", ""

    def _add(self, text: str) -> None:
        if self._into == "reply":
            self._replies[-1] += text
        elif self._into == "output" and self._outputs:
            call, _ = self._outputs[-1]
            call["then"] = call.get("then", "") + text
        elif self._into == "caller":
            turn = self._turns[-1]
            if turn.get("calls"):
                turn["calls"][-1]["meanwhile"] = turn["calls"][-1].get("meanwhile", "") + text
            else:
                turn["assistant"] = turn.get("assistant", "") + text
        elif self._into == "welcome":
            self._welcome = (self._welcome or "") + text

    def _on_assistant_finished_speaking(self, _: Line, __: dict[str, Any]) -> None:
        if self._into == "output" and self._outputs:
            call, output = self._outputs[-1]
            call["then"] = call["then"].replace(output or "{output}", "{output}")
            self._outputs.clear()
        if self._into in ("reply", "say", "output"):
            self._cause = "nothing" if not self._turns else "caller"
        self._into = None

    def _on_tool_call(self, _: Line, event: dict[str, Any]) -> None:
        call = {"tool": event["tool_name"], "parameters": event.get("parameters") or {}}
        self._calls[event["tool_call_id"]] = call
        self._turn.setdefault("calls", []).append(call)
        self._into = None

    def _on_dtmf(self, _: Line, event: dict[str, Any]) -> None:
        self._turn["dtmf"] = event["digits"]

    def _on_error(self, _: Line, event: dict[str, Any]) -> None:
        self._turn["error"] = event["error"]

    def _on_warning(self, _: Line, event: dict[str, Any]) -> None:
        self._turn["warning"] = event["warning"]

    def _on_assistant_ended_conversation(self, _: Line, __: dict[str, Any]) -> None:
        self._turn["end"] = True

    def _on_connection_closed(self, _: Line, event: dict[str, Any]) -> None:
        turn = self._turn
        if turn.get("end") or turn.get("drop") or turn.get("close"):
            return
        if event["code"] in (1005, 1006, 1015):
            turn["drop"] = True
        else:
            turn["close"] = event["code"]

    @property
    def _turn(self) -> dict[str, Any]:
        """The present turn; one in which the caller says nothing, if there is none."""
        if not self._turns or self._turns[-1].get("cancelled"):
            self._turns.append({"caller": ""})
        return self._turns[-1]
