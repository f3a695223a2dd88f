"""The hot path makes no more Python calls than it is meant to, be they ours or a library's.

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
from typing import NamedTuple

import pytest
from livekit import rtc
from support.scripted import SILENCE, conversation
from websockets.frames import Frame, Opcode

import phonic_fsm
from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.history import FunctionCallOutput
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._runtime.uplink import PACE_MS
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.codec import encode
from phonic_fsm._wire.config import ConfigOptions


class Budget(NamedTuple):
    """Calls."""

    ours: int
    others: int


CHUNKS = 64

RECEIVE = Budget(ours=20, others=29)
"""For a chunk, from what the event loop has read to the generation's audio stream: with websockets
17.4 and livekit 1.1.21."""

SEND = Budget(ours=14, others=16)
"""For a frame, from ``push_audio`` to the network."""

SILENCE_SENT = Budget(ours=7, others=12)
"""For a message of silence (40 ms), from the timer that looks after the stream to the network."""

STEPS = {
    "user_started_speaking": 9,
    "user_finished_speaking": 9,
    "input_text": 14,
    "assistant_started_speaking": 15,
    "audio_chunk": 6,
    "assistant_finished_speaking": 14,
    "tool_call": 33,
    "update_chat_ctx": 47,
    "interrupted_response": 10,
}
"""Calls into this package for one step of the machine, by its event."""

OURS = str(Path(phonic_fsm.__file__).parent)


INLINED = {"<listcomp>", "<dictcomp>", "<setcomp>"}
"""Calls up to Python 3.11 only: later ones have comprehensions inline."""


class Calls:
    """Python calls, by function."""

    def __init__(self) -> None:
        self.ours: Counter[str] = Counter()
        """Into this package."""
        self.others: Counter[str] = Counter()
        """Into libraries, the standard one too."""

    def note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if code.co_name in INLINED:
            return
        if event == "call" and code.co_filename != __file__:
            calls = self.ours if code.co_filename.startswith(OURS) else self.others
            calls[f"{Path(code.co_filename).stem}.{code.co_name}"] += 1

    def check(self, budget: Budget, times: int = 1) -> None:
        for calls, most in ((self.ours, budget.ours), (self.others, budget.others)):
            assert calls.total() // times <= most, "\n".join(map(str, calls.most_common()))


@contextmanager
def counted() -> Iterator[Calls]:
    calls = Calls()
    former = sys.getprofile()
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(former)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of production: the tests' own makes calls for its clock."""
    return "asyncio"


@pytest.mark.anyio
async def test_receiving_a_chunk(server, make_model):
    chunk = Frame(Opcode.TEXT, encode(phonic.AudioChunk(SILENCE))).serialize(mask=False)
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking())
        generation = await emitted.next("generation_created")
        message = await anext(generation.message_stream)
        socket = session._runtime._connection._socket
        read = socket.get_buffer(-1)
        read[: len(chunk)] = chunk
        with counted() as calls:
            for _ in range(CHUNKS):
                socket.buffer_updated(len(chunk))
        assert message.audio_stream.qsize() == CHUNKS, "a chunk waits for a turn of the event loop"
    calls.check(RECEIVE, CHUNKS)


@pytest.mark.anyio
async def test_sending_a_frame(server, make_model):
    frame = rtc.AudioFrame(SILENCE, 24_000, 1, len(SILENCE) // 2)
    async with conversation(make_model(), server) as (session, peer, _):
        with counted() as calls:
            for _ in range(CHUNKS):
                session.push_audio(frame)
        assert len(await peer.receive_audio(CHUNKS)) == CHUNKS
    calls.check(SEND, CHUNKS)


@pytest.mark.anyio
async def test_sending_silence(server, make_model):
    async with conversation(make_model(), server) as (session, peer, _):
        await peer.receive_silence(1)  # the first message of a connection has its date
        uplink = session._runtime._uplink
        now = uplink._paced_at
        with counted() as calls:
            for _ in range(CHUNKS):
                now += PACE_MS / 1000
                uplink.keep_pace(now)
        await peer.receive_silence(CHUNKS)
    calls.check(SILENCE_SENT, CHUNKS)


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
        assert calls.ours.total() <= STEPS[name], f"{name}: {calls.ours}"
        # Beside what ends the counting, only the look-up of the state that is moved to.
        assert set(calls.others) <= {"contextlib.__exit__", "enum.__getitem__"}
