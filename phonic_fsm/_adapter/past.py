"""What an agent is told of a call that another process had."""

# Annotations must not be strings here: they would be looked up in the module of ``__module__``.
from dataclasses import dataclass
from typing import Any

from livekit.agents import llm


@dataclass(frozen=True)
class Past:
    """A call that another process had, and with which this one goes on."""

    __module__ = "phonic_fsm"

    chat_ctx: llm.ChatContext
    """What was said, for the agent: ``Agent(chat_ctx=past.chat_ctx)``."""
    state: Any
    """What ``RealtimeModel.remember`` was given last, or ``None``."""
    interrupted: str | None
    """What the caller has heard of the answer that was cut off; ``None`` if none was."""
    conversation_id: str | None
    """Phonic's id of the conversation, if it had one."""
    gap: float
    """Seconds for which nobody had the call."""
    metadata: str
    """The metadata that the call's first job was dispatched with."""
