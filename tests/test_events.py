"""What a session tells beside the conversation itself: words in time, metrics, raw messages."""

from __future__ import annotations

import pytest
from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.types import TimedString
from scripted import PATIENCE, SILENCE, Emitted, conversation

from phonic_fsm.adapter.session import Dtmf
from phonic_fsm.wire import client
from phonic_fsm.wire import server as phonic

pytestmark = pytest.mark.anyio


async def test_words_carry_the_time_at_which_they_are_spoken(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.speak("Good ", "morning.", audio=SILENCE * 5)
        generation = await emitted.next("generation_created")
        message = await anext(aiter(generation.message_stream))
        words = [word async for word in message.text_stream]
    assert all(isinstance(word, TimedString) for word in words)
    assert [(str(w), w.start_time, w.end_time) for w in words] == [
        ("Good ", 0.0, 0.1),
        ("morning.", 0.1, 0.2),
    ]


async def test_digits_that_the_assistant_dials_are_announced(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        dialled = []
        session.on("dtmf", dialled.append)
        await peer.send(phonic.Dtmf("12#"), phonic.UserStartedSpeaking())
        await emitted.state("listening")
    assert dialled == [Dtmf("12#")]


async def test_the_connection_and_every_reply_are_measured(make_model, server):
    session = make_model().session()
    measured: list[RealtimeModelMetrics] = []
    session.on("metrics_collected", measured.append)
    emitted = Emitted(session)
    try:
        await session._update_session(instructions="Be kind.", tools=[])
        peer = await server.accept()
        await peer.open_conversation()
        await emitted.state("ready")
        reply = session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.speak("Hello.")
        generation = await reply
        await emitted.state("speaking")
        await emitted.state("ready")
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AssistantFinishedSpeaking())
        await emitted.state("speaking")
        await emitted.state("ready")
    finally:
        await session.aclose()
    connected, spoken = measured
    assert 0 < connected.acquire_time < PATIENCE
    assert spoken.request_id == generation.response_id
    assert 0 < spoken.ttft < PATIENCE
    assert 0 <= spoken.duration < PATIENCE
    assert spoken.cancelled is False
    assert (spoken.metadata.model_name, spoken.metadata.model_provider) == ("phonic", "phonic")


async def test_a_reply_that_was_cut_off_is_measured_as_cancelled(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        measured: list[RealtimeModelMetrics] = []
        session.on("metrics_collected", measured.append)
        await peer.send(phonic.AudioChunk(SILENCE, "Good"), phonic.UserStartedSpeaking())
        await emitted.state("listening")
    assert [metrics.cancelled for metrics in measured] == [True]
    assert measured[0].ttft == -1, "nobody had asked"


async def test_raw_messages_can_be_listened_to(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        received, queued = [], []
        session.on("phonic_server_event_received", received.append)
        session.on("phonic_client_event_queued", queued.append)
        session.generate_reply(instructions="Hi.")
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.InputText("Hello?", "en"))
        await emitted.next("input_audio_transcription_completed")
    assert received == [{"type": "input_text", "text": "Hello?", "language": "en"}]
    assert queued == [{"type": "generate_reply", "system_message": "Hi."}]
