"""A connection that is lost: resumed, or carried on in a fresh conversation."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, llm
from support.scripted import PATIENCE, SILENCE, Emitted, conversation, read, settle, started

from phonic_fsm import ConnectionFailed, State
from phonic_fsm._core import timers
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

AT_ONCE = APIConnectOptions(max_retry=2, retry_interval=0, timeout=5)


async def add(session, *items):
    context = session.chat_ctx
    context.items.extend(items)
    await session.update_chat_ctx(context)


def system(text):
    return llm.ChatMessage(role="system", content=[text])


def output(call_id):
    return llm.FunctionCallOutput(call_id=call_id, output=f"for {call_id}", is_error=False)


async def called(peer, emitted, *call_ids):
    for call_id in call_ids:
        await peer.send(phonic.ToolCall(call_id, "look_up_weather"))
        await read(await emitted.next("generation_created"))


@asynccontextmanager
async def lost(make_model, server, **options):
    """A conversation whose connection broke, and the server's side of the next connection."""
    async with conversation(make_model(conn_options=AT_ONCE, **options), server) as (
        session,
        peer,
        emitted,
    ):
        peer.cut()
        await emitted.state("reconnecting")
        yield session, await server.accept(), emitted


async def end_by(peer, how):
    if how == "cut":
        peer.cut()
    else:
        await peer.close(*how)


@pytest.mark.parametrize("how", ["cut", (1012, ""), (1001, "restarting")], ids=str)
async def test_a_lost_connection_is_resumed_without_a_second_config(how, make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await end_by(peer, how)
        await emitted.state("reconnecting")
        resumed = await server.accept()
        assert resumed.path == "/v1/sts/ws?reconnect_conv_id=conv_1"
        assert resumed.headers["Authorization"] == peer.headers["Authorization"]
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        await emitted.state("ready")
        await resumed.speak("Where were we?")
        assert (await read(await emitted.next("generation_created"))).text == "Where were we?"
    assert await resumed.receive() is None


async def test_a_loss_is_announced_as_recoverable(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        peer.cut()
        event = await emitted.next("error")
        assert event.recoverable is True
        assert isinstance(event.error, ConnectionFailed)


async def test_a_loss_closes_the_open_generation_as_interrupted(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well"))
        generation = await emitted.next("generation_created")
        await anext(aiter((await anext(aiter(generation.message_stream))).text_stream))
        peer.cut()
        await read(generation)
        await emitted.state("reconnecting")
        [message] = session.chat_ctx.items
        assert (message.text_content, message.interrupted) == ("Well", True)


async def test_a_loss_ends_the_callers_speech(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.state("listening")
        peer.cut()
        await emitted.next("input_speech_stopped")


async def test_a_conversation_may_be_lost_again(make_model, server):
    async with lost(make_model, server) as (_, resumed, emitted):
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        resumed.cut()
        again = await server.accept()
        assert again.path.endswith("?reconnect_conv_id=conv_1")
        await again.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")


async def test_what_is_given_meanwhile_arrives_in_order_after_the_resume(make_model, server):
    async with lost(make_model, server) as (session, resumed, emitted):
        for number in range(3):
            await add(session, system(f"message {number}"))
        session.generate_reply(instructions="Go on.")
        await resumed.send(phonic.ConversationReconnected())
        for number in range(3):
            message = await resumed.expect(client.AddSystemMessage)
            assert message.system_message == f"message {number}"
        assert await resumed.receive() == client.GenerateReply("Go on.")
        await emitted.next("session_reconnected")
    assert await resumed.receive() is None


async def test_nothing_is_sent_before_the_server_has_resumed(make_model, server):
    async with lost(make_model, server) as (session, resumed, _):
        await add(session, system("too early"))
        await session.update_instructions("Be brief.")
        session.generate_reply()
    assert await resumed.receive() is None


async def test_changed_settings_go_out_after_the_resume(make_model, server):
    async with lost(make_model, server) as (session, resumed, _):
        await session.update_instructions("Be brief.")
        await resumed.send(phonic.ConversationReconnected())
        assert await resumed.receive() == client.UpdateSystemPrompt("Be brief.")


async def test_the_newest_two_seconds_of_audio_are_kept(make_model, server):
    async with lost(make_model, server) as (session, resumed, _):
        for number in range(130):
            samples = np.full(480, number, np.int16)
            session.push_audio(rtc.AudioFrame(samples.tobytes(), 24000, 1, 480))
        await resumed.send(phonic.ConversationReconnected())
        chunks = await resumed.receive_audio(100)
    assert await resumed.receive() is None
    assert [int(np.frombuffer(chunk, np.int16)[0]) for chunk in chunks] == list(range(30, 130))


async def test_audio_flows_on_behind_what_was_kept(make_model, server):
    async with lost(make_model, server) as (session, resumed, emitted):
        session.push_audio(rtc.AudioFrame(b"\1\0" * 480, 24000, 1, 480))
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        session.push_audio(rtc.AudioFrame(b"\2\0" * 480, 24000, 1, 480))
        assert await resumed.receive_audio(2) == [b"\1\0" * 480, b"\2\0" * 480]


async def test_an_output_that_was_not_acknowledged_is_sent_again(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1", "c2")
        await add(session, output("c1"), output("c2"))
        for _ in range(2):
            await peer.expect(client.ToolCallOutput)
        await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="c1"))
        await settle(peer, emitted)
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        assert await resumed.receive() == client.ToolCallOutput("c2", "for c2")
    assert await resumed.receive() is None


async def test_an_output_that_is_refused_is_not_sent_again_and_ends_nothing(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        settled = []
        session.on("tool_call_settled", settled.append)
        await called(peer, emitted, "c1")
        await add(session, output("c1"))
        await peer.expect(client.ToolCallOutput)
        emitted.rest()
        await peer.send(phonic.Error(phonic.Problem("nobody waits for 'c1'")))
        assert "error" not in await settle(peer, emitted)
        [call] = settled
        assert (call.call_id, call.outcome) == ("c1", "failed")
        assert call.problem == "nobody waits for 'c1'"
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
    assert await resumed.receive() != client.ToolCallOutput("c1", "for c1")


async def test_an_output_given_meanwhile_is_sent_once(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        peer.cut()
        await emitted.state("reconnecting")
        await add(session, output("c1"))
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        assert await resumed.receive() == client.ToolCallOutput("c1", "for c1")
        await emitted.next("session_reconnected")
        await resumed.speak("Sunny.")
        assert (await read(await emitted.next("generation_created"))).text == "Sunny."
    assert await resumed.receive() is None


async def test_a_pending_call_outlives_the_loss(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        await emitted.state("tool_pending")
        await resumed.send(phonic.ToolCall("c1", "look_up_weather"))
        assert "generation_created" not in await settle(resumed, emitted)
        await add(session, output("c1"))
        assert await resumed.receive() == client.ToolCallOutput("c1", "for c1")


async def test_a_resume_is_tried_again_where_the_server_is_not_there_yet(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        server.refuse = 503
        peer.cut()
        await emitted.state("reconnecting")
        assert (await emitted.next("error")).recoverable is True
        server.refuse = None
        resumed = await server.accept()
        assert resumed.path.endswith("?reconnect_conv_id=conv_1")
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")


@pytest.mark.parametrize("code", [4800, 4801, 1000])
async def test_where_a_resume_is_refused_a_fresh_conversation_carries_on(code, make_model, server):
    model = make_model(conn_options=AT_ONCE, welcome_message="Hello!", voice="sabrina")
    async with conversation(model, server) as (_, peer, emitted):
        await peer.send(phonic.InputText("Remember the milk."))
        await emitted.next("input_audio_transcription_completed")
        peer.cut()
        await (await server.accept()).close(code, "too late")
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path
        config = await fresh.open_conversation("conv_2")
        await emitted.next("session_reconnected")
        await emitted.state("ready")
        assert config.system_prompt.startswith("Be kind.")
        assert "Remember the milk." in config.system_prompt
        assert config.voice_id == "sabrina"
        assert config.welcome_message is None
        assert config.generate_welcome_message is False

        fresh.cut()
        assert (await server.accept()).path.endswith("?reconnect_conv_id=conv_2")


async def test_where_resuming_is_exhausted_a_fresh_conversation_carries_on(make_model, server):
    # After the last failed attempt to resume, one attempt is left for a fresh conversation.
    model = make_model(conn_options=APIConnectOptions(max_retry=0, retry_interval=0, timeout=5))
    async with conversation(model, server) as (session, peer, emitted):

        def stop_refusing(change):
            if change.new == "connecting":
                server.refuse = None

        session.on("state_changed", stop_refusing)
        server.refuse = 503
        peer.cut()
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path
        await fresh.open_conversation()
        await emitted.next("session_reconnected")


async def test_a_server_that_never_answers_a_resume_gets_a_fresh_conversation(make_model, server):
    options = APIConnectOptions(max_retry=0, retry_interval=0, timeout=0.5)
    async with conversation(make_model(conn_options=options), server) as (_, peer, emitted):
        peer.cut()
        silent = await server.accept()
        assert "reconnect_conv_id" in silent.path
        fresh = await server.accept()
        await fresh.open_conversation()
        await emitted.next("session_reconnected")
        assert await silent.receive() is None


@pytest.mark.parametrize("refusal", [(4800, ""), "cut", 503, 401], ids=str)
async def test_where_the_fresh_conversation_is_refused_too_the_session_ends(
    refusal, make_model, server
):
    async with lost(make_model, server) as (session, resumed, emitted):
        emitted.rest()
        if isinstance(refusal, int):
            server.refuse = refusal
        await resumed.close(4800, "too late")
        if not isinstance(refusal, int):
            fresh = await server.accept()
            await fresh.expect(client.Config)
            await end_by(fresh, refusal)
        while (event := await emitted.next("error")).recoverable:
            pass
        assert isinstance(event.error, ConnectionFailed)
        await emitted.state("closed")
        assert session.state is State.closed


async def test_a_refused_key_at_the_resume_ends_the_session(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        server.refuse = 401
        peer.cut()
        await emitted.state("reconnecting")
        event = await emitted.next("error")
        assert event.recoverable is False
        await emitted.state("closed")
    assert server.handshakes == 2


async def test_a_reply_asked_for_meanwhile_is_asked_of_the_fresh_conversation(make_model, server):
    async with lost(make_model, server) as (session, resumed, emitted):
        reply = session.generate_reply(instructions="Go on.")
        await resumed.close(4800, "too late")
        fresh = await server.accept()
        await fresh.open_conversation("conv_2")
        assert await fresh.receive() == client.GenerateReply("Go on.")
        await fresh.speak("So.")
        assert await reply is await emitted.next("generation_created")


async def test_a_reply_that_the_lost_conversation_had_not_begun_is_asked_for_again(
    make_model, server
):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (session, peer, emitted):
        reply = session.generate_reply(instructions="Go on.")
        await peer.expect(client.GenerateReply)
        peer.cut()
        await (await server.accept()).close(4800, "too late")
        fresh = await server.accept()
        await fresh.open_conversation("conv_2")
        assert await fresh.receive() == client.GenerateReply("Go on.")
        await fresh.speak("So.")
        assert await reply is await emitted.next("generation_created")


async def test_what_was_given_meanwhile_is_in_the_fresh_conversations_prompt(make_model, server):
    async with lost(make_model, server) as (session, resumed, emitted):
        await add(session, system("The shop closes now."))
        await session.update_instructions("Be brief.")
        await resumed.close(4800, "too late")
        fresh = await server.accept()
        config = await fresh.open_conversation("conv_2")
        await emitted.next("session_reconnected")
    assert config.system_prompt.startswith("Be brief.")
    assert "The shop closes now." in config.system_prompt
    assert await fresh.receive() is None


async def test_an_output_for_the_lost_conversation_reaches_the_fresh_one_in_words(
    make_model, server
):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        peer.cut()
        await (await server.accept()).close(4800, "too late")
        fresh = await server.accept()
        await fresh.open_conversation("conv_2")
        await emitted.next("session_reconnected")
        await add(session, output("c1"))
        said = (await fresh.expect(client.AddSystemMessage)).system_message
        assert '"output":"for c1"' in said
        await fresh.expect(client.GenerateReply)
        await fresh.speak("It is sunny.")
        assert not (await emitted.next("generation_created")).user_initiated
    assert await fresh.receive() is None


async def test_a_fresh_conversation_gives_the_answer_that_the_lost_one_owed(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        await peer.send(phonic.InputText("When do you open?"))
        await emitted.next("input_audio_transcription_completed")
        peer.cut()
        await (await server.accept()).close(4800, "too late")
        fresh = await server.accept()
        assert "When do you open?" in (await fresh.open_conversation("conv_2")).system_prompt
        await fresh.expect(client.GenerateReply)


async def test_a_fresh_conversation_is_not_asked_for_what_was_said_already(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        await peer.speak("We open at nine.")
        await emitted.state("speaking")
        await emitted.state("ready")
        peer.cut()
        await (await server.accept()).close(4800, "too late")
        fresh = await server.accept()
        await fresh.open_conversation("conv_2")
        await emitted.next("session_reconnected")
    assert await fresh.receive() is None


async def test_a_fresh_conversation_is_told_in_order_what_was_said_before_its_transcript_came(
    make_model, server
):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.speak("At nine.")
        await peer.send(phonic.InputText("When do you open?"))
        await emitted.next("input_audio_transcription_completed")
        peer.cut()
        resumed = await server.accept()
        await resumed.close(4800)
        fresh = await server.accept()
        prompt = (await fresh.open_conversation("conv_2")).system_prompt
        assert prompt.index("When do you open?") < prompt.index("At nine.")
        await emitted.next("session_reconnected")
    assert await fresh.receive() is None, "what was answered is not asked for again"


async def test_a_turn_that_the_loss_cut_off_is_asked_for_soon_whoever_asks_meanwhile(
    make_model, server, monkeypatch
):
    monkeypatch.setattr(timers, "SOON", 0.05)
    async with conversation(make_model(conn_options=AT_ONCE), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well"))
        await emitted.state("speaking")
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        reply = session.generate_reply()
        with anyio.fail_after(PATIENCE / 2):
            await resumed.expect(client.GenerateReply)
        await resumed.speak("As I said.")
        await reply


async def test_a_turn_that_the_loss_cut_off_is_asked_for_if_it_does_not_go_on(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "We open "))
        await emitted.state("speaking")
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await resumed.expect(client.GenerateReply)


async def test_a_turn_that_goes_on_after_the_resume_is_not_asked_for(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "We open "))
        await emitted.state("speaking")
        peer.cut()
        resumed = await server.accept()
        await resumed.send(
            phonic.ConversationReconnected(),
            phonic.AudioChunk(SILENCE, "at nine."),
            phonic.AssistantFinishedSpeaking(),
        )
        await emitted.next("session_reconnected")
        await settle(resumed, emitted)
        assert session._runtime._timers == {}, "nothing is awaited any more"


async def test_ten_losses_are_all_resumed_while_something_is_said_between_them(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        peers = [peer]
        for _ in range(10):
            await settle(peers[-1], emitted)
            peers[-1].cut()
            peers.append(await server.accept())
            assert "reconnect_conv_id=conv_1" in peers[-1].path
            await peers[-1].send(phonic.ConversationReconnected())
            await emitted.next("session_reconnected")
        await peers[-1].speak("Still here.")
        assert (await read(await emitted.next("generation_created"))).text == "Still here."


async def test_a_session_can_be_restarted_on_purpose(make_model, server):
    async with conversation(make_model(welcome_message="Hello!"), server) as (
        session,
        peer,
        emitted,
    ):
        await peer.send(
            phonic.InputText("Are you there?"),
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Er "),
        )
        await emitted.state("speaking")
        session.restart()
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path
        config = await fresh.open_conversation("conv_2")
        assert "Are you there?" in config.system_prompt
        assert config.welcome_message is None
        await emitted.next("session_reconnected")
        await fresh.expect(client.GenerateReply)
        assert await peer.receive() is None, "the former conversation is closed"


async def test_a_loss_before_conversation_created_starts_from_the_beginning(make_model, server):
    async with started(make_model(conn_options=AT_ONCE, welcome_message="Hello!")) as (
        session,
        emitted,
    ):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        first = await peer.expect(client.Config)
        peer.cut()
        again = await server.accept()
        assert "reconnect_conv_id" not in again.path
        assert await again.open_conversation() == first
        await emitted.state("ready")
        assert "session_reconnected" not in [name for name, _ in emitted.rest()]


async def test_interrupting_and_closing_while_reconnecting_leave_no_second_connection(
    make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        peer.cut()
        await emitted.state("reconnecting")
        session.interrupt()
        await session.aclose()
        assert session.state is State.closed
    assert server.handshakes <= 2


async def test_two_sessions_that_are_lost_resume_their_own_conversations(make_model, server):
    sessions = []
    try:
        for number in (1, 2):
            session = make_model().session()
            emitted = Emitted(session)
            sessions.append(session)
            await session.update_instructions("Be kind.")
            await session.update_tools([])
            peer = await server.accept()
            await peer.open_conversation(f"conv_{number}")
            await emitted.state("ready")
            peer.cut()
            resumed = await server.accept()
            assert resumed.path.endswith(f"?reconnect_conv_id=conv_{number}")
    finally:
        for session in sessions:
            await session.aclose()


CALL = phonic.ToolCall("call_9", "look_up_weather")


@pytest.mark.parametrize(
    ("first", "state"),
    [
        (phonic.UserStartedSpeaking(), "listening"),
        (phonic.UserFinishedSpeaking(), "ready"),
        (phonic.InputText("And then?"), "ready"),
        (phonic.InputCancelled(), "ready"),
        (phonic.AssistantStartedSpeaking(), "speaking"),
        (phonic.AudioChunk(SILENCE, "Yes"), "speaking"),
        (phonic.AudioChunk(SILENCE), "ready"),
        (phonic.AssistantFinishedSpeaking(), "ready"),
        (phonic.InterruptedResponse("Ye"), "ready"),
        (phonic.AssistantChoseNotToRespond(), "ready"),
        (phonic.Dtmf("1"), "ready"),
        (CALL, "tool_pending"),
        (phonic.ToolCallInterrupted("call_8", "look_up_weather"), "ready"),
        (phonic.ToolCallOutputProcessed(tool_call_id="call_8"), "ready"),
    ],
    ids=lambda value: getattr(value, "__struct_config__", None) and value.__struct_config__.tag,
)
async def test_whatever_only_a_running_conversation_sends_shows_that_it_is_resumed(
    first, state, make_model, server
):
    async with lost(make_model, server) as (session, resumed, emitted):
        await add(session, system("Meanwhile."))
        await resumed.send_raw('{"type": "conversation_reconn')
        await resumed.send(first)
        await emitted.next("session_reconnected")
        await emitted.state(state)
        assert (await resumed.expect(client.AddSystemMessage)).system_message == "Meanwhile."


async def test_what_the_caller_says_is_kept_where_the_resumes_answer_is_unreadable(
    make_model, server
):
    async with lost(make_model, server) as (session, resumed, emitted):
        await resumed.send_raw("?")
        await resumed.send(phonic.InputText("Are you there?"))
        transcript = await emitted.next("input_audio_transcription_completed")
        assert transcript.transcript == "Are you there?"
        await resumed.speak("I am here.")
        assert (await read(await emitted.next("generation_created"))).text == "I am here."
        said = [item.text_content for item in session.chat_ctx.items]
        assert said == ["Are you there?", "I am here."]


async def test_an_answer_whose_beginning_is_the_first_to_be_read_is_heard_whole(make_model, server):
    async with lost(make_model, server) as (session, resumed, emitted):
        reply = session.generate_reply()
        await resumed.send_raw("?")
        await resumed.speak("I am here.")
        heard = await emitted.next("generation_created")
        assert not heard.user_initiated
        assert (await read(heard)).text == "I am here."
        assert isinstance(await resumed.expect(client.GenerateReply), client.GenerateReply)
        await resumed.speak("As I said.")
        assert (await read(await reply)).text == "As I said."


async def test_a_call_that_is_the_first_to_be_read_gets_its_output(make_model, server):
    async with lost(make_model, server) as (session, resumed, emitted):
        await resumed.send_raw("?")
        await resumed.send(CALL)
        [call] = (await read(await emitted.next("generation_created"))).calls
        await add(session, output(call.call_id))
        assert await resumed.expect(client.ToolCallOutput) == client.ToolCallOutput(
            "call_9", "for call_9"
        )


async def test_an_answer_to_the_resume_that_comes_late_changes_nothing(make_model, server):
    async with lost(make_model, server) as (_, resumed, emitted):
        await resumed.send(phonic.UserStartedSpeaking())
        await emitted.next("session_reconnected")
        await resumed.send(phonic.ConversationReconnected())
        await emitted.state("listening")
        await resumed.send(phonic.UserFinishedSpeaking(), phonic.InputText("Hello?"))
        passed = await emitted.before("input_audio_transcription_completed")
        assert "session_reconnected" not in [name for name, _ in passed]


async def test_a_conversation_whose_name_was_unreadable_goes_on_in_a_fresh_one(make_model, server):
    async with started(make_model(conn_options=AT_ONCE)) as (session, emitted):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.expect(client.Config)
        await peer.send_raw('{"type": "conversation_cre')
        await peer.send(phonic.ReadyToStartConversation(), phonic.InputText("Where were we?"))
        await emitted.next("input_audio_transcription_completed")
        peer.cut()
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path
        assert "Where were we?" in (await fresh.open_conversation("conv_2")).system_prompt
        assert isinstance(await fresh.expect(client.GenerateReply), client.GenerateReply)
