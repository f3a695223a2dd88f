"""What was changed in mid-call: handoffs and settings, and how Phonic was told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, to_builtins

from phonic_fsm._core.context import Settings
from phonic_fsm.trace._format import Line
from phonic_fsm.trace._lost_audio import OPEN_STATES

ONE_HANDOFF = 1.0
"""LiveKit says first that another agent takes over, and then sets that agent's settings."""

_TELL = {
    "reset": "a reset",
    "update_system_prompt": "update_system_prompt",
    "update_tools_subset": "update_tools_subset",
}
"""The messages that tell Phonic of changes, in words."""


class Change(Struct, kw_only=True):
    step: int
    at: float
    text: str
    handoff: bool = False
    told: str = ""
    """The message that told Phonic of it, in words."""


class ChangesBuilder:
    """Takes the steps and gives the changes."""

    def __init__(self, settings: Settings) -> None:
        self.changes: list[Change] = []
        self._untold: list[Change] = []
        """Those that Phonic has not been told of."""
        self._config: dict[str, Any] = to_builtins(settings.config)

    def take(self, line: Line) -> None:
        for text, handoff in self._of(line):
            if line.source in OPEN_STATES or handoff:
                self._add(line, text, handoff=handoff)
        if line.source in OPEN_STATES:
            for effect in line.effects:
                told = _TELL.get(effect["message"]["type"]) if effect["type"] == "send" else None
                if told is not None:
                    self._tell(line, told)

    def _add(self, line: Line, text: str, *, handoff: bool) -> None:
        self._untold.append(Change(step=line.seq, at=line.t, text=text, handoff=handoff))
        self.changes.append(self._untold[-1])

    def _tell(self, line: Line, told: str) -> None:
        if not self._untold:
            self._add(line, "What Phonic remembers is changed", handoff=False)
        for change in self._untold:
            change.told = told
        self._untold.clear()

    def _of(self, line: Line) -> Iterator[tuple[str, bool]]:
        event = line.event
        match event["type"]:
            case "agent_changed":
                before = f" from {event['before']}" if event.get("before") else ""
                yield f"Handoff{before} to {event['agent']}", True
            case "update_session" if event.get("items") is not None:
                if line.source in OPEN_STATES and not self._follows_handoff(line.t):
                    yield "Handoff to another agent", True
            case "update_instructions":
                yield "New instructions", False
            case "update_tools":
                yield f"New tools: {', '.join(map(_tool_name, event['tools'])) or 'none'}", False
            case "update_tool_choice":
                offered = event.get("offered")
                yield f"Tools offered: {_listed(offered)}", False
            case "update_options":
                yield from self._options(event["config"])

    def _options(self, config: dict[str, Any]) -> Iterator[tuple[str, bool]]:
        names = sorted(
            name
            for name in config.keys() | self._config.keys()
            if config.get(name) != self._config.get(name)
        )
        self._config = config
        if names:
            yield f"New options: {', '.join(names)}", False

    def _follows_handoff(self, t: float) -> bool:
        return any(one.handoff and t - one.at < ONE_HANDOFF for one in self.changes[-3:])


def _tool_name(tool: dict[str, Any]) -> str:
    return str(tool["tool_schema"].get("function", {}).get("name", "?"))


def _listed(names: list[str] | None) -> str:
    return "all" if names is None else ", ".join(names) or "none"
