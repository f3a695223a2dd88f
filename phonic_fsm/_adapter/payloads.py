"""The payloads of the session's own events, and those events' names for raw messages."""

# No annotations as text here: they would be looked up where ``__module__`` says the class is from.
from typing import Final, Literal

from msgspec import Struct

SERVER_EVENT: Final = "phonic_server_event_received"
CLIENT_EVENT: Final = "phonic_client_event_queued"


class StateChanged(Struct, frozen=True):
    """Payload of ``state_changed``: the session moved from one state to another."""

    __module__ = "phonic_fsm"

    old: str
    new: str
    event: str
    """Name of the event that caused it."""


class Dtmf(Struct, frozen=True):
    """Payload of ``dtmf``: the digits that the assistant dials."""

    __module__ = "phonic_fsm"

    digits: str


class ToolCallSettled(Struct, frozen=True):
    """Payload of ``tool_call_settled``: Phonic expects nothing more for this tool call."""

    __module__ = "phonic_fsm"

    call_id: str
    name: str
    outcome: Literal["processed", "timed_out", "failed", "interrupted"]
    duration_ms: float | None = None
    """From the call to the end of its processing, as Phonic measured it."""
    problem: str | None = None
    """Why it failed."""
