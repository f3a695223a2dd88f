"""The states of a session. Flat on purpose: a hierarchical machine costs four times as much."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """Where a session is. Names and values are the same, so that traces read like the code."""

    __module__ = "phonic_fsm"

    connecting = "connecting"
    awaiting_inputs = "awaiting_inputs"
    config_sent = "config_sent"
    ready = "ready"
    listening = "listening"
    speaking = "speaking"
    tool_pending = "tool_pending"
    reconnecting = "reconnecting"
    closed = "closed"


MEANINGS = {
    State.connecting: "A socket is being opened for a conversation that has yet to be configured.",
    State.awaiting_inputs: "The socket is open; instructions or tools have not been given yet.",
    State.config_sent: "The config is out; the server has not said that it is ready.",
    State.ready: "The conversation is open: nobody speaks, no tool output is awaited.",
    State.listening: "The caller speaks.",
    State.speaking: "A generation is open: the assistant speaks, or its answer is due.",
    State.tool_pending: "A tool's output is awaited, and no generation is open.",
    State.reconnecting: "The connection was lost; the conversation is being resumed on a new one.",
    State.closed: "The end: nothing is open, nothing leaves it.",
}

LONGEST = {
    State.connecting: 60.0,
    State.config_sent: 15.0,
    State.listening: 120.0,
    State.speaking: 180.0,
    State.tool_pending: 70.0,
    State.reconnecting: 45.0,
}
"""Seconds after which it is worth a warning that a session is still in a state: more than the
timeouts that should have ended it, or than people speak at a stretch."""

ALL = tuple(State)

CONVERSING = (State.ready, State.listening, State.speaking, State.tool_pending)
"""The server is ready and messages flow both ways."""


def others(*states: State) -> tuple[State, ...]:
    """All states but these, in their order."""
    return tuple(state for state in ALL if state not in states)
