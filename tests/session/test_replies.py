"""Replies that are asked for: generate_reply and say."""

from __future__ import annotations

import asyncio
import re

import anyio
import pytest
from livekit.agents import APIConnectOptions, llm
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
from phonic_fsm._adapter import replies as adapter
from phonic_fsm._core import timers
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


async def nothing_was_asked(session, peer):
    """What the session sends from now on is the first that the peer gets."""
    session.set_external_id("mark")
    await peer.expect(client.SetExternalId)


ASKING = {
    "generate_reply": (lambda session: session.generate_reply(), client.GenerateReply),
    "say": (lambda session: session.say("Two."), client.Say),
}
asking = pytest.mark.parametrize(("ask", "request_"), ASKING.values(), ids=ASKING)


@asking
@pytest.mark.parametrize("begun", [[], [phonic.AudioChunk(SILENCE, "One")]], ids=["", "words"])
async def test_a_reply_is_asked_for_when_the_turn_ends(begun, ask, request_, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), *begun)
        first = await emitted.next("generation_created")
        await settle(peer, emitted)
        reply = ask(session)
        await nothing_was_asked(session, peer)
        await peer.send(phonic.AudioChunk(SILENCE, " more"), phonic.AssistantFinishedSpeaking())
        await peer.expect(request_)
        await peer.speak("Two.")
        second = await emitted.next("generation_created")
        assert first.user_initiated is False
        assert await reply is second
        assert (await read(second)).text == "Two."


@asking
@pytest.mark.parametrize("end", ["the caller", "interrupt", "a tool call", "a reset", "a stall"])
async def test_a_reply_is_asked_for_however_the_turn_ends(end, ask, request_, make_model, server):
    async with conversation(Impatient(make_model()), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One"))
        await emitted.state("speaking")
        reply = ask(session)
        if end == "the caller":
            await peer.send(phonic.UserStartedSpeaking())
        elif end == "interrupt":
            session.interrupt()
        elif end == "a tool call":
            await peer.send(phonic.ToolCall("call_1", "look_up"))
        elif end == "a reset":
            session.update_options(voice="ann")
            await peer.expect(client.Reset)
        await peer.expect(request_)
        await peer.speak("Two.")
        assert (await reply).user_initiated is True


async def test_a_reply_does_not_time_out_while_a_turn_goes_on(make_model, server):
    async with conversation(Impatient(make_model()), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE * 20, "One"))
        await emitted.state("speaking")
        reply = session.generate_reply()
        # The turn stalls, and is closed when it can have been heard: after 0.45 s.
        await peer.expect(client.GenerateReply)
        assert not reply.done()
        await peer.speak("Two.")
        await reply


async def test_a_reply_that_takes_over_an_owed_one_does_not_time_out_while_a_turn_goes_on(
    make_model, server
):
    async with conversation(Impatient(make_model()), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE * 20, "One"))
        await emitted.state("speaking")
        context = session.chat_ctx
        context.items.append(llm.FunctionCallOutput(call_id="old", output="ok", is_error=False))
        await session.update_chat_ctx(context)
        await peer.expect(client.AddSystemMessage)
        reply = session.generate_reply()
        await peer.expect(client.GenerateReply)
        assert not reply.done()
        await peer.speak("Two.")
        await reply


async def test_a_reply_that_is_withdrawn_during_a_turn_is_never_asked_for(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking())
        await emitted.state("speaking")
        session.generate_reply().cancel()
        await peer.send(phonic.AssistantFinishedSpeaking())
        await emitted.state("ready")
    assert await peer.receive() is None


async def test_a_reply_asked_for_during_a_turn_that_is_lost_is_asked_for_later(make_model, server):
    at_once = APIConnectOptions(max_retry=1, retry_interval=0.0)
    async with conversation(make_model(conn_options=at_once), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One"))
        await emitted.state("speaking")
        reply = session.generate_reply()
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected(), phonic.AudioChunk(SILENCE, " more"))
        rest = await emitted.next("generation_created")
        assert rest.user_initiated is False
        await nothing_was_asked(session, resumed)
        await resumed.send(phonic.AssistantFinishedSpeaking())
        assert (await read(rest)).text == " more"
        await resumed.expect(client.GenerateReply)
        await resumed.speak("Two.")
        assert (await read(await reply)).text == "Two."


WELCOMES = {
    "welcome_message": {"welcome_message": "Welcome."},
    "generated": {"generate_welcome_message": True},
    "an agent's own": {"phonic_agent": "host"},
    "an endpoint's": {"configuration_endpoint": {"url": "https://example.com"}},
}
welcomed = pytest.mark.parametrize("options", WELCOMES.values(), ids=WELCOMES)


@welcomed
@pytest.mark.parametrize("when", ["before ready", "after ready"])
async def test_a_welcome_is_no_reply_and_is_heard_whole(when, options, make_model, server):
    async with started(make_model(**options)) as (session, emitted):
        if when == "before ready":
            reply = session.generate_reply()
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.open_conversation()
        await emitted.state("ready")
        if when == "after ready":
            reply = session.generate_reply()
        await nothing_was_asked(session, peer)
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Welcome."))
        welcome = await emitted.next("generation_created")
        await nothing_was_asked(session, peer)
        await peer.send(phonic.AssistantFinishedSpeaking())
        await peer.expect(client.GenerateReply)
        await peer.speak("How can I help?")
        answer = await emitted.next("generation_created")
        assert welcome.user_initiated is False
        assert await reply is answer
        assert (await read(welcome)).text == "Welcome."


@welcomed
async def test_without_a_welcome_a_reply_is_asked_for_soon(
    options, make_model, server, monkeypatch
):
    monkeypatch.setattr(timers, "SOON", 0.05)
    async with started(Impatient(make_model(), **options)) as (session, _):
        reply = session.generate_reply()
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.open_conversation()
        await peer.expect(client.GenerateReply)
        await peer.speak("How can I help?")
        await reply
        again = session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.speak("Anything else?")
        await again


async def test_a_reply_that_a_turn_has_swallowed_is_asked_for_again_when_it_ends(
    make_model, server, monkeypatch
):
    monkeypatch.setattr(timers, "SOON", 0.05)
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One"))
        await emitted.state("speaking")
        session.interrupt()
        reply = session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.AudioChunk(SILENCE, " more"), phonic.AssistantFinishedSpeaking())
        await peer.expect(client.GenerateReply)
        await peer.speak("Two.")
        assert (await read(await reply)).text == "Two."


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


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], r"waits for update_instructions\(\) and update_tools\(\)"),
        (["tools"], r"waits for update_instructions\(\): Phonic gets its config once both"),
        (["instructions"], r"waits for update_tools\(\): Phonic gets its config once both"),
        (["instructions", "tools"], "in state config_sent, the request waits for Phonic to be"),
    ],
)
async def test_a_reply_that_the_server_is_never_ready_for_says_why(
    given, reason, make_model, server
):
    session = Impatient(make_model()).session()
    try:
        peer = await server.accept()
        if "instructions" in given:
            await session.update_instructions("Be kind.")
        if "tools" in given:
            await session.update_tools([])
        if len(given) == 2:
            await peer.expect(client.Config)
        with pytest.raises(ReplyTimedOut, match=reason):
            await session.generate_reply()
    finally:
        await session.aclose()


async def test_a_reply_that_never_gets_a_connection_says_so(make_model, server):
    server.refuse = 503
    session = Impatient(make_model(conn_options=APIConnectOptions(max_retry=9))).session()
    try:
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        with pytest.raises(ReplyTimedOut, match="in state connecting, the request waits for a con"):
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
        await peer.send(phonic.AssistantChoseNotToRespond())
        assert (await read(await emitted.next("generation_created"))).text == ""
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


@pytest.mark.parametrize("blank", ["", " \n", (), ("", " ")], ids=repr)
async def test_blank_words_are_not_sent(blank, make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        reply = session.say(blank if isinstance(blank, str) else parts(*blank))
        await ended(reply)
        assert isinstance(reply.exception(), llm.RealtimeError)
        assert reply.exception().code == "blank"
        session.say("Next.")
        assert await peer.receive() == client.Say("Next.")


async def test_a_stream_of_something_else_than_words_fails_its_reply(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        with pytest.raises(TypeError, match="say: a part of the text must be str, got int"):
            await session.say(parts("Good ", 7))
        session.say("Next.")
        assert await peer.receive() == client.Say("Next.")


@pytest.mark.parametrize("goes_on", ["silently", "with words"])
async def test_a_stream_that_ignores_its_cancellation_holds_nothing_up(
    goes_on, make_model, server, caplog, monkeypatch
):
    monkeypatch.setattr(adapter, "LONGEST_FAREWELL", 0.0)
    begun, over = asyncio.Event(), asyncio.Event()
    cancelled = []

    async def stubborn():
        yield "Good "
        begun.set()
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError as error:
                cancelled.append(error)
                if goes_on == "with words":
                    yield "morning."

    async with conversation(make_model(), server) as (session, peer, _):
        reply = session.say(stubborn())
        await begun.wait()
        reply.cancel()
        session.say("Next.")
        assert await peer.receive() == client.Say("Next.")
    assert ("goes on although it was cancelled" in caplog.text) == (goes_on == "silently")
    assert len(cancelled) == 1
    over.set()


async def test_say_collects_a_stream_of_words(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        reply = session.say(parts("Good ", "morning."))
        assert await peer.receive() == client.Say("Good morning.")
        await peer.speak("Good morning.")
        assert await reply is await emitted.next("generation_created")


@pytest.mark.parametrize("begun", [(), ("Good ",)], ids=["at once", "after some words"])
async def test_say_does_not_wait_for_ever_for_a_stream_of_words(begun, make_model, server):
    stopped = asyncio.Event()

    async def stalls():
        try:
            for word in begun:
                yield word
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with conversation(Impatient(make_model()), server) as (session, peer, _):
        with anyio.fail_after(PATIENCE), pytest.raises(ReplyTimedOut, match="more of the text"):
            await session.say(stalls())
        with anyio.fail_after(PATIENCE):
            await stopped.wait()
        session.say("Still here.")
        assert await peer.receive() == client.Say("Still here.")


async def test_say_waits_for_a_stream_of_words_as_long_as_some_come(make_model, server):
    async def slow():
        for word in ("One ", "two ", "three ", "four."):
            yield word
            await asyncio.sleep(0.06)

    async with conversation(Impatient(make_model(), reply_timeout=0.1), server) as (
        session,
        peer,
        _,
    ):
        reply = session.say(slow())
        assert await peer.receive() == client.Say("One two three four.")
        await peer.speak("One two three four.")
        await reply


@pytest.mark.parametrize("newer", ["generate_reply", "say"])
async def test_a_newer_request_supersedes_a_stream_of_words(newer, make_model, server):
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def words():
        yield "Good "
        begun.set()
        await go_on.wait()
        yield "morning."

    async with conversation(make_model(), server) as (session, peer, _):
        older = session.say(words())
        await begun.wait()
        reply = session.generate_reply() if newer == "generate_reply" else session.say("Hello.")
        go_on.set()
        await ended(older)
        assert older.cancelled()
        await peer.receive()
        await peer.speak("Hello.")
        assert (await reply).user_initiated is True
    assert await peer.receive() is None, "the older text is not spoken"


async def test_a_stream_of_words_supersedes_an_older_request_at_once(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        older = session.generate_reply()
        await peer.expect(client.GenerateReply)
        newer = session.say(parts("Good ", "morning."))
        assert older.cancelled()
        assert await peer.receive() == client.Say("Good morning.")
        await peer.speak("Good morning.")
        await newer


async def test_a_stream_of_words_outlives_a_turn_and_the_connection(make_model, server):
    rest = asyncio.Event()

    async def words():
        yield "Good "
        await rest.wait()
        yield "morning."

    at_once = APIConnectOptions(max_retry=1, retry_interval=0.0)
    async with conversation(make_model(conn_options=at_once), server) as (session, peer, emitted):
        reply = session.say(words())
        await peer.speak("By the way.")
        assert (await emitted.next("generation_created")).user_initiated is False
        await emitted.state("ready")
        peer.cut()
        resumed = await server.accept()
        await resumed.close(4800)
        fresh = await server.accept()
        await fresh.open_conversation("conv_2")
        await nothing_was_asked(session, fresh)
        rest.set()
        assert await fresh.receive() == client.Say("Good morning.")
        await fresh.speak("Good morning.")
        assert (await read(await reply)).text == "Good morning."


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
