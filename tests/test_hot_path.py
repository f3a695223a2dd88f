"""The hot path makes no more Python calls than it is meant to.

Calls are counted, not seconds, so that a busy machine changes nothing. Whoever makes a path longer
on purpose raises its budget here, where it can be seen.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import transitions
from livekit import rtc
from scripted import SILENCE, conversation

import phonic_fsm
from phonic_fsm.core import events
from phonic_fsm.core.context import Settings
from phonic_fsm.core.conversation import FunctionCallOutput
from phonic_fsm.core.machine import SessionMachine
from phonic_fsm.wire import server as phonic
from phonic_fsm.wire.codec import encode
from phonic_fsm.wire.config import ConfigOptions

CHUNKS = 64

RECEIVE = 15
"""Calls into this package for a chunk, from the websocket's ``recv`` to the audio stream."""

SEND = 14
"""Calls into this package for a frame, from ``push_audio`` to the socket."""

STEPS = {
    "user_started_speaking": 6,
    "user_finished_speaking": 6,
    "input_text": 6,
    "assistant_started_speaking": 10,
    "audio_chunk": 4,
    "assistant_finished_speaking": 9,
    "tool_call": 19,
    "update_chat_ctx": 28,
    "interrupted_response": 9,
}
"""Calls into this package for one step of the machine, by its event."""

TRANSITIONS = 0
"""Calls into ``transitions`` for a chunk."""


class Calls:
    """Python calls by package, and by function."""

    def __init__(self) -> None:
        self.by_function: Counter[tuple[str, str]] = Counter()
        self._packages = {
            str(Path(package.__file__).parent): package.__name__
            for package in (phonic_fsm, transitions)
        }

    def note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            code = frame.f_code
            for directory, package in self._packages.items():
                if code.co_filename.startswith(directory):
                    self.by_function[package, f"{Path(code.co_filename).stem}.{code.co_name}"] += 1

    def of(self, package: str) -> int:
        return sum(n for (found, _), n in self.by_function.items() if found == package)

    def __str__(self) -> str:
        lines = [f"{n:5} {package} {name}" for (package, name), n in self.by_function.items()]
        return "\n".join(sorted(lines, reverse=True))


@contextmanager
def counted() -> Iterator[Calls]:
    calls = Calls()
    former = sys.getprofile()
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(former)


@pytest.mark.anyio
async def test_receiving_a_chunk(server, make_model):
    chunk = encode(phonic.AudioChunk(SILENCE)).decode()
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Hello."))
        generation = await emitted.next("generation_created")
        message = await anext(generation.message_stream)
        await anext(message.audio_stream)
        with counted() as calls:
            for _ in range(CHUNKS):
                await peer.send_raw(chunk)
                await anext(message.audio_stream)
    assert calls.of("phonic_fsm") // CHUNKS <= RECEIVE, str(calls)


@pytest.mark.anyio
async def test_sending_a_frame(server, make_model):
    frame = rtc.AudioFrame(SILENCE, 24_000, 1, len(SILENCE) // 2)
    async with conversation(make_model(), server) as (session, peer, _):
        with counted() as calls:
            for _ in range(CHUNKS):
                session.push_audio(frame)
                await peer.receive_json()
    assert calls.of("phonic_fsm") // CHUNKS <= SEND, str(calls)


BEGINNING = (
    events.Open(),
    events.UpdateSession(instructions="Be kind.", tools=(), items=()),
    events.ConnectionOpened(),
    phonic.ConversationCreated("conv_1"),
    phonic.ReadyToStartConversation(),
)

CONVERSATION = (
    phonic.UserStartedSpeaking(),
    phonic.UserFinishedSpeaking(),
    phonic.InputText("What is the weather like?"),
    phonic.AssistantStartedSpeaking(),
    phonic.AudioChunk(SILENCE, "One moment."),
    phonic.AssistantFinishedSpeaking(),
    phonic.ToolCall("call_1", "get_weather"),
    events.UpdateChatContext(
        (events.Addition(None, FunctionCallOutput("o1", "call_1", "get_weather", "sunny")),)
    ),
    phonic.InterruptedResponse("One"),
)
"""Everything usual, once."""


def begun() -> SessionMachine:
    machine = SessionMachine(Settings(id_seed="seed", config=ConfigOptions()))
    for event in BEGINNING:
        machine.step(event)
    return machine


def test_usual_steps():
    machine = begun()
    for event in CONVERSATION:
        with counted() as calls:
            machine.step(event)
        name = events.name_of(event)
        assert calls.of("phonic_fsm") <= STEPS[name], f"{name}\n{calls}"


def test_a_chunk_tries_one_row_of_the_table():
    machine = begun()
    machine.step(phonic.AssistantStartedSpeaking())
    with counted() as calls:
        machine.step(phonic.AudioChunk(SILENCE))
    assert calls.of("transitions") <= TRANSITIONS, str(calls)
