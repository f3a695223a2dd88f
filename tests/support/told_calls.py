"""Calls that are told event by event, for what is said of them: the usual things that happen in a
call, each at a time of one's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from support.written_traces import CHUNK, WEATHER, Told, caller, opening, write

from phonic_fsm._core.context import Settings
from phonic_fsm._core.effects import AddItem, OpenGeneration
from phonic_fsm._core.events import (
    Addition,
    AgentSessionClosed,
    AgentState,
    CallerAudio,
    Close,
    ConnectionClosed,
    ConnectionOpened,
    JobShutDown,
    Open,
    TakeOver,
    ToolEnded,
    ToolStarted,
    UpdateChatContext,
    UpdateSession,
)
from phonic_fsm._core.history import FunctionCallOutput
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions


class Call(NamedTuple):
    """A call that is told event by event. Without ``close`` its trace just ends."""

    told: tuple[Told, ...]
    close: float | None = 20.0
    config: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    opened: bool = True
    """Whether it begins with an open conversation."""
    ends: str = ""
    """Why its recording ends before it does."""


def call(*told: Told | list[Told], **how: Any) -> Call:
    flat: list[Told] = []
    for one in told:
        flat += one if isinstance(one, list) else [one]
    return Call(tuple(flat), **how)


ASKED = caller(2.0, 3.0)


def answer(begin: float, seconds: float = 1.0, text: str = "Well, ") -> list[Told]:
    """An answer of this length, streamed ahead."""
    return [
        (begin, server.AssistantStartedSpeaking()),
        (begin, server.AudioChunk(CHUNK * round(seconds * 50), text)),
        (begin, server.AssistantFinishedSpeaking()),
    ]


def part(at: float, seconds: float, text: str) -> Told:
    return (at, server.AudioChunk(CHUNK * round(seconds * 50), text))


def barge_in(at: float, text: str = "No!") -> list[Told]:
    return [
        (at, server.UserStartedSpeaking()),
        (at + 0.1, server.InterruptedResponse("We")),
        (at + 0.4, server.UserFinishedSpeaking()),
        (at + 0.5, server.InputText(text)),
    ]


def second(at: float, **how: Any) -> Told:
    """A second of speech from the caller."""
    usual = {"received_ms": 1000, "dbfs": -30.0, "peak": -9.0, "sent_ms": 1000, "rate": 48_000}
    return (at, CallerAudio(**{"channels": 1, **usual, **how}))


def nothing(at: float) -> Told:
    return second(at, received_ms=0, dbfs=None, peak=None, sent_ms=0, filled_ms=1000)


def zeros(at: float) -> Told:
    return second(at, dbfs=None, peak=None)


def called(at: float, call_id: str = "call_1", name: str = "get_weather", **arguments: Any) -> Told:
    return (at, server.ToolCall(call_id, name, arguments))


def given(
    at: float, call_id: str = "call_1", name: str = "get_weather", *, error: bool = False
) -> Told:
    item = FunctionCallOutput(f"item_{call_id}", call_id, name, "sunny", is_error=error)
    return (at, UpdateChatContext(added=(Addition(None, item),)))


def taken(at: float, call_id: str = "call_1", **how: Any) -> Told:
    return (at, server.ToolCallOutputProcessed(tool_call_id=call_id, **how))


def ran(began: float, ended: float, status: Any = "done", call_id: str = "call_1") -> list[Told]:
    return [(began, ToolStarted(call_id)), (ended, ToolEnded(call_id, status))]


LOST = ConnectionClosed(1006)


def resumed(lost: float, back: float) -> list[Told]:
    return [
        (lost, LOST),
        (back - 0.1, ConnectionOpened(0.1)),
        (back, server.ConversationReconnected()),
    ]


def afresh(lost: float, back: float) -> list[Told]:
    return [
        (lost, LOST),
        (lost + 0.1, ConnectionOpened(0.1)),
        (lost + 0.2, ConnectionClosed(4800, "conversation not found")),
        (back - 0.2, ConnectionOpened(0.1)),
        (back - 0.1, server.ConversationCreated("conv_2")),
        (back, server.ReadyToStartConversation()),
    ]


def taken_over(at: float, **how: Any) -> list[Told]:
    return [
        (at, TakeOver(**how)),
        (at + 0.1, UpdateSession(instructions="Be brief.", tools=(WEATHER,), items=())),
        (at + 0.2, ConnectionOpened(0.1)),
        (at + 0.3, server.ConversationReconnected()),
    ]


def handoff(at: float) -> Told:
    return (at, UpdateSession(instructions="Bill.", tools=(), items=()))


SEEN = (1.0, AgentState("listening"))
CLOSED = (9.0, Close())


def livekit(reason: str, **more: str) -> Told:
    return (9.01, AgentSessionClosed(reason, **more))


def shut_down(reason: str) -> Told:
    return (9.2, JobShutDown(reason))


def ended(*told: Told | list[Told]) -> Call:
    return call(ASKED, answer(3.2), SEEN, *told, close=None)


BARE: list[Told] = [(0.0, Open())]
SET: Told = (0.1, UpdateSession(instructions="Be brief.", tools=(WEATHER,), items=()))


def begins(*told: Told | list[Told], **how: Any) -> Call:
    """A call whose beginning is told, too."""
    return call(BARE, *told, opened=False, **how)


FINE = call(ASKED, answer(3.2), close=6.0)
"""A question and its answer."""


def told_by(of: Call) -> list[Told]:
    begins = opening() if of.opened else []
    return sorted([*begins, *of.told], key=lambda one: one[0])


def settings_of(of: Call) -> Settings:
    return Settings(id_seed="seed", config=ConfigOptions(output_format="pcm_24000", **of.config))


def first_answer(of: Call) -> str:
    """The id of the first answer of a call."""
    machine = SessionMachine(settings_of(of))
    for _, event in told_by(of):
        for effect in machine.step(event).effects:
            if isinstance(effect, OpenGeneration):
                return effect.response_id
    raise AssertionError("there is no answer")


def first_item(of: Call) -> str:
    """The id of the first item of a call's history."""
    machine = SessionMachine(settings_of(of))
    for _, event in told_by(of):
        for effect in machine.step(event).effects:
            if isinstance(effect, AddItem):
                return effect.item.id
    raise AssertionError("nothing was said")


def written(path: Path, of: Call) -> Path:
    """Write its trace."""
    trace = write(path, told_by(of), close=of.close, settings=settings_of(of))
    if of.ends == "diverged":
        text = trace.read_bytes()
        trace.write_bytes(text.replace(b'"to":"listening"', b'"to":"speaking"', 1))
    elif of.ends == "garbled":
        trace.write_bytes(trace.read_bytes() + b"{}\n")
    elif of.ends:
        last = msgspec.json.encode({"end": of.ends, "seq": len(told_by(of))})
        trace.write_bytes(trace.read_bytes() + last + b"\n")
    return trace
