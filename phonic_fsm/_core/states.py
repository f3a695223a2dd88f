"""The states of a session.

They are flat on purpose: a step of a hierarchical machine costs four times as much.
"""

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
    last_words = "last_words"
    closed = "closed"


MEANINGS = {
    State.connecting: "A connection for a new conversation is being opened.",
    State.awaiting_inputs: "The connection is open; instructions or tools have not been given yet.",
    State.config_sent: "The config was sent, and the server has not said that it is ready.",
    State.ready: "The conversation is open. Nobody speaks, and no tool call is pending.",
    State.listening: "The caller speaks.",
    State.speaking: "A generation is open: the assistant speaks, or is about to.",
    State.tool_pending: "A tool call is pending, and nobody speaks.",
    State.reconnecting: "The connection was lost; the conversation is being resumed on a new one.",
    State.last_words: "The conversation is over; the last words of the assistant are still played.",
    State.closed: "The session is over. It cannot be opened again.",
}

LONGEST = {
    State.connecting: 60.0,
    State.config_sent: 15.0,
    State.listening: 120.0,
    State.speaking: 180.0,
    State.tool_pending: 70.0,
    State.reconnecting: 45.0,
}
"""Seconds after which the log warns that a session is still in this state.

That is longer than the timeouts that should have ended the state, or than anybody speaks at a
stretch. The other states may last for any time.
"""

ALL = tuple(State)

CONVERSING = (State.ready, State.listening, State.speaking, State.tool_pending)
"""The conversation is open: the server is ready, and messages flow both ways."""


def others(*states: State) -> tuple[State, ...]:
    """All states except these."""
    return tuple(state for state in ALL if state not in states)
