"""The states of a session. Flat on purpose: a hierarchical machine costs four times as much."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """Where a session is. Names and values are the same, so that traces read like the code."""

    connecting = "connecting"
    """A socket is being opened for a conversation that has yet to be configured."""

    awaiting_inputs = "awaiting_inputs"
    """The socket is open; instructions or tools have not been given yet."""

    config_sent = "config_sent"
    """The config is out; the server has not said that it is ready."""

    ready = "ready"
    """The conversation is open: nobody speaks, no tool output is awaited."""

    listening = "listening"
    """The caller speaks: between the server's user_started and user_finished_speaking."""

    speaking = "speaking"
    """A generation is open: the assistant speaks, or its answer is due."""

    tool_pending = "tool_pending"
    """A tool's output is awaited, and no generation is open."""

    reconnecting = "reconnecting"
    """The connection was lost and the conversation is being resumed on a new one."""

    closed = "closed"
    """The end: nothing is open, nothing leaves it."""


ALL = tuple(State)

CONVERSING = (State.ready, State.listening, State.speaking, State.tool_pending)
"""The server is ready and messages flow both ways."""

UNCONFIGURED = (State.connecting, State.awaiting_inputs)
"""Whatever is given here still reaches the config."""


def others(*states: State) -> tuple[State, ...]:
    """All states but these, in their order."""
    return tuple(state for state in ALL if state not in states)
