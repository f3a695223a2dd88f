"""Machines of the core, stepped to where a test begins."""

from __future__ import annotations

from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._wire import server


def conversing(settings: Settings) -> SessionMachine:
    """One whose conversation is open."""
    machine = SessionMachine(settings)
    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=()),
        events.ConnectionOpened(),
        server.ConversationCreated("conv_1"),
        server.ReadyToStartConversation(),
    ):
        machine.step(event)
    return machine
