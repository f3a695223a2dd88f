"""Replies that are asked for: generate_reply and say."""

from __future__ import annotations

import asyncio
import re

import anyio
import pytest
from livekit.agents import llm
from support.scripted import (
    PATIENCE,
    SILENCE,
    Emitted,
    Impatient,
    conversation,
    read,
    settle,
    started,
)

from phonic_fsm import ReplyTimedOut, State
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


async def ended(reply):
    """Wait until a reply has its result, whatever that is."""
    with anyio.fail_after(PATIENCE):
        await asyncio.wait([reply])


async def test_a_reply_is_the_generation_that_is_announced(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        reply = session.generate_reply(instructions="Greet.")
        assert await peer.receive() == client.GenerateReply("Greet.")
        await peer.speak("Hello.")
        generation = await emitted.next("generation_created")
        assert await reply is generation
        assert generation.user_initiated is True
        assert (await read(generation)).text == "Hello."


async def test_only_the_answer_is_user_initiated(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.speak("Hello.")
        await peer.speak("Are you there?")
        assert (await emitted.next("generation_created")).user_initiated is True
        assert (await emitted.next("generation_created")).user_initiated is False


async def test_without_instructions_only_the_type_is_sent(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        session.generate_reply()
        assert await peer.receive_json() == {"type": "generate_reply"}


async def test_a_reply_waits_for_ready(make_model, server):
    async with started(make_model()) as (session, _):
        reply = session.generate_reply(instructions="Greet.")
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.open_conversation()
        assert await peer.receive() == client.GenerateReply("Greet.")
        await peer.speak("Hello.")
        await reply


async def test_speech_before_ready_is_not_the_answer_to_a_waiting_reply(make_model, server):
    async with started(make_model()) as (session, emitted):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        reply = session.generate_reply()
        peer = await server.accept()
        await peer.expect(client.Config)
        await peer.speak("Welcome.")
        welcome = await emitted.next("generation_created")
        await peer.expect(client.GenerateReply)
        await peer.speak("The answer.")
        answer = await emitted.next("generation_created")
        assert await reply is answer
        assert welcome.user_initiated is False


async def test_the_answer_to_a_reply_during_a_turn_is_the_next_turn(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One"))
        first = await emitted.next("generation_created")
        await anext(aiter((await anext(aiter(first.message_stream))).text_stream))
        reply = session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.AudioChunk(SILENCE, " more"), phonic.AssistantFinishedSpeaking())
        await peer.speak("Two.")
        second = await emitted.next("generation_created")
        assert first.user_initiated is False
        assert await reply is second
        assert (await read(second)).text == "Two."


async def test_a_newer_reply_supersedes_an_older_one(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        older = session.generate_reply()
        newer = session.say("Hello.")
        await ended(older)
        assert older.cancelled()
        await peer.expect(client.GenerateReply)
        await peer.expect(client.Say)
        await peer.speak("Hello.")
        assert (await newer).user_initiated is True


async def test_a_superseded_reply_that_waits_for_ready_is_never_sent(make_model, server):
    async with started(make_model()) as (session, _):
        older = session.generate_reply(instructions="older")
        session.generate_reply(instructions="newer")
        await ended(older)
        assert older.cancelled()
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.open_conversation()
        assert await peer.receive() == client.GenerateReply("newer")
    assert await peer.receive() is None


async def test_cancelling_a_reply_before_ready_withdraws_it(make_model, server):
    async with started(make_model()) as (session, emitted):
        reply = session.generate_reply()
        reply.cancel()
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.open_conversation()
        await emitted.state("ready")
    assert await peer.receive() is None


async def test_what_answers_a_cancelled_reply_is_a_turn_like_any_other(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        reply = session.generate_reply()
        await peer.expect(client.GenerateReply)
        reply.cancel()
        await settle(peer, emitted)
        await peer.speak("Hello.")
        assert (await emitted.next("generation_created")).user_initiated is False


@pytest.mark.parametrize("ask", ["generate_reply", "say"])
async def test_a_reply_that_does_not_begin_in_time_fails(ask, make_model, server):
    async with conversation(Impatient(make_model()), server) as (session, peer, _):
        reply = session.say("Hello.") if ask == "say" else session.generate_reply()
        await peer.receive()
        with pytest.raises(llm.RealtimeError, match="timed out") as caught:
            await reply
        assert caught.value.code == "timed_out"
        assert session.state is State.ready


async def test_a_reply_that_does_not_begin_is_asked_for_once_more(make_model, server):
    async with conversation(Impatient(make_model()), server) as (session, peer, _):
        reply = session.generate_reply(instructions="Greet.")
        for _ in range(2):
            assert (await peer.expect(client.GenerateReply)).system_message == "Greet."
        with pytest.raises(ReplyTimedOut):
            await reply
    assert await peer.receive() is None, "a third time would be too often"


async def test_the_failure_says_where_the_session_was(make_model, server):
    async with conversation(Impatient(make_model()), server) as (session, _, _):
        with pytest.raises(ReplyTimedOut) as caught:
            await session.generate_reply()
    assert re.search(
        r"in ready for \d+\.\d s, Phonic was last heard \d+\.\d s ago", str(caught.value)
    )


async def test_a_reply_that_the_server_is_never_ready_for_fails(make_model, server):
    session = Impatient(make_model()).session()
    try:
        with pytest.raises(llm.RealtimeError, match=r"connecting|awaiting_inputs"):
            await session.generate_reply()
    finally:
        await session.aclose()


async def test_what_comes_after_the_timeout_is_a_turn_like_any_other(make_model, server):
    async with conversation(Impatient(make_model()), server) as (session, peer, emitted):
        reply = session.generate_reply()
        await ended(reply)
        await peer.speak("Late.")
        assert (await emitted.next("generation_created")).user_initiated is False


async def test_a_reply_that_the_assistant_declines_fails(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        reply = session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.AssistantChoseNotToRespond())
        with pytest.raises(llm.RealtimeError, match="chose not to respond") as caught:
            await reply
        assert caught.value.code == "declined"


async def test_an_answer_that_was_due_and_is_declined_closes_its_generation(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.ToolCall("c1", "look_up_weather"))
        await read(await emitted.next("generation_created"))
        context = session.chat_ctx
        context.items.append(llm.FunctionCallOutput(call_id="c1", output="ok", is_error=False))
        await session.update_chat_ctx(context)
        due = await emitted.next("generation_created")
        await peer.send(phonic.AssistantChoseNotToRespond())
        assert (await read(due)).text == ""
        await emitted.state("ready")


async def test_closing_the_session_ends_a_pending_reply(make_model, server):
    async with conversation(make_model(), server) as (session, _, _):
        reply = session.generate_reply()
        await session.aclose()
        with pytest.raises(llm.RealtimeError) as caught:
            await reply
        assert caught.value.code == "closed"


@pytest.mark.parametrize("ask", ["generate_reply", "say", "stream"])
async def test_on_a_closed_session_a_reply_fails_at_once(ask, make_model, server):
    async with conversation(make_model(), server) as (session, _, _):
        await session.aclose()
        if ask == "generate_reply":
            reply = session.generate_reply()
        else:
            reply = session.say("Hello." if ask == "say" else parts("Hello."))
        await ended(reply)
        assert isinstance(reply.exception(), llm.RealtimeError)
        assert reply.exception().code == "closed"


async def parts(*words):
    for word in words:
        yield word


async def test_say_has_the_words_spoken(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        reply = session.say("Good morning.")
        assert await peer.receive_json() == {"type": "say", "text": "Good morning."}
        await peer.speak("Good morning.")
        assert await reply is await emitted.next("generation_created")


@pytest.mark.parametrize("allowed", [True, False])
async def test_say_tells_whether_the_caller_may_interrupt(allowed, make_model, server):
    async def words():
        yield "Please hold."

    async with conversation(make_model(), server) as (session, peer, _):
        session.say("Please hold.", allow_interruptions=allowed)
        session.say(words(), allow_interruptions=allowed)
        for _ in range(2):
            assert (await peer.expect(client.Say)).interruptible is allowed


async def test_say_collects_a_stream_of_words(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        reply = session.say(parts("Good ", "morning."))
        assert await peer.receive() == client.Say("Good morning.")
        await peer.speak("Good morning.")
        assert await reply is await emitted.next("generation_created")


async def test_say_before_the_session_runs_is_sent_once_ready(make_model, server):
    async with started(make_model()) as (session, _):
        session.say(parts("Good ", "morning."))
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.open_conversation()
        assert await peer.receive() == client.Say("Good morning.")


async def test_what_a_stream_of_words_raises_is_what_the_reply_raises(make_model, server):
    async def broken():
        yield "Good "
        raise LookupError("no more words")

    async with conversation(make_model(), server) as (session, peer, emitted):
        with pytest.raises(LookupError, match="no more words"):
            await session.say(broken())
        assert await settle(peer, emitted) == []
    assert await peer.receive() is None


async def test_a_stream_of_words_that_is_cancelled_ends_its_reply(make_model, server):
    async def cancelled():
        yield "Good "
        raise asyncio.CancelledError

    async with conversation(make_model(), server) as (session, peer, emitted):
        reply = session.say(cancelled())
        await ended(reply)
        assert reply.cancelled() or reply.exception() is not None
        assert await settle(peer, emitted) == []
    assert await peer.receive() is None


async def test_a_stream_of_words_that_breaks_when_stopped_hurts_nobody(make_model, server):
    begun = asyncio.Event()

    async def breaks_when_stopped():
        yield "Good "
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("cannot clean up")

    async with conversation(make_model(), server) as (session, peer, emitted):
        reply = session.say(breaks_when_stopped())
        await begun.wait()
        reply.cancel()
        assert await settle(peer, emitted) == []
        session.say("Still here.")
        assert await peer.receive() == client.Say("Still here.")


@pytest.mark.parametrize("end", ["close", "cancel"])
async def test_a_stream_of_words_without_an_end_is_stopped_with_its_reply(end, make_model, server):
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def endless():
        try:
            yield "Good "
            begun.set()
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with conversation(make_model(), server) as (session, peer, _):
        reply = session.say(endless())
        await begun.wait()
        if end == "close":
            with anyio.fail_after(PATIENCE):
                await session.aclose()
            assert reply.exception().code == "closed"
        else:
            reply.cancel()
        with anyio.fail_after(PATIENCE):
            await stopped.wait()
    assert await peer.receive() is None


async def test_asking_from_within_a_listener_waits_for_its_turn(make_model, server):
    session = make_model().session()
    emitted = Emitted(session)
    replies = []
    session.on("input_speech_stopped", lambda _: replies.append(session.generate_reply()))
    try:
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.open_conversation()
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.expect(client.GenerateReply)
        await peer.speak("Yes?")
        generation = await emitted.next("generation_created")
        assert [await reply for reply in replies] == [generation]
    finally:
        await session.aclose()
