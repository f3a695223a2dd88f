"""A session's spans, as they arrive at an exporter."""

from __future__ import annotations

import asyncio
import json

import anyio
import pytest
from livekit.agents import Agent, AgentSession, APIConnectOptions, function_tool, llm
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode
from support.scripted import PATIENCE, SILENCE, conversation, read, settle
from support.spans import Exported

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import Playback

pytestmark = pytest.mark.anyio

AT_ONCE = APIConnectOptions(max_retry=3, retry_interval=0.0, timeout=5.0)


class Receptionist(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a receptionist.")

    @function_tool
    async def opening_hours(self, day: str) -> str:
        """Look up the opening hours."""
        return "nine to five"


async def hold_a_call(model, server) -> None:
    """A question, a tool call, an answer, through a real AgentSession."""
    session = AgentSession(llm=model)
    session.output.audio = Playback(24_000)
    answered = anyio.Event()

    def note(event) -> None:
        if event.item.type == "message" and event.item.role == "assistant":
            answered.set()

    session.on("conversation_item_added", note)
    await session.start(Receptionist())
    try:
        peer = await server.accept()
        await peer.open_conversation()
        await peer.send(
            phonic.UserStartedSpeaking(),
            phonic.UserFinishedSpeaking(),
            phonic.InputText("When do you open?"),
            phonic.ToolCall("call_1", "opening_hours", {"day": "Monday"}),
        )
        await peer.expect(client.ToolCallOutput)
        await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="call_1", duration_ms=12.0))
        await peer.speak("Nine ", "to five.")
        with anyio.fail_after(PATIENCE):
            await answered.wait()
    finally:
        await session.aclose()


async def test_a_call_lies_in_livekits_session_with_its_states_turns_and_tools(
    make_model, server, exported
):
    await hold_a_call(make_model(), server)

    session = exported.one("phonic_session")
    assert session.parent.span_id == exported.one("agent_session").context.span_id
    assert session.attributes["gen_ai.provider.name"] == "phonic"
    assert session.attributes["phonic.conversation_id"] == "conv_1"
    assert session.status.status_code is StatusCode.UNSET
    first, *states = exported.names()
    assert first == "phonic_session"
    assert states == [
        "phonic_connecting",
        "phonic_config_sent",
        "phonic_ready",
        "phonic_listening",
        "phonic_ready",
        "phonic_generation",
        "phonic_tool_call",
        "phonic_tool_pending",
        "phonic_speaking",
        "phonic_generation",
        "phonic_ready",
    ]
    for name in states:
        for span in exported.all(name):
            assert span.parent.span_id == session.context.span_id
            assert session.start_time <= span.start_time <= span.end_time <= session.end_time
    assert exported.one("phonic_listening").attributes == {
        "phonic.state": "listening",
        "phonic.event": "user_started_speaking",
    }
    assert exported.events("user_transcript") == [{"lk.pii.user_transcript": "When do you open?"}]

    call = exported.one("phonic_tool_call")
    assert call.attributes["lk.function_tool.id"] == "call_1"
    assert call.attributes["lk.function_tool.name"] == "opening_hours"
    assert json.loads(call.attributes["lk.pii.function_tool.arguments"]) == {"day": "Monday"}
    assert call.attributes["phonic.outcome"] == "processed"
    assert exported.events("output") == [{"lk.pii.function_tool.output": "nine to five"}]

    silent, spoken = exported.all("phonic_generation")
    assert "lk.pii.response.text" not in silent.attributes
    assert spoken.attributes["lk.pii.response.text"] == "Nine to five."
    assert spoken.attributes["lk.interrupted"] is False
    assert [event.name for event in spoken.events] == ["first_audio"]


async def test_what_was_said_is_under_keys_that_livekit_can_strip(make_model, server, set_provider):
    exported = Exported()
    provider = TracerProvider()
    set_provider(provider, allow_pii=False)
    provider.add_span_processor(SimpleSpanProcessor(exported.exporter))
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.UserStartedSpeaking(),
            phonic.UserFinishedSpeaking(),
            phonic.InputText("secret-transcript"),
            phonic.Dtmf("secret-digits"),
        )
        await peer.speak("secret-answer")
        await read(await emitted.next("generation_created"))
        await peer.send(phonic.InterruptedResponse("secret-part"))
        await peer.send(phonic.ToolCall("call_1", "look_up", {"city": "secret-argument"}))
        await read(await emitted.next("generation_created"))
        context = session.chat_ctx
        context.items.append(
            llm.FunctionCallOutput(call_id="call_1", output="secret-output", is_error=False)
        )
        await session.update_chat_ctx(context)
        await peer.send(
            phonic.ToolCallOutputProcessed(tool_call_id="call_1", error_message="secret-failure"),
            phonic.Error(phonic.Problem("secret-problem", "bad")),
        )
        await settle(peer, emitted)
    spans = [json.loads(span.to_json()) for span in exported.exporter.get_finished_spans()]
    assert exported.names()
    assert "secret" not in json.dumps(spans)
    assert "sk-test-key" not in json.dumps(spans)
    [call] = exported.all("phonic_tool_call")
    assert (call.attributes or {})["phonic.outcome"] == "failed"
    assert [event["error.type"] for event in exported.events("error")] == ["server_error"]


async def test_an_outage_is_a_span_from_the_loss_to_the_resume(make_model, server, exported):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        peer.cut()
        await emitted.state("reconnecting")
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.state("ready")
    outage = exported.one("phonic_outage")
    assert outage.attributes == {"phonic.event": "connection_closed", "phonic.resumed": True}
    assert exported.names()[-3:] == ["phonic_outage", "phonic_reconnecting", "phonic_ready"]
    [error] = exported.events("error")
    assert (error["error.type"], error["phonic.recoverable"]) == ("connection_lost", True)
    assert exported.one("phonic_session").status.status_code is StatusCode.UNSET


async def test_an_outage_lasts_until_a_fresh_conversation_is_open(make_model, server, exported):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        await peer.send(phonic.ToolCall("call_1", "look_up"))
        await emitted.state("tool_pending")
        peer.cut()
        await emitted.state("reconnecting")
        await (await server.accept()).close(4800, "too late")
        fresh = await server.accept()
        await fresh.open_conversation("conv_2")
        await emitted.state("ready")
    outage = exported.one("phonic_outage")
    assert outage.attributes["phonic.resumed"] is False
    assert outage.end_time >= exported.one("phonic_reconnecting").end_time
    assert outage.end_time >= exported.all("phonic_config_sent")[-1].end_time
    call = exported.one("phonic_tool_call")
    assert call.attributes["phonic.outcome"] == "abandoned"
    assert call.end_time <= exported.all("phonic_config_sent")[-1].start_time
    assert exported.one("phonic_session").attributes["phonic.conversation_id"] == "conv_2"


async def test_an_interruption_is_told_once_and_with_what_was_heard(make_model, server, exported):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            *(phonic.AudioChunk(SILENCE, word) for word in ("One ", "two ", "three")),
            phonic.UserStartedSpeaking(),
            phonic.InterruptedResponse("One"),
        )
        await settle(peer, emitted)
    generation = exported.one("phonic_generation")
    assert generation.attributes["lk.interrupted"] is True
    assert generation.attributes["lk.pii.response.text"] == "One two three"
    response_id = generation.attributes["gen_ai.response.id"]
    assert exported.events("interrupted") == [
        {"gen_ai.response.id": response_id, "phonic.event": "user_started_speaking"}
    ]
    assert exported.events("message_corrected") == [
        {"gen_ai.response.id": response_id, "lk.pii.response.text": "One"}
    ]


async def test_an_end_that_nobody_wanted_is_an_error_of_the_session(make_model, server, exported):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking())
        await emitted.state("speaking")
        await peer.close(1000, "no input")
        await emitted.state("closed")
    session = exported.one("phonic_session")
    assert session.status.status_code is StatusCode.ERROR
    assert session.attributes["error.type"] == "conversation_ended"
    assert exported.one("phonic_generation").attributes["lk.interrupted"] is True


class Broken(SpanProcessor):
    """Breaks at the named moment of a session's span."""

    def __init__(self, moment: str, error: type[BaseException]) -> None:
        self._error = error
        self._moment = moment

    def on_start(self, span, parent_context=None) -> None:
        if self._moment == "start" and span.name == "phonic_session":
            raise self._error("the collector is on fire")

    def on_end(self, span) -> None:
        if self._moment == "end" and span.name == "phonic_ready":
            raise self._error("the collector is on fire")


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
@pytest.mark.parametrize("moment", ["start", "end"])
async def test_a_fault_in_what_records_spans_does_not_reach_the_call(  # noqa: PLR0917
    moment, error, make_model, server, set_provider, caplog
):
    provider = TracerProvider()
    provider.add_span_processor(Broken(moment, error))
    set_provider(provider, allow_pii=True)
    async with conversation(make_model(), server) as (_, peer, emitted):
        for words in ("Good morning.", "Anybody there?"):
            await peer.speak(words)
            assert (await read(await emitted.next("generation_created"))).text == words
            await settle(peer, emitted)
    told = [record for record in caplog.records if "spans" in record.message]
    assert len(told) == 1
    assert "on fire" in told[0].message


async def test_nothing_is_followed_where_nothing_is_recorded(make_model, server, set_provider):
    set_provider(TracerProvider(sampler=ALWAYS_OFF), allow_pii=True)
    async with conversation(make_model(), server) as (session, _, _):
        assert session._spans is None


async def test_an_answer_that_is_over_before_it_is_asked_for_has_its_span(
    make_model, server, exported, caplog
):
    async with conversation(make_model(push_to_talk=True), server) as (session, peer, emitted):
        session.commit_audio()
        await peer.speak("Nine to five.")
        await emitted.state("speaking")
        await emitted.state("ready")
        session.generate_reply()
        await emitted.next("generation_created")
    exported.one("phonic_generation")
    exported.one("phonic_session")
    assert "the spans of this session end here" not in caplog.text
