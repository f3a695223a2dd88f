"""What a step did, by its effects."""

from __future__ import annotations

from phonic_fsm.trace._format import Line


def effect_types(line: Line) -> set[str]:
    return {effect["type"] for effect in line.effects}


def messages_sent(line: Line) -> set[str]:
    """The types of the messages that the step sends."""
    return {effect["message"]["type"] for effect in line.effects if effect["type"] == "send"}


def outputs_sent(line: Line) -> list[str]:
    """Ids of the calls whose outputs the step sends."""
    messages = [effect["message"] for effect in line.effects if effect["type"] == "send"]
    return [m["tool_call_id"] for m in messages if m["type"] == "tool_call_output"]


def gate_set(line: Line) -> str | None:
    """What the step makes of the caller's audio, if it changes that."""
    gates = [effect["gate"] for effect in line.effects if effect["type"] == "set_audio_gate"]
    return gates[-1] if gates else None


def warnings(line: Line) -> list[str]:
    """The warnings that the step logs."""
    return [
        effect["text"]
        for effect in line.effects
        if effect["type"] == "log" and effect["level"] == "warning"
    ]
