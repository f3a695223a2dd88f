"""What a recorded session observes of the caller's audio and of its process."""

from __future__ import annotations

import time
from functools import partial
from queue import Queue
from typing import Any, TypeVar

import anyio
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc
from livekit.agents import AgentSession, CloseReason, get_job_context, llm
from livekit.agents.testing import fake_job_context
from support.job import job
from support.receptionist import Receptionist, call
from support.scripted import PATIENCE, SILENCE, conversation, started

from phonic_fsm import observe
from phonic_fsm._core.events import (
    AgentChanged,
    AgentSessionClosed,
    AgentState,
    CallerAudio,
    Close,
    EventLoopLate,
    JobShutDown,
    PlaybackFinished,
    PlaybackStarted,
    RoundTrip,
    ToolEnded,
    ToolStarted,
)
from phonic_fsm._runtime import connection
from phonic_fsm._runtime.caller_meter import SAME_MS, CallerMeter, Passage, are_alike
from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import Playback
from phonic_fsm.trace import TraceReader, _recorder

EVEN = Passage(sent=1000)

T = TypeVar("T", bound=msgspec.Struct)


def frame(amplitude: int, *, ms: int = 20, rate: int = 24_000, channels: int = 1) -> rtc.AudioFrame:
    samples = np.full(rate * ms // 1000 * channels, amplitude, np.int16)
    return rtc.AudioFrame(samples.tobytes(), rate, channels, rate * ms // 1000)


def second(meter: CallerMeter, amplitude: int, **how: int) -> None:
    for _ in range(1000 // how.get("ms", 20)):
        meter.take(frame(amplitude, **how))


# -- the meter -----------------------------------------------------------------------------------


def test_a_frame_whose_buffer_is_used_again_is_measured_as_it_was_sent():
    meter = CallerMeter()
    buffer = bytearray(np.full(480, 16_384, np.int16).tobytes())
    meter.take(rtc.AudioFrame(buffer, 24_000, 1, 480))
    buffer[:] = bytes(len(buffer))
    seen = meter.look(EVEN)
    assert seen is not None
    assert (seen.dbfs, seen.peak) == (-6.0, -6.0)


def test_a_second_is_measured():
    meter = CallerMeter()
    second(meter, 16_384, rate=48_000, channels=2)
    passage = Passage(sent=900, filled=40, dropped=20, waiting=80)
    assert meter.look(passage) == CallerAudio(
        received_ms=1000,
        dbfs=-6.0,
        peak=-6.0,
        levels=(-6,) * 10,
        sent_ms=900,
        filled_ms=40,
        dropped_ms=20,
        waiting_ms=80,
        rate=48_000,
        channels=2,
    )


def test_the_loudest_sample_is_told_beside_the_level():
    meter = CallerMeter()
    second(meter, 0)
    meter.take(frame(-32_768))
    seen = meter.look(EVEN)
    assert seen is not None
    assert seen.peak == 0.0
    assert seen.dbfs == -17.1


@pytest.mark.parametrize("ms", [10, 20, 50])
def test_each_tenth_of_a_second_has_a_level(ms):
    meter = CallerMeter()
    for amplitude in (16_384, 0, 16_384, 33):
        for _ in range(250 // ms):
            meter.take(frame(amplitude, ms=ms))
    seen = meter.look(EVEN)
    assert seen is not None
    levels = seen.levels
    assert (levels[0], levels[3], levels[6], levels[-1]) == (-6, -100, -6, -60)
    assert 10 <= len(levels) <= 12  # those that were measured in two halves have two


def test_seconds_of_speech_are_all_told_of():
    meter = CallerMeter()
    told = []
    for _ in range(3):
        for amplitude in (3_000, 30):
            for _ in range(25):
                meter.take(frame(amplitude))
        told.append(meter.look(EVEN))
    assert all(told)


def test_digital_silence_has_no_level():
    meter = CallerMeter()
    second(meter, 0)
    seen = meter.look(EVEN)
    assert seen is not None
    assert (seen.received_ms, seen.dbfs, seen.peak) == (1000, None, None)


def test_an_hour_without_a_change_is_told_once():
    meter = CallerMeter()
    told = []
    for _ in range(10):
        second(meter, 30)
        told.append(meter.look(EVEN))
    assert [bool(seen) for seen in told] == [True] + 9 * [False]


def test_nothing_from_the_start_is_told_by_nothing():
    assert CallerMeter().look(Passage()) is None


@pytest.mark.parametrize(
    "passage",
    [
        Passage(sent=1000, dropped=20),
        Passage(sent=800),
        Passage(sent=1000, filled=200),
        Passage(sent=1000, waiting=200),
    ],
)
def test_a_change_of_what_became_of_it_is_told(passage):
    meter = CallerMeter()
    second(meter, 30)
    meter.look(EVEN)
    second(meter, 30)
    assert meter.look(passage) is not None


@pytest.mark.parametrize("amplitude", [0, 3, 3_000])
def test_a_change_of_its_level_is_told(amplitude):
    meter = CallerMeter()
    second(meter, 30)
    meter.look(EVEN)
    second(meter, amplitude)
    assert meter.look(EVEN) is not None


def test_another_rate_is_told():
    meter = CallerMeter()
    second(meter, 30)
    meter.look(EVEN)
    second(meter, 30, rate=16_000)
    assert meter.look(EVEN) is not None


@given(st.lists(st.integers(0, SAME_MS - 1), min_size=1))
def test_uneven_frames_are_no_change(uneven):
    base = CallerAudio(received_ms=1000, sent_ms=1000, dbfs=-40.0)
    for late in uneven:
        assert are_alike(msgspec.structs.replace(base, received_ms=1000 - late), base)


# -- a session -----------------------------------------------------------------------------------


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of production: the tests' own leaves out the time for which it is held up."""
    return "asyncio"


class Trace:
    """A trace's steps, as they are written."""

    def __init__(self) -> None:
        self._steps: Queue[dict[str, Any]] = Queue()

    def __call__(self, session: str, line: bytes) -> None:
        self._steps.put(msgspec.json.decode(line))

    async def next(self, kind: type[T]) -> T:
        """The next event of this type."""
        while True:
            step = await anyio.to_thread.run_sync(partial(self._steps.get, timeout=PATIENCE))
            if step.get("event", {}).get("type") == kind.__struct_config__.tag:
                return msgspec.convert(step["event"], kind)

    def types(self) -> list[str]:
        """The types of the events that are there and were not taken yet."""
        steps = [self._steps.get() for _ in range(self._steps.qsize())]
        return [step["event"]["type"] for step in steps if "event" in step]


@pytest.mark.anyio
async def test_a_session_tells_of_the_callers_audio(make_model, server):
    trace = Trace()
    async with conversation(make_model(trace=trace), server) as (session, _, _):
        for _ in range(10):
            session.push_audio(frame(16_384))
        while not (heard := await trace.next(CallerAudio)).received_ms:
            pass
    assert heard == CallerAudio(
        received_ms=200,
        dbfs=-6.0,
        peak=-6.0,
        levels=(-6,) * 2,
        sent_ms=200,
        filled_ms=heard.filled_ms,
        rate=24_000,
        channels=1,
    )
    assert heard.filled_ms > 0


@pytest.mark.anyio
async def test_a_session_tells_what_waits_until_phonic_is_ready(make_model, server):
    trace = Trace()
    async with started(make_model(trace=trace)) as (session, _):
        session.push_audio(frame(16_384))
        heard = await trace.next(CallerAudio)
    assert (heard.received_ms, heard.waiting_ms, heard.sent_ms) == (20, 20, 0)


@pytest.mark.anyio
async def test_a_session_tells_what_a_socket_that_takes_nothing_loses(make_model, server):
    trace = Trace()
    async with conversation(make_model(trace=trace), server) as (session, peer, _):
        peer._socket.transport.pause_reading()
        transport = session._runtime._connection._socket.transport
        chat = llm.ChatContext.empty()
        while transport.get_write_buffer_size() == 0:  # until the kernel takes no more
            chat.add_message(role="system", content="x" * 2**19)
            await session.update_chat_ctx(chat)
        for _ in range(175):
            session.push_audio(frame(16_384))
        while not (heard := await trace.next(CallerAudio)).overflowed_ms:
            pass
        transport.abort()
        while not (lost := await trace.next(CallerAudio)).dropped_ms:
            pass
    assert (heard.received_ms, heard.waiting_ms) == (3500, 2000)
    assert (heard.sent_ms, heard.dropped_ms, heard.overflowed_ms) == (0, 1500, 1500)
    assert (lost.sent_ms, lost.dropped_ms, lost.overflowed_ms, lost.waiting_ms) == (0, 2000, 0, 0)


@pytest.mark.anyio
async def test_a_session_tells_what_is_lost_as_it_is_closed(make_model, server):
    trace = Trace()
    async with started(make_model(trace=trace)) as (session, _):
        session.push_audio(frame(16_384))
        await session.aclose()
        heard = await trace.next(CallerAudio)
    assert (heard.received_ms, heard.dropped_ms, heard.waiting_ms) == (20, 20, 0)


@pytest.mark.anyio
async def test_a_session_tells_for_how_long_the_event_loop_was_held_up(make_model, server):
    trace = Trace()
    async with conversation(make_model(trace=trace), server):
        time.sleep(0.4)  # noqa: ASYNC251 - what is tested
        # On a busy machine the loop has been late before.
        while (await trace.next(EventLoopLate)).seconds < 0.3:
            pass


@pytest.mark.anyio
async def test_a_session_tells_how_long_a_ping_took(make_model, server, monkeypatch):
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.05)
    trace = Trace()
    async with conversation(make_model(trace=trace), server):
        trip = await trace.next(RoundTrip)
    assert 0 <= trip.seconds < PATIENCE


# -- what only the AgentSession knows ------------------------------------------------------------


@pytest.mark.anyio
async def test_the_trace_tells_what_was_played(make_model, server):
    trace = Trace()
    async with call(make_model(trace=trace), server) as (session, peer, _):
        observe(session)
        await peer.speak("Good morning.")
        await trace.next(PlaybackStarted)
        finished = await trace.next(PlaybackFinished)
    assert finished == PlaybackFinished(len(SILENCE) / 48_000, interrupted=False)


@pytest.mark.anyio
async def test_an_answer_that_the_caller_cuts_off_is_told_as_far_as_it_was_played(
    make_model, server
):
    trace = Trace()
    async with call(make_model(trace=trace), server) as (session, peer, _):
        observe(session)
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE * 500, "One"))
        await trace.next(PlaybackStarted)
        await peer.send(phonic.UserStartedSpeaking())
        finished = await trace.next(PlaybackFinished)
    assert finished.interrupted
    assert finished.position < 500 * len(SILENCE) / 48_000


@pytest.mark.anyio
async def test_observing_needs_a_realtime_session_of_this_package():
    session = AgentSession()
    with pytest.raises(RuntimeError):
        observe(session)


@pytest.mark.anyio
async def test_in_a_job_the_trace_tells_when_a_tool_ran(make_model, server):
    trace = Trace()
    async with job(make_model(trace=trace), server, Playback(24_000)) as (_, peer):
        await peer.send(phonic.ToolCall("call_1", "opening_hours", {"day": "Monday"}))
        assert await trace.next(ToolStarted) == ToolStarted("call_1")
        assert await trace.next(ToolEnded) == ToolEnded("call_1", "done")


@pytest.mark.anyio
async def test_a_tool_that_raises_is_told(make_model, server):
    trace = Trace()
    async with job(make_model(trace=trace), server, Playback(24_000)) as (_, peer):
        await peer.send(phonic.ToolCall("call_1", "opening_hours", {"wrong": 1}))
        assert await trace.next(ToolEnded) == ToolEnded("call_1", "error")


@pytest.mark.anyio
async def test_the_trace_tells_the_agents_state(make_model, server):
    trace = Trace()
    async with call(make_model(trace=trace), server) as (session, peer, _):
        observe(session)
        assert await trace.next(AgentState) == AgentState("listening")
        await peer.speak("Good morning.")
        assert await trace.next(AgentState) == AgentState("speaking")


@pytest.mark.anyio
async def test_the_trace_tells_of_a_handoff(make_model, server):
    trace = Trace()
    async with call(make_model(trace=trace), server) as (session, peer, _):
        observe(session)
        await peer.send(phonic.ToolCall("call_1", "transfer", {}))
        assert await trace.next(AgentChanged) == AgentChanged("billing", "receptionist")


# -- why it ended --------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("by", ["aclose", "shutdown"])
async def test_the_trace_tells_why_the_agent_session_was_closed(by, make_model, server):
    trace = Trace()
    async with call(make_model(trace=trace), server) as (session, _, seen):
        observe(session)
        if by == "aclose":
            await session.aclose()
        else:
            session.shutdown()
            await seen.close()
        await trace.next(Close)
        assert await trace.next(AgentSessionClosed) == AgentSessionClosed("user_initiated")


@pytest.mark.anyio
async def test_the_trace_tells_of_a_caller_who_hangs_up(make_model, server):
    trace = Trace()
    async with call(make_model(trace=trace), server) as (session, _, _):
        observe(session)
        session._close_soon(reason=CloseReason.PARTICIPANT_DISCONNECTED)  # as LiveKit's room does
        closed = await trace.next(AgentSessionClosed)
    assert closed == AgentSessionClosed("participant_disconnected")


@pytest.mark.anyio
async def test_the_trace_tells_of_an_error_that_closed_the_agent_session(make_model, server):
    trace = Trace()
    model = make_model(trace=trace)
    async with call(model, server) as (session, peer, _):
        observe(session)
        await peer.close(code=4400, reason="out of credit")
        closed = await trace.next(AgentSessionClosed)
    assert closed.reason == "error"
    assert "out of credit" in str(closed.error)


@pytest.mark.anyio
async def test_the_trace_tells_that_the_job_was_shut_down(make_model, server):
    trace = Trace()
    async with job(make_model(trace=trace), server, Playback(24_000)) as (session, _):
        context = get_job_context()
        # What LiveKit does at the end of a job, in this order (livekit-agents 1.8.9).
        await session.aclose()
        for callback in context._shutdown_callbacks:
            await callback("room disconnected")
        assert await trace.next(AgentSessionClosed) == AgentSessionClosed("user_initiated")
        assert await trace.next(JobShutDown) == JobShutDown("room disconnected")


@pytest.mark.anyio
async def test_a_session_that_was_never_ready_tells_it_too(make_model, server):
    trace = Trace()
    session = AgentSession(llm=make_model(trace=trace))
    with fake_job_context() as context, context._tempdir:
        await session.start(Receptionist())
        await session.aclose()
        assert await trace.next(AgentSessionClosed) == AgentSessionClosed("user_initiated")


@pytest.mark.anyio
async def test_a_trace_is_whole_up_to_the_close_when_the_session_is_closed(
    make_model, server, tmp_path
):
    path = tmp_path / "call.jsonl.gz"
    async with call(make_model(trace=path), server) as (session, _, _):
        observe(session)
        await session.current_agent.realtime_llm_session.aclose()
        *_, last = TraceReader(path)
        assert last.event["type"] == "close"


@pytest.mark.anyio
async def test_a_trace_that_nobody_ends_ends_by_itself(make_model, server, monkeypatch):
    monkeypatch.setattr(_recorder, "LONGEST_LINGER", 0.0)
    trace = Trace()
    async with call(make_model(trace=trace), server) as (session, _, _):
        observe(session)
        await session.current_agent.realtime_llm_session.aclose()
    assert trace.types()[-1] == "close"


@pytest.mark.anyio
async def test_after_the_end_nothing_is_followed(make_model, server):
    async with call(make_model(), server) as (session, _, _):
        before = {name: len(handlers) for name, handlers in session._events.items()}
        observe(session)
        await session.aclose()
        assert {name: len(session._events[name]) for name in before} == before
