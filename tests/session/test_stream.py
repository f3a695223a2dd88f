"""The caller's audio as a stream that never stops: silence in gaps, kept audio at its pace."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc
from livekit.agents import AgentSession
from support.receptionist import Receptionist
from support.scripted import PATIENCE, conversation, started

from phonic_fsm._audio.formats import WIRE_FORMATS
from phonic_fsm._runtime.uplink import (
    CATCH_UP,
    CHUNK_MS,
    JITTER_MS,
    MAX_SILENCE_MS,
    PACE_MS,
    Uplink,
    silence,
)
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import Playback

PCM = WIRE_FORMATS["pcm_24000"]


def frame(value: int) -> rtc.AudioFrame:
    """20 ms of 24 kHz, all samples of one value."""
    return rtc.AudioFrame(said(value), 24_000, 1, 480)


def said(value: int) -> bytes:
    return value.to_bytes(2, "little") * 480


# -- over a socket -----------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("audio_format", WIRE_FORMATS)
async def test_a_caller_without_a_microphone_is_heard_as_silence(audio_format, make_model, server):
    async with conversation(make_model(audio_format=audio_format), server) as (_, peer, _):
        await peer.receive_silence(5)
        assert peer.audio == []


@pytest.mark.anyio
async def test_silence_fills_the_gap_when_the_microphone_is_gone(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        session.push_audio(frame(1))
        await peer.receive_audio(1)
        await peer.receive_silence(5)
        session.push_audio(frame(2))
        assert await peer.receive_audio(2) == [said(1), said(2)]


@pytest.mark.anyio
async def test_an_agent_that_nobody_speaks_to_streams_silence(make_model, server):
    session = AgentSession(llm=make_model())
    session.output.audio = Playback(24_000)
    await session.start(Receptionist())
    try:
        peer = await server.accept()
        await peer.open_conversation()
        await peer.receive_silence(5)
    finally:
        await session.aclose()


@pytest.mark.anyio
async def test_what_is_said_before_phonic_is_ready_is_heard(make_model, server):
    async with started(make_model()) as (session, emitted):
        session.push_audio(frame(1))
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.expect(client.Config)
        session.push_audio(frame(2))
        await peer.send(phonic.ReadyToStartConversation())
        await emitted.state("ready")
        session.push_audio(frame(3))
        assert await peer.receive_audio(3) == [said(1), said(2), said(3)]


@pytest.mark.anyio
async def test_what_is_said_during_a_restart_is_heard_in_the_fresh_conversation(make_model, server):
    async with conversation(make_model(), server) as (session, _, emitted):
        session.restart()
        await emitted.state("connecting")
        session.push_audio(frame(1))
        peer = await server.accept()
        await peer.open_conversation("conv_2")
        assert await peer.receive_audio(1) == [said(1)]


@pytest.mark.anyio
async def test_the_first_chunk_of_each_connection_has_its_time(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        first, second = await peer.receive_json(), await peer.receive_json()
        assert first.keys() - second.keys() == {"iso_date_time"}
        peer.cut()
        await emitted.state("reconnecting")
        again = await server.accept()
        await again.send(phonic.ConversationReconnected())
        assert "iso_date_time" in await again.receive_json()


@pytest.mark.anyio
async def test_the_stream_ends_with_the_session(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await peer.receive_silence(2)
        with anyio.fail_after(PATIENCE):
            await session.aclose()
        loop: Any = asyncio.get_running_loop()
        timers = [
            handle
            for handle in loop._scheduled
            if not handle.cancelled() and "_keep_pace" in repr(handle)
        ]
        assert timers == []


# -- the uplink by itself, by a clock of the test's --------------------------------------------


class Clocked:
    """An uplink whose clock is moved by hand, and what it sends: chunks, and ``None`` for 40 ms."""

    def __init__(self, gate="open", keep_ms=0):
        self.sent = []
        self.now = 0
        """Milliseconds."""
        self.uplink = Uplink(
            PCM, lambda chunk: self.sent.append(chunk.audio), lambda: self.sent.append(None)
        )
        self.set_gate(gate, keep_ms)

    def set_gate(self, gate, keep_ms=0):
        self.uplink.set_gate(gate, keep_ms, self.now / 1000)

    def pace(self, milliseconds):
        """Let so many ms pass, and the stream be looked after."""
        self.now += milliseconds
        self.uplink.keep_pace(self.now / 1000)

    def sent_ms(self):
        return sum(PACE_MS if chunk is None else CHUNK_MS for chunk in self.sent)


@given(late=st.lists(st.integers(0, 80), min_size=20, max_size=60))
def test_no_silence_comes_between_frames_that_are_late_by_no_more_than_jitter(late):
    line = Clocked()
    due = sorted((20 * number + delay, number) for number, delay in enumerate(late))
    for end in range(PACE_MS, 20 * len(late), PACE_MS):
        while due and due[0][0] <= end:
            line.uplink.push(frame(due.pop(0)[1]))
        line.pace(PACE_MS)
    assert None not in line.sent


@given(steps=st.lists(st.integers(1, MAX_SILENCE_MS * PACE_MS // JITTER_MS), max_size=60))
def test_the_stream_is_never_behind_by_more_than_jitter_however_late_it_is_looked_after(steps):
    line = Clocked()
    for step in steps:
        line.pace(step)
        if len(line.sent) > 0:
            assert line.now - line.sent_ms() < PACE_MS
    for _ in range(JITTER_MS // PACE_MS):
        line.pace(PACE_MS)
    assert 0 <= line.now - line.sent_ms() < PACE_MS


def test_frames_that_were_held_up_with_the_loop_are_not_doubled_by_silence():
    line = Clocked()
    line.uplink.push(frame(1))
    line.pace(PACE_MS)
    line.pace(900)
    for value in range(2, 47):
        line.uplink.push(frame(value))
    line.pace(PACE_MS)
    assert line.sent == [said(value) for value in range(1, 47)]


def test_no_silence_takes_the_place_of_audio_that_is_expected():
    line = Clocked()
    for _ in range(2 * JITTER_MS // PACE_MS):
        line.uplink.expect()
        line.pace(PACE_MS)
    assert line.sent == []
    for _ in range(JITTER_MS // PACE_MS):
        line.pace(PACE_MS)
    assert line.sent_ms() == JITTER_MS


def test_what_was_kept_is_caught_up_with_at_twice_real_time_and_in_order():
    line = Clocked("holding", 2_000)
    for value in range(1, 101):
        line.uplink.push(frame(value))
    line.set_gate("open")
    value = 100
    while line.uplink._kept or not line.sent:
        before = len(line.sent)
        for _ in range(2):
            value += 1
            line.uplink.push(frame(value))
        line.pace(PACE_MS)
        assert (len(line.sent) - before) * CHUNK_MS <= CATCH_UP * PACE_MS
    assert line.sent == [said(number) for number in range(1, value + 1)]
    line.uplink.push(frame(value + 1))
    assert line.sent[-1] == said(value + 1), "caught up with: a frame goes out as it comes"


def test_the_oldest_gives_way_and_that_is_told_once(caplog):
    line = Clocked("holding", 100)
    for value in range(1, 11):
        line.uplink.push(frame(value))
    line.set_gate("open")
    line.uplink.flush()
    assert line.sent == [said(value) for value in range(6, 11)]
    line.set_gate("open")
    [warning] = caplog.messages
    assert warning.startswith("100 ms of the caller's audio were dropped")


@pytest.mark.parametrize("wire_format", WIRE_FORMATS.values(), ids=WIRE_FORMATS)
def test_silence_is_forty_ms_of_silence_in_the_wires_format(wire_format):
    audio = silence(wire_format)[0].audio
    assert len(audio) == wire_format.sample_rate * wire_format.sample_bytes * PACE_MS // 1000
    assert not any(wire_format.decode(audio) if wire_format.decode else audio)
