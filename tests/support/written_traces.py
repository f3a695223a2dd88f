"""Traces of calls that are told event by event, with times of one's own: what each step did is
the machine's work, so that they replay.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import (
    Addition,
    Close,
    ConnectionOpened,
    Event,
    Open,
    UpdateChatContext,
    UpdateSession,
)
from phonic_fsm._core.history import FunctionCallOutput
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions, InlineTool
from phonic_fsm.trace._format import NAME, VERSION, Header, recorded_effect, recorded_event

WEATHER = InlineTool({"type": "function", "function": {"name": "get_weather"}})

CHUNK = bytes(960)
"""20 ms at 24 kHz."""

Told = tuple[float, Event]


def opening(conversation: str = "conv_1") -> list[Told]:
    """Ready after half a second."""
    return [
        (0.0, Open()),
        (0.1, UpdateSession(instructions="Be brief.", tools=(WEATHER,), items=())),
        (0.2, ConnectionOpened(0.1)),
        (0.4, server.ConversationCreated(conversation)),
        (0.5, server.ReadyToStartConversation()),
    ]


def caller(begin: float, end: float, text: str = "Hello?") -> list[Told]:
    return [
        (begin, server.UserStartedSpeaking()),
        (end, server.UserFinishedSpeaking()),
        (end, server.InputText(text, "en")),
    ]


def assistant(begin: float, *words: str) -> list[Told]:
    """Its audio begins a tenth of a second later."""
    chunks = [(begin + 0.1, server.AudioChunk(CHUNK, word)) for word in words]
    return [
        (begin, server.AssistantStartedSpeaking()),
        *chunks,
        (begin + 0.2, server.AssistantFinishedSpeaking()),
    ]


def tool(begin: float, end: float, call_id: str = "call_1", output: str = "sunny") -> list[Told]:
    item = FunctionCallOutput(f"item_{call_id}", call_id, "get_weather", output)
    return [
        (begin, server.ToolCall(call_id, "get_weather", {"city": "Paris"})),
        (end, UpdateChatContext(added=(Addition(None, item),))),
        (end, server.ToolCallOutputProcessed(tool_call_id=call_id, duration_ms=end * 7)),
    ]


def write(
    path: Path,
    told: list[Told],
    *,
    seed: str = "seed",
    close: float | None = None,
    settings: Settings | None = None,
) -> Path:
    """Write the trace; ``close`` is when the session is closed, if it is."""
    settings = settings or Settings(id_seed=seed, config=ConfigOptions(output_format="pcm_24000"))
    header = Header(
        trace=NAME,
        version=VERSION,
        package="1.0",
        started="2026-01-01T00:00:00Z",
        settings=settings,
    )
    machine = SessionMachine(settings)
    lines: list[object] = [header]
    for seq, (t, event) in enumerate(told if close is None else [*told, (close, Close())], start=1):
        step = machine.step(event)
        lines.append(
            {
                "seq": seq,
                "t": round(t, 6),
                "event": recorded_event(event),
                "from": step.source.value,
                "to": step.target.value,
                "effects": [recorded_effect(effect) for effect in step.effects],
            }
        )
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path
