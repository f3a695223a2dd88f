"""Push-to-talk: LiveKit says when the caller's turn begins and ends, and Phonic waits for it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, llm
from support.receptionist import Receptionist, Seen
from support.scripted import (
    PATIENCE,
    Emitted,
    Impatient,
    conversation,
    read,
    settle,
    started,
)

from phonic_fsm import RealtimeModel, RealtimeSession, ReplyTimedOut, State
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import PhoneCall, PhonicSimulator, Playback, Scenario, Turn

pytestmark = pytest.mark.anyio


@llm.function_tool
async def look_up() -> str:
    """Look something up."""
    return ""


def frame(value: int, samples: int = 480) -> rtc.AudioFrame:
    """20 ms of 24 kHz, all samples of one value."""
    pcm = value.to_bytes(2, "little") * samples
    return rtc.AudioFrame(pcm, 24_000, 1, samples)


def said(value: int, samples: int = 480) -> bytes:
    return value.to_bytes(2, "little") * samples


@asynccontextmanager
async def talk(make_model, server, **options):
    async with conversation(make_model(push_to_talk=True, **options), server) as opened:
        yield opened


async def test_the_config_asks_for_push_to_talk(make_model, server):
    session = make_model().session(turn_detection_disabled=True)
    try:
        await session._update_session(instructions="Be kind.", tools=[])
        peer = await server.accept()
        assert (await peer.expect(client.Config)).push_to_talk is True
    finally:
        await session.aclose()


async def test_a_session_with_turn_detection_is_not_push_to_talk(make_model, server):
    session = make_model().session()
    try:
        await session._update_session(instructions="Be kind.", tools=[])
        peer = await server.accept()
        assert "push_to_talk" not in await peer.receive_json()
    finally:
        await session.aclose()


@pytest.mark.parametrize(
    ("options", "detects", "can_be_disabled"),
    [
        ({}, True, True),
        ({"push_to_talk": True}, False, False),
        ({"push_to_talk": False}, True, False),
    ],
)
async def test_capabilities_say_who_detects_turns(options, detects, can_be_disabled, make_model):
    capabilities = make_model(**options).capabilities
    assert capabilities.turn_detection is detects
    assert capabilities.can_disable_turn_detection is can_be_disabled


@pytest.mark.parametrize("call", ["start_user_activity", "commit_audio"])
async def test_unmuting_ends_the_answer_that_it_interrupts(call, make_model, server):
    async with talk(make_model, server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(said(1), "Well, "))
        answer = await emitted.next("generation_created")
        getattr(session, call)()
        await peer.expect(client.Unmute)
        assert (await read(answer)).text == "Well, "
        assert session.state is State.ready
        await peer.send(phonic.AudioChunk(said(1), "as I said."))
        assert "generation_created" not in await settle(peer, emitted)


async def test_the_caller_is_heard_from_unmute_to_mute(make_model, server):
    async with talk(make_model, server) as (session, peer, emitted):
        session.start_user_activity()
        await peer.expect(client.Unmute)
        session.push_audio(frame(1))
        session.push_audio(frame(2, samples=240))
        session.commit_audio()
        await peer.expect(client.Mute)
        assert b"".join(peer.audio) == said(1) + said(2, samples=240)
        session.push_audio(frame(3))
        await settle(peer, emitted)
        session.set_external_id("behind the audio")
        await peer.expect(client.SetExternalId)
        assert len(b"".join(peer.audio)) == 2 * 720, "nothing of it is heard after the mute"


async def test_what_was_said_just_before_the_floor_was_taken_is_heard(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        for value in range(1, 4):
            session.push_audio(frame(value))
        session.start_user_activity()
        await peer.expect(client.Unmute)
        assert await peer.receive_audio(3) == [said(1), said(2), said(3)]


@pytest.mark.parametrize(("option", "chunks"), [({}, 50), ({"unmute_prebuffer_ms": 200}, 10)])
async def test_of_what_was_said_before_only_the_newest_is_sent(option, chunks, make_model, server):
    async with talk(make_model, server, **option) as (session, peer, _):
        for value in range(1, 111):
            session.push_audio(frame(value))
        session.start_user_activity()
        await peer.expect(client.Unmute)
        assert (await peer.receive_audio(chunks))[0] == said(111 - chunks)


async def test_what_is_said_while_muted_can_stay_here(make_model, server):
    async with talk(make_model, server, unmute_prebuffer_ms=0) as (session, peer, _):
        session.push_audio(frame(1))
        session.start_user_activity()
        await peer.expect(client.Unmute)
        session.push_audio(frame(2))
        assert await peer.receive_audio(1) == [said(2)]


async def test_a_muted_caller_is_heard_as_silence(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        session.push_audio(frame(1))
        await peer.receive_silence(3)
        session.start_user_activity()
        await peer.expect(client.Unmute)
        session.commit_audio()
        await peer.expect(client.Mute)
        assert peer.audio == [said(1)]
        session.push_audio(frame(2))
        await peer.receive_silence(3)
        assert peer.audio == [said(1)]


async def test_what_is_withdrawn_before_it_was_sent_is_not_heard(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        for value in range(1, 51):
            session.push_audio(frame(value))
        session.start_user_activity()
        await peer.expect(client.Unmute)
        await peer.receive_audio(1)
        session.clear_audio()
        await peer.expect(client.Reset)
        already_sent = len(peer.audio)
        session.start_user_activity()
        await peer.expect(client.Unmute)
        session.push_audio(frame(100))
        assert (await peer.receive_audio(already_sent + 1))[-1] == said(100)


async def test_taking_the_floor_twice_unmutes_once(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        session.start_user_activity()
        session.start_user_activity()
        session.commit_audio()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)


async def test_a_turn_that_nobody_announced_is_heard_when_it_is_committed(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        session.push_audio(frame(7))
        session.commit_audio()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        assert peer.audio == [said(7)]


async def test_the_answer_is_the_reply_that_livekit_asks_for(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        session.start_user_activity()
        session.commit_audio()
        reply = session.generate_reply()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        await peer.speak("Nine to five.")
        with anyio.fail_after(PATIENCE):
            generation = await reply
        assert generation.user_initiated
        assert (await read(generation)).text == "Nine to five."
    assert await peer.receive() is None, "Phonic was not asked a second time"


async def test_an_answer_that_comes_before_livekit_asks_is_the_reply_too(make_model, server):
    async with talk(make_model, server) as (session, peer, emitted):
        session.commit_audio()
        await peer.speak("Nine ", "to five.")
        await emitted.state("speaking")
        await emitted.state("ready")
        reply = session.generate_reply()
        generation = await emitted.next("generation_created")
        assert generation is await reply
        assert generation.user_initiated
        assert (await read(generation)).text == "Nine to five."


async def test_livekits_interrupt_at_a_commit_spares_the_answer_that_it_does_not_know(
    make_model, server
):
    async with talk(make_model, server) as (session, peer, emitted):
        session.commit_audio()
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"", "Nine "))
        await emitted.state("speaking")
        session.interrupt()  # it means an answer before this one
        reply = session.generate_reply()
        await peer.send(phonic.AudioChunk(b"", "to five."), phonic.AssistantFinishedSpeaking())
        assert (await read(await reply)).text == "Nine to five."


@asynccontextmanager
async def pause(make_model, server, *answer, **options):
    """The caller has paused, LiveKit has not committed the turn, and Phonic answers already."""
    async with talk(make_model, server, **options) as (session, peer, emitted):
        session.start_user_activity()
        await peer.expect(client.Unmute)
        await peer.send(
            phonic.UserStartedSpeaking(),
            phonic.UserFinishedSpeaking(),
            phonic.InputText("When do you open?"),
            phonic.AssistantStartedSpeaking(),
            *answer,
        )
        await emitted.state("speaking")
        yield session, peer, emitted


NINE = phonic.AudioChunk(said(1), "Nine ")
TO_FIVE = phonic.AudioChunk(said(1), "to five.")


@pytest.mark.parametrize("over", [False, True], ids=["running", "over"])
async def test_an_answer_at_a_pause_is_the_reply_once_the_turn_is_committed(
    over, make_model, server
):
    end = (NINE, TO_FIVE, phonic.AssistantFinishedSpeaking())
    first, rest = (end, ()) if over else ((NINE,), end[1:])
    async with pause(make_model, server, *first) as (session, peer, emitted):
        if over:
            await emitted.state("ready")
        assert "generation_created" not in await settle(peer, emitted)
        session.commit_audio()
        session.push_audio(frame(9))
        reply = session.generate_reply()
        generation = await emitted.next("generation_created")
        assert generation.user_initiated
        assert generation is await reply
        await peer.send(*rest)
        assert (await read(generation)).text == "Nine to five."
        texts = [item.text_content for item in session.chat_ctx.items]
        assert texts == ["When do you open?", "(marker)", "Nine to five."]
        await peer.receive_silence(2)
    assert await peer.receive() is None, "Phonic was not asked for a second answer"
    assert said(9) not in peer.audio


async def test_an_answer_at_a_pause_is_dropped_if_the_caller_speaks_on(make_model, server):
    async with pause(make_model, server, NINE) as (session, peer, emitted):
        session.start_user_activity()  # as LiveKit does while somebody speaks
        await peer.send(
            phonic.UserStartedSpeaking(),
            phonic.InterruptedResponse("Nine"),
            phonic.UserFinishedSpeaking(),
            phonic.InputText("On Sundays?"),
        )
        await emitted.next("input_audio_transcription_completed")
        session.commit_audio()
        await peer.expect(client.Mute)
        reply = session.generate_reply()
        await peer.speak("We are closed.")
        assert (await read(await reply)).text == "We are closed."
        texts = [item.text_content for item in session.chat_ctx.items]
        assert texts == ["When do you open?", "On Sundays?", "We are closed."]
        names = [name for name, _ in emitted.rest()]
        assert names.count("generation_created") == 1
    assert await peer.receive() is None


async def test_an_answer_at_a_pause_is_told_where_livekit_commits_and_does_not_ask(
    make_model, server
):
    async with pause(make_model, server, NINE) as (session, peer, emitted):
        session.commit_audio()
        generation = await emitted.next("generation_created")
        assert not generation.user_initiated
        await peer.send(TO_FIVE, phonic.AssistantFinishedSpeaking())
        assert (await read(generation)).text == "Nine to five."


async def test_a_call_at_a_pause_is_made_once_the_turn_is_committed(make_model, server):
    call = phonic.ToolCall("c1", "look_up", {})
    async with pause(make_model, server, call) as (session, peer, emitted):
        await emitted.state("tool_pending")
        assert session.chat_ctx.items[-1].type == "message"
        session.commit_audio()
        heard = await read(await session.generate_reply())
        await emitted.next("generation_created")
        assert [made.call_id for made in heard.calls] == ["c1"]
        assert session.chat_ctx.items[-1].type == "function_call"
        context = session.chat_ctx
        context.items.append(llm.FunctionCallOutput(call_id="c1", output="9", is_error=False))
        await session.update_chat_ctx(context)
        await peer.expect(client.ToolCallOutput)
        await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="c1"))
        assert (await emitted.next("generation_created")).response_id != heard.message_id
    assert await peer.receive() is None


async def test_a_call_at_a_pause_is_made_although_the_caller_speaks_on(make_model, server):
    call = phonic.ToolCall("c1", "look_up", {})
    async with pause(make_model, server, call) as (_, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking())
        heard = await read(await emitted.next("generation_created"))
        assert [made.call_id for made in heard.calls] == ["c1"]


async def test_an_answer_at_a_pause_is_withdrawn_with_the_turn(make_model, server):
    async with pause(make_model, server, NINE) as (session, peer, emitted):
        session.push_audio(frame(1))
        session.clear_audio()
        assert "Nine" not in (await peer.expect(client.Reset)).config.system_prompt
        names = await settle(peer, emitted)
        assert "generation_created" not in names
        assert session.state is State.ready


async def hand_over(session: RealtimeSession) -> None:
    context = session.chat_ctx
    await session._update_session(instructions="Be brief.", chat_ctx=context, tools=[look_up])


async def withdraw(session: RealtimeSession) -> None:
    session.push_audio(frame(1))
    session.clear_audio()


@pytest.mark.parametrize("change", [hand_over, withdraw])
async def test_a_call_at_a_pause_is_not_made_if_a_reset_takes_the_turn_back(
    change, make_model, server
):
    call = phonic.ToolCall("c1", "look_up", {})
    async with pause(make_model, server, call) as (session, peer, emitted):
        await emitted.state("tool_pending")
        before = [item.id for item in session.chat_ctx.items]
        await change(session)
        output = await peer.expect(client.ToolCallOutput)
        assert (output.tool_call_id, output.output) == (
            "c1",
            "The tool was not run: the conversation has just been changed.",
        )
        assert "look_up" not in (await peer.expect(client.Reset)).config.system_prompt
        assert [item.id for item in session.chat_ctx.items] == before
        assert "generation_created" not in await settle(peer, emitted)
        assert session.state is State.ready


async def test_an_answer_at_a_pause_that_a_loss_cuts_off_is_asked_for_again(make_model, server):
    options = {"conn_options": APIConnectOptions(retry_interval=0.01)}
    async with pause(make_model, server, NINE, **options) as (session, peer, emitted):
        peer.cut()
        await emitted.state("reconnecting")
        session.commit_audio()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        reply = session.generate_reply()
        await resumed.speak("Nine to five.")
        assert (await read(await reply)).text == "Nine to five."


async def test_a_welcome_is_heard_at_once(make_model, server):
    async with talk(make_model, server) as (_, peer, emitted):
        await peer.speak("Hello!")
        assert not (await emitted.next("generation_created")).user_initiated


async def test_an_answer_that_nobody_asked_for_is_a_turn_like_any_other(make_model, server):
    async with talk(make_model, server) as (session, peer, emitted):
        session.commit_audio()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        await peer.speak("Nine to five.")
        generation = await emitted.next("generation_created")
        assert not generation.user_initiated


async def test_a_reply_with_instructions_is_asked_for_in_words(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        session.commit_audio()
        session.generate_reply(instructions="Be short.")
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        assert await peer.expect(client.GenerateReply) == client.GenerateReply("Be short.")


async def test_an_answer_that_does_not_come_fails_the_reply(make_model, server):
    model = Impatient(make_model(), push_to_talk=True)
    async with conversation(model, server) as (session, _, _):
        session.commit_audio()
        with pytest.raises(ReplyTimedOut):
            await session.generate_reply()


async def test_interrupting_the_assistant_gives_the_caller_the_floor(make_model, server):
    async with talk(make_model, server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"", "One "))
        await emitted.state("speaking")
        session.interrupt()
        await peer.expect(client.Unmute)
        assert session.state is State.ready


async def test_interrupting_while_the_answer_is_due_does_not_unmute(make_model, server):
    async with talk(make_model, server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"", "One "))
        await emitted.state("speaking")
        session.start_user_activity()
        session.commit_audio()
        session.interrupt()  # as LiveKit does it: the turn is committed first
        session.set_external_id("last")
        assert [type(await peer.receive()) for _ in range(3)] == [
            client.Unmute,
            client.Mute,
            client.SetExternalId,
        ]


@pytest.mark.parametrize("reply", ["a greeting", "the answer to the turn before"])
async def test_whoever_presses_the_button_before_a_reply_begins_is_heard_whole(
    reply, make_model, server
):
    async with talk(make_model, server) as (session, peer, _):
        if reply == "a greeting":
            former = session.generate_reply(instructions="Greet.")
            await peer.expect(client.GenerateReply)
        else:
            session.start_user_activity()
            session.commit_audio()
            former = session.generate_reply()
            await peer.expect(client.Unmute)
            await peer.expect(client.Mute)
        press(session, "interrupt")
        assert former.cancelled()
        await peer.expect(client.Unmute)
        for value in range(1, 61):
            session.push_audio(frame(value))
        session.commit_audio()
        answer = session.generate_reply()
        await peer.expect(client.Mute)
        assert peer.audio == [said(value) for value in range(1, 61)]
        await peer.speak("At nine.")
        assert (await read(await answer)).text == "At nine."
    assert await peer.receive() is None


async def test_a_turn_that_is_committed_before_a_reply_begins_has_one_answer(make_model, server):
    """LiveKit's turn detector commits the turn, and then gives up the reply that waits."""
    async with talk(make_model, server) as (session, peer, _):
        greeting = session.generate_reply(instructions="Greet.")
        await peer.expect(client.GenerateReply)
        session.start_user_activity()
        session.commit_audio()
        greeting.cancel()
        await anyio.lowlevel.checkpoint()
        session.interrupt()
        answer = session.generate_reply()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        await peer.speak("At nine.")
        assert (await read(await answer)).text == "At nine."
    assert await peer.receive() is None


async def test_audio_that_is_cleared_before_it_was_heard_is_dropped(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        session.push_audio(frame(1))
        session.clear_audio()
        session.push_audio(frame(2))
        session.commit_audio()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        assert peer.audio == [said(2)]


async def test_audio_that_was_heard_is_withdrawn_by_a_reset(make_model, server):
    async with talk(make_model, server) as (session, peer, emitted):
        await peer.send(phonic.InputText("Hello."))
        await emitted.next("input_audio_transcription_completed")
        session.start_user_activity()
        session.push_audio(frame(1))
        session.clear_audio()
        await peer.expect(client.Unmute)
        reset = await peer.expect(client.Reset)
        assert "Hello." in reset.config.system_prompt
        assert reset.config.push_to_talk is True
        session.push_audio(frame(2))
        session.commit_audio()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        assert peer.audio == [said(1), said(2)]


async def test_clearing_when_nothing_was_said_sends_nothing(make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        session.start_user_activity()
        session.clear_audio()
        session.set_external_id("last")
        await peer.expect(client.Unmute)
        await peer.expect(client.SetExternalId)


async def test_the_floor_survives_a_lost_connection(make_model, server):
    options = APIConnectOptions(retry_interval=0.01)
    async with talk(make_model, server, conn_options=options) as (session, peer, emitted):
        session.start_user_activity()
        await peer.expect(client.Unmute)
        peer.cut()
        await emitted.state("reconnecting")
        session.push_audio(frame(5))
        session.commit_audio()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await resumed.expect(client.Unmute)
        await resumed.expect(client.Mute)
        assert resumed.audio == [said(5)]


def press(session, button):
    """The caller takes the floor, as LiveKit says it."""
    if button == "start_user_activity":
        session.start_user_activity()
    elif button == "interrupt":
        session.interrupt()
        session.clear_audio()


@pytest.mark.parametrize("button", ["start_user_activity", "interrupt", "nobody announces it"])
@pytest.mark.parametrize("state", ["connecting", "awaiting_inputs", "config_sent"])
async def test_a_turn_before_phonic_is_ready_is_heard_and_answered(
    state, button, make_model, server
):
    async with started(make_model(push_to_talk=True)) as (session, emitted):
        peer = None if state == "connecting" else await server.accept()
        if peer is not None:
            await emitted.state("awaiting_inputs")
        if state == "config_sent":
            await session._update_session(instructions="Be kind.", tools=[])
        session.push_audio(frame(100))
        press(session, button)
        for value in range(1, 61):
            session.push_audio(frame(value))
        session.commit_audio()
        reply = session.generate_reply()
        peer = peer or await server.accept()
        if state != "config_sent":
            await session._update_session(instructions="Be kind.", tools=[])
        await peer.open_conversation()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        heard = list(range(1, 61))
        # What was said before an unannounced turn was committed is kept for a second.
        if button == "nobody announces it":
            heard = heard[-50:]
        elif button == "start_user_activity":
            heard.insert(0, 100)
        assert peer.audio == [said(value) for value in heard]
        await peer.speak("Nine to five.")
        assert (await read(await reply)).text == "Nine to five."
    assert await peer.receive() is None


@pytest.mark.parametrize("released", ["before Phonic is ready", "afterwards"])
async def test_the_floor_is_the_callers_in_a_fresh_conversation_too(released, make_model, server):
    async with talk(make_model, server) as (session, peer, _):
        session.start_user_activity()
        await peer.expect(client.Unmute)
        session.restart()
        fresh = await server.accept()
        for value in range(1, 61):
            session.push_audio(frame(value))
        if released == "before Phonic is ready":
            session.commit_audio()
        await fresh.open_conversation("conv_2")
        await fresh.expect(client.Unmute)
        if released == "afterwards":
            session.commit_audio()
        await fresh.expect(client.Mute)
        assert fresh.audio == [said(value) for value in range(1, 61)]


async def test_the_caller_is_muted_when_a_turn_before_phonic_is_ready_is_given_up(
    make_model, server
):
    model = Impatient(make_model(), push_to_talk=True)
    async with started(model) as (session, emitted):
        await session._update_session(instructions="Be kind.", tools=[])
        session.start_user_activity()
        session.push_audio(frame(1))
        session.commit_audio()
        with pytest.raises(ReplyTimedOut):
            await session.generate_reply()
        peer = await server.accept()
        await peer.open_conversation()
        await emitted.state("ready")
        await peer.receive_silence(2)
        assert peer.audio == []


async def test_instructions_for_the_answer_go_out_behind_a_turn_before_phonic_is_ready(
    make_model, server
):
    async with started(make_model(push_to_talk=True)) as (session, _):
        await session._update_session(instructions="Be kind.", tools=[])
        session.start_user_activity()
        session.push_audio(frame(1))
        session.commit_audio()
        session.generate_reply(instructions="Be short.")
        peer = await server.accept()
        await peer.open_conversation()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        assert peer.audio == [said(1)]
        assert await peer.expect(client.GenerateReply) == client.GenerateReply("Be short.")


@pytest.mark.parametrize("at", ["at a pause", "behind the commit"])
async def test_livekit_may_ask_long_after_the_commit(at, make_model, server):
    """``on_user_turn_completed`` of an agent may take its time. The answer is heard, and is one."""
    opened = pause(make_model, server, NINE) if at == "at a pause" else talk(make_model, server)
    async with opened as (session, peer, emitted):
        session.commit_audio()
        if at == "behind the commit":
            await peer.send(phonic.AssistantStartedSpeaking(), NINE)
        generation = await emitted.next("generation_created")
        await peer.send(TO_FIVE, phonic.AssistantFinishedSpeaking())
        assert (await read(generation)).text == "Nine to five."
        reply = await session.generate_reply()
        assert reply.user_initiated
        assert (await read(reply)).text == ""
        session.generate_reply()
        if at == "behind the commit":
            await peer.expect(client.Unmute)
            await peer.expect(client.Mute)
        await peer.expect(client.GenerateReply)
    assert await peer.receive() is None


@pytest.mark.parametrize("asks", ["during the answer", "behind the answer"])
async def test_livekit_may_ask_long_after_the_commit_behind_a_fresh_conversation(
    asks, make_model, server
):
    async with talk(make_model, server) as (session, peer, emitted):
        session.commit_audio()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        await peer.send(phonic.InputText("When?"))
        await emitted.next("input_audio_transcription_completed")
        session.restart()
        fresh = await server.accept()
        await fresh.open_conversation("conv_2")
        await fresh.expect(client.GenerateReply)
        await fresh.send(phonic.AssistantStartedSpeaking(), NINE)
        generation = await emitted.next("generation_created")
        if asks == "during the answer":
            reply = session.generate_reply()
        await fresh.send(TO_FIVE, phonic.AssistantFinishedSpeaking())
        assert (await read(generation)).text == "Nine to five."
        if asks == "behind the answer":
            reply = session.generate_reply()
        assert (await read(await reply)).text == ""
        session.set_external_id("last")
        await fresh.expect(client.SetExternalId)


@pytest.mark.parametrize("at", ["during the answer", "behind a fresh conversation"])
async def test_livekit_may_ask_for_an_answer_that_it_was_told_of(at, make_model, server):
    async with talk(make_model, server) as (session, peer, emitted):
        session.commit_audio()
        await peer.expect(client.Unmute)
        await peer.expect(client.Mute)
        await peer.send(phonic.AssistantStartedSpeaking(), NINE)
        generation = await emitted.next("generation_created")
        if at == "during the answer":
            reply = session.generate_reply()
            await peer.send(TO_FIVE, phonic.AssistantFinishedSpeaking())
            assert (await read(generation)).text == "Nine to five."
        else:
            await peer.send(phonic.AssistantFinishedSpeaking())
            await read(generation)
            session.restart()
            reply = session.generate_reply()
        assert (await read(await reply)).text == ""
        used = peer
        if at == "behind a fresh conversation":
            used = await server.accept()
            await used.open_conversation("conv_2")
        session.set_external_id("last")
        await used.expect(client.SetExternalId)


async def test_a_late_transcript_of_a_turn_that_was_committed_stands_before_its_answer(
    make_model, server
):
    """In push-to-talk, Phonic may not say that the caller speaks."""
    async with talk(make_model, server) as (session, peer, emitted):
        for question, answer in (("When?", "At nine."), ("And on Sundays?", "Never.")):
            session.start_user_activity()
            session.commit_audio()
            reply = session.generate_reply()
            await peer.speak(answer)
            await read(await reply)
            answered = time.time()
            await peer.send(phonic.InputText(question))
            transcript = await emitted.next("input_audio_transcription_completed")
            assert transcript.turn_started_at < answered
        texts = [item.text_content for item in session.chat_ctx.items]
        assert texts == ["When?", "At nine.", "And on Sundays?", "Never."]


async def test_with_turn_detection_commit_warns_and_clear_says_nothing(make_model, server, caplog):
    async with conversation(make_model(), server) as (session, peer, _):
        session.clear_audio()
        assert not caplog.records or "audio" not in caplog.text
        session.commit_audio()
        assert 'turn_detection="manual"' in caplog.text
    assert await peer.receive() is None


async def test_manual_turn_detection_in_an_agent_session(make_model, server):
    """The pattern of LiveKit's documentation: a press begins the turn, a release ends it."""
    session = AgentSession(llm=make_model(), turn_detection="manual")
    session.output.audio = Playback(24_000)
    seen = Seen(session)
    agent = Receptionist()
    await session.start(agent)
    try:
        peer = await server.accept()
        assert (await peer.open_conversation()).push_to_talk is True
        realtime = agent.realtime_llm_session
        assert isinstance(realtime, RealtimeSession)
        emitted = Emitted(realtime)
        while realtime.state is not State.ready:
            await emitted.next("state_changed")

        session.interrupt()
        session.clear_user_turn()
        await peer.expect(client.Unmute)
        realtime.push_audio(frame(1))
        session.commit_user_turn()
        await peer.expect(client.Mute)
        assert peer.audio == [said(1)]
        await peer.send(phonic.InputText("When do you open?"))
        await peer.speak("At nine.")

        assert (await seen.message("user")).text_content == "When do you open?"
        assert (await seen.message("assistant")).text_content == "At nine."

        session.interrupt()
        session.clear_user_turn()
        await peer.expect(client.Unmute)

        # Phonic ends the turn at a pause, before the caller lets go.
        emitted.rest()
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.send(phonic.InputText("And on Sundays?"))
        assert (await seen.message("user")).text_content == "And on Sundays?"
        await peer.speak("Never.")
        await emitted.state("speaking")
        await emitted.state("ready")
        assert session.agent_state == "listening"
        session.commit_user_turn()
        answer = await seen.message("assistant")
        assert (answer.text_content, answer.interrupted) == ("Never.", False)
        realtime.set_external_id("last")
        await peer.expect(client.SetExternalId)
    finally:
        await session.aclose()


ANSWERS = Scenario(
    turns=(
        Turn(caller="When do you open?", assistant="We open at nine."),
        Turn(caller="On Sundays?", assistant="On Sundays we are closed."),
    )
)


@pytest.mark.parametrize(
    ("detector_waits_s", "words", "answer"),
    [
        pytest.param(0.5, ["When do you open?"], "We open at nine.", id="a slow detector"),
        pytest.param(
            2.0,
            ["When do you open?", "On Sundays?"],
            "On Sundays we are closed.",
            id="a caller who thinks",
        ),
    ],
)
async def test_a_pause_before_livekits_turn_detector_commits_brings_one_answer(
    detector_waits_s, words, answer
):
    """Phonic answers after 0.3 s of silence; LiveKit's turn detector waits for longer."""
    async with PhonicSimulator(ANSWERS) as simulator:
        model = RealtimeModel(
            api_key="any", base_url=simulator.url, vad_min_silence_duration_ms=300
        )
        endpointing: Any = {"min_delay": detector_waits_s}
        session = AgentSession(
            llm=model,
            turn_handling={"turn_detection": "vad", "endpointing": endpointing},
        )
        seen = Seen(session)
        async with PhoneCall(session, Agent(instructions="Be brief.")) as call:
            for said_now in words:
                await call.say(said_now)
                await seen.message("user")
            message = await seen.message("assistant")
            assert (message.text_content, message.interrupted) == (answer, False)
            texts = [item.text_content for item in call.phonic.chat_ctx.items]
        assert texts == [*words, answer]
        [record] = simulator.conversations
        asked = [
            message for message in record.received if isinstance(message, client.GenerateReply)
        ]
        assert not asked, "no second answer was asked for"
