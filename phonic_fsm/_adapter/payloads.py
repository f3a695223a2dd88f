"""The payloads of the events that a session has beside LiveKit's, and two of their names."""

# Annotations must not be strings here: they would be looked up in the module of ``__module__``.
from dataclasses import dataclass
from typing import Final, Literal

from livekit.agents import llm
from msgspec import Struct

SERVER_EVENT: Final = "phonic_server_event_received"
CLIENT_EVENT: Final = "phonic_client_event_queued"


class StateChanged(Struct, frozen=True):
    """Payload of ``state_changed``: the session went from one state to another."""

    __module__ = "phonic_fsm"

    old: str
    new: str
    event: str
    """The machine's event that caused it, by name."""


class ConversationKnown(Struct, frozen=True):
    """Payload of ``conversation_known``: Phonic has given the conversation its id."""

    __module__ = "phonic_fsm"

    conversation_id: str


@dataclass
class PhonicTranscript(llm.InputTranscriptionCompleted):
    """LiveKit's payload of ``input_audio_transcription_completed``, with the caller's language."""

    __module__ = "phonic_fsm"

    language: str | None = None
    """ISO 639-1 code of what the caller spoke, if Phonic says so."""


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
    """How long the call took, from the call to the end of its processing, as Phonic measured it."""
    problem: str | None = None
    """Why the call failed."""
