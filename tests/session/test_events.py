"""What a session tells beside the conversation itself: words in time, metrics, raw messages."""

from __future__ import annotations

import pytest
from livekit.agents import llm
from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.types import TimedString
from support.scripted import PATIENCE, SILENCE, Emitted, conversation, settle

from phonic_fsm import ConversationKnown, Dtmf, PhonicMetrics, State, ToolCallSettled
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

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


@pytest.mark.parametrize("language", ["de", None])
async def test_a_transcript_carries_the_callers_language(language, make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.InputText("Hallo.", language))
        transcript = await emitted.next("input_audio_transcription_completed")
    assert (transcript.transcript, transcript.language) == ("Hallo.", language)


async def test_the_conversation_is_named_each_time_that_one_begins(make_model, server):
    session = make_model().session()
    emitted, known = Emitted(session), []
    session.on("conversation_known", lambda told: known.append((told, session.conversation_id)))
    try:
        await session._update_session(instructions="Be kind.", tools=[])
        assert session.conversation_id is None
        peer = await server.accept()
        await peer.open_conversation("conv_1")
        await emitted.state("ready")
        session.restart()
        assert session.conversation_id is None
        await (await server.accept()).open_conversation("conv_2")
        await emitted.state("ready")
    finally:
        await session.aclose()
    ids = ["conv_1", "conv_2"]
    assert known == [(ConversationKnown(name), name) for name in ids]


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
    connected, spoken, ended = measured
    assert 0 < ended.session_duration < PATIENCE
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
    assert [metrics.cancelled for metrics in measured] == [True, False]
    assert measured[0].ttft == -1, "nobody had asked"


async def test_phonics_own_timings_are_part_of_a_replys_metrics(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        measured: list[PhonicMetrics] = []
        session.on("metrics_collected", measured.append)
        await peer.send(
            phonic.AudioChunk(SILENCE, "Good", {"llm_ms": 210.0}),
            phonic.AudioChunk(SILENCE, " day."),
            phonic.AssistantFinishedSpeaking(),
            phonic.Dtmf("1", {"llm_ms": 90.0}),
        )
        await settle(peer, emitted)
    spoken, dialled, _ = measured
    assert spoken.timings == {"llm_ms": 210.0}
    assert spoken.request_id
    assert dialled.timings == {"llm_ms": 90.0}
    assert dialled.request_id == ""


async def test_what_phonic_adds_to_the_conversation_is_announced(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        added: list[llm.RemoteItemAddedEvent] = []
        session.on("remote_item_added", added.append)
        await peer.send(phonic.InputText("Hello."))
        await peer.speak("Good ", "day.")
        await peer.send(phonic.ToolCall("call_1", "look_up", {}))
        await emitted.state("tool_pending")
        items = session.chat_ctx.items
    assert [event.item.id for event in added] == [item.id for item in items]
    assert [event.previous_item_id for event in added] == [None, items[0].id, items[1].id]
    user, assistant, call = (event.item for event in added)
    assert (user.role, user.text_content) == ("user", "Hello.")
    assert (assistant.role, assistant.content) == ("assistant", []), "what is heard comes later"
    assert call.name == "look_up"


@pytest.mark.parametrize(
    ("message", "settled"),
    [
        (
            phonic.ToolCallOutputProcessed(
                tool_call_id="c1", tool=phonic.CalledTool("t", "look_up"), duration_ms=12.5
            ),
            ToolCallSettled("c1", "look_up", "processed", 12.5),
        ),
        (
            phonic.ToolCallOutputProcessed(tool_call_id="c1", timed_out=True),
            ToolCallSettled("c1", "look_up", "timed_out", None, "its output came too late"),
        ),
        (
            phonic.ToolCallOutputProcessed(tool_call_id="c1", error_message="bad output"),
            ToolCallSettled("c1", "look_up", "failed", None, "bad output"),
        ),
        (
            phonic.ToolCallInterrupted("c1", "look_up"),
            ToolCallSettled("c1", "look_up", "interrupted"),
        ),
    ],
    ids=["processed", "timed_out", "failed", "interrupted"],
)
async def test_the_end_of_a_tool_call_is_announced(message, settled, make_model, server, caplog):
    caplog.set_level("INFO")
    async with conversation(make_model(), server) as (session, peer, emitted):
        ends: list[ToolCallSettled] = []
        session.on("tool_call_settled", ends.append)
        await peer.send(phonic.ToolCall("c1", "look_up", {}), message)
        await settle(peer, emitted)
        assert session.state is State.ready
    assert ends == [settled]
    assert "c1" in caplog.text
    assert (settled.problem or "") in caplog.text


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
