"""What a listener or a stream of the application raises costs nothing but itself."""

from __future__ import annotations

import asyncio

import pytest
from support.receptionist import call
from support.scripted import (
    KEY,
    SILENCE,
    Emitted,
    Impatient,
    PhonicServer,
    conversation,
    read,
    settle,
)

from phonic_fsm import ConversationEnded, Dtmf, RealtimeModel, SessionBroke, State
from phonic_fsm._core import effects
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

ANYTHING = (asyncio.CancelledError, pytest.fail.Exception, GeneratorExit, TypeError, LookupError)
"""What a listener may raise; the first three are no ``Exception``."""


def raising(error):
    def listener(_):
        raise error("from a listener")

    return listener


@pytest.mark.parametrize("error", ANYTHING)
@pytest.mark.parametrize(
    "name", [*Emitted.NAMES, "remote_item_added", "phonic_server_event_received"]
)
async def test_a_listener_may_raise_anything(name, error, make_model, server, caplog):
    heard = []
    async with conversation(make_model(), server) as (session, peer, emitted):
        session.on(name, raising(error))
        session.on(name, heard.append)
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.send(phonic.InputText("Who is there?"))
        await peer.send(phonic.Error(phonic.Problem("Cannot do that.")))
        await peer.speak("Hello.")
        assert (await read(await emitted.next("generation_created"))).text == "Hello."
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        await settle(resumed, emitted)
        assert session.state is State.ready
        said = [item.text_content for item in session.chat_ctx.items]
        assert said == ["Who is there?", "Hello.", "(marker)"]
    assert heard
    assert f"a listener of {name} raised" in caplog.text


async def test_the_result_of_a_superseded_reply_hurts_no_agent_session(make_model, server):
    async with call(make_model(), server) as (session, peer, seen):
        realtime = session.current_agent.realtime_llm_session
        superseded = realtime.generate_reply()
        realtime.generate_reply()
        for name in ("input_audio_transcription_completed", "state_changed"):
            realtime.on(name, lambda _: superseded.result())
        await peer.expect(client.GenerateReply)
        await peer.speak("This answers the request, which LiveKit did not make.")
        await peer.speak("Good morning.")
        assert (await seen.message("assistant")).text_content == "Good morning."
        await peer.send(phonic.InputText("Hello?"))
        assert (await seen.message("user")).text_content == "Hello?"
        await peer.close(1000)
        assert isinstance((await seen.close()).error.error, ConversationEnded)


@pytest.mark.parametrize(
    "broken", [(effects.PushText,), (effects.PushText, effects.CloseGeneration)]
)
@pytest.mark.parametrize("error", ANYTHING)
async def test_a_session_that_breaks_ends_its_agent_session(
    error, broken, make_model, server, caplog
):
    async with call(make_model(), server) as (session, peer, seen):
        realtime = session.current_agent.realtime_llm_session
        for effect in broken:
            realtime._runtime._perform[effect] = raising(error)
        await peer.send(phonic.AudioChunk(SILENCE, "Hello."))
        assert isinstance((await seen.close()).error.error, SessionBroke)
        assert realtime.state is State.closed
        await realtime.aclose()
        assert realtime._running.exception() is None
    assert f"{error.__name__} in the session's task" in caplog.text
    assert "the Phonic session broke" in caplog.text


async def test_a_session_whose_task_is_cancelled_ends_its_agent_session(make_model, server):
    async with call(make_model(), server) as (session, _, seen):
        realtime = session.current_agent.realtime_llm_session
        realtime._running.cancel()
        error = (await seen.close()).error.error
        assert isinstance(error, SessionBroke)
        assert error.message == "the session's task was cancelled"
        assert realtime.state is State.closed
        assert realtime._running.cancelled()


@pytest.mark.parametrize("error", ANYTHING)
async def test_a_stream_of_words_that_raises_anything_fails_its_reply(error, make_model, server):
    async def words():
        yield "Well, "
        raise error("from a stream")

    async with conversation(Impatient(make_model()), server) as (session, peer, emitted):
        reply = session.say(words())
        await asyncio.wait([reply])
        if error is asyncio.CancelledError:
            assert reply.cancelled()
        else:
            assert isinstance(reply.exception(), error)
        await settle(peer, emitted)


async def test_a_listener_can_cancel_the_task_that_it_runs_in(make_model, server):
    async with conversation(make_model(), server) as (session, _, emitted):

        def cancel(_):
            asyncio.current_task().cancel()

        session.on("state_changed", cancel)
        closing = asyncio.create_task(session.aclose())
        await asyncio.wait([closing])
        assert closing.cancelled()
        session.off("state_changed", cancel)
        await emitted.state("closed")


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_a_listener_that_ends_the_process_does_so_after_the_step(end):
    seen = []

    def leave(_):
        raise end(3)

    async def main():
        async with PhonicServer() as server:
            model = RealtimeModel(api_key=KEY, base_url=server.url)
            async with conversation(model, server) as (session, peer, _):
                seen.append(session)
                session.on("input_audio_transcription_completed", leave)
                await peer.send(phonic.InputText("Hello?"))
                await asyncio.get_running_loop().create_future()

    with pytest.raises(end):
        asyncio.run(main())
    [session] = seen
    assert session.state is State.closed
    assert [item.text_content for item in session.chat_ctx.items] == ["Hello?"]


async def test_a_listener_gets_as_many_arguments_as_it_takes(make_model, server):
    got: list[object] = []
    async with conversation(make_model(), server) as (session, peer, emitted):
        session.on("dtmf", lambda: got.append("none"))
        session.on("dtmf", lambda dtmf: got.append(dtmf.digits))
        session.on("dtmf", lambda dtmf, *rest: got.append((dtmf.digits, rest)))
        session.on("dtmf", got.append)
        await peer.send(phonic.Dtmf("1"))
        await settle(peer, emitted)
    assert got == ["none", "1", ("1", ()), Dtmf("1")]
