"""The end of a session: by aclose, by the server, and by what happens around it."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from livekit import rtc
from support.scripted import (
    PATIENCE,
    SILENCE,
    Emitted,
    PhonicServer,
    conversation,
    read,
    settle,
)
from support.states import lead_to, session_in

from phonic_fsm import ConversationEnded, RealtimeModel, State
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.trace import replay


def tasks_of_ours():
    """Tasks that run the package's code."""
    return [
        task for task in asyncio.all_tasks() if "phonic_fsm" in task.get_coro().cr_code.co_filename
    ]


async def nothing_is_left(before):
    """No task of ours is left, and what others did for the session ends by itself."""
    assert tasks_of_ours() == []
    others = asyncio.all_tasks() - before - {asyncio.current_task()}
    if others:
        _, pending = await asyncio.wait(others, timeout=PATIENCE)
        assert pending == set()


@pytest.mark.anyio
@pytest.mark.parametrize("state", list(State))
async def test_aclose_ends_a_session_in_any_state(state, make_model, server):
    async with session_in(state.value, make_model, server) as (session, emitted, _):
        assert session.state is state
        reply = session.generate_reply()
        with anyio.fail_after(PATIENCE):
            await session.aclose()
        assert session.state is State.closed
        assert tasks_of_ours() == []
        assert reply.exception().code == "closed"
        assert "error" not in [name for name, _ in emitted.rest()]


@pytest.mark.anyio
@pytest.mark.parametrize("moment", ["at once", "one tick later"])
async def test_a_session_may_be_closed_as_soon_as_it_is_made(moment, make_model, server):
    before = asyncio.all_tasks()
    session = make_model().session()
    if moment == "one tick later":
        await asyncio.sleep(0)
    await session.aclose()
    assert session.state is State.closed
    await nothing_is_left(before)


@pytest.mark.anyio
async def test_no_task_is_left_of_a_conversation(make_model, server):
    before = asyncio.all_tasks()
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("Hello.")
        await emitted.next("generation_created")
        session.generate_reply()
    await nothing_is_left(before)


@pytest.mark.anyio
async def test_aclose_may_be_called_again_and_again(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await asyncio.gather(session.aclose(), session.aclose(), session.aclose())
        await session.aclose()
        states = [payload.new for name, payload in emitted.rest() if name == "state_changed"]
    assert states == ["closed"]
    assert await peer.receive() is None


@pytest.mark.anyio
async def test_whoever_gives_up_waiting_for_aclose_does_not_stop_it(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        assert await peer.receive() is None
        await session.aclose()
        assert tasks_of_ours() == []


@pytest.mark.anyio
async def test_aclose_closes_the_websocket_in_order(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        session.say("Goodbye.")
        await session.aclose()
    assert await peer.receive() == client.Say("Goodbye.")
    assert await peer.receive() is None
    assert peer._socket.close_code == 1000


@pytest.mark.anyio
async def test_aclose_ends_the_streams_of_the_open_generation(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well"))
        generation = await emitted.next("generation_created")
        await emitted.state("speaking")
        reading = asyncio.create_task(read(generation))
        await peer.send(phonic.InputText("(marker)"))
        await emitted.next("input_audio_transcription_completed")
        await session.aclose()
        assert (await reading).text == "Well"
        assert session.chat_ctx.items[-1].interrupted is True


@pytest.mark.anyio
async def test_aclose_ends_the_callers_speech(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.state("listening")
        await session.aclose()
        assert "input_speech_stopped" in [name for name, _ in emitted.rest()]


EVERY_EVENT = (
    *Emitted.NAMES,
    "remote_item_added",
    "metrics_collected",
    "dtmf",
    "tool_call_settled",
    "phonic_server_event_received",
    "phonic_client_event_queued",
)


async def an_eventful_call(session, peer, server):
    """Have the session emit every event that there is; afterwards it is resumed."""
    await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
    await peer.send(phonic.InputText("What is the weather like?"))
    await peer.speak("Let me see.")
    await peer.send(phonic.Dtmf("1"), phonic.Error(phonic.Problem("Cannot do that.")))
    await peer.send(phonic.ToolCall("c1", "t"), phonic.ToolCallInterrupted("c1"))
    session.set_external_id("call-1")
    peer.cut()
    resumed = await server.accept()
    await resumed.send(phonic.ConversationReconnected())
    return resumed


@pytest.mark.anyio
@pytest.mark.parametrize("name", EVERY_EVENT)
async def test_a_listener_may_close_the_session(name, make_model, server):
    before = asyncio.all_tasks()
    closing = []
    async with conversation(make_model(), server) as (session, peer, emitted):
        session.once(name, lambda _: closing.append(asyncio.ensure_future(session.aclose())))
        calling = asyncio.create_task(an_eventful_call(session, peer, server))
        await emitted.state("closed")
        await asyncio.gather(*closing)
        assert closing
        calling.cancel()
        await asyncio.wait([calling])
        assert tasks_of_ours() == []
    await nothing_is_left(before)


@pytest.mark.anyio
@pytest.mark.parametrize("name", EVERY_EVENT)
async def test_a_listener_may_call_back_into_the_session(name, make_model, server, tmp_path):
    before = asyncio.all_tasks()
    path = tmp_path / "call.jsonl"
    replies, calls = [], []
    async with conversation(make_model(trace=path), server) as (session, peer, emitted):

        def call_back(_):
            replies.extend((session.generate_reply(), session.say("One moment.")))
            session.interrupt()
            session.start_user_activity()
            session.commit_audio()
            session.clear_audio()
            session.update_options(voice="ann")
            session.push_audio(rtc.AudioFrame(SILENCE, 24000, 1, 480))
            replies.append(session.generate_reply(instructions="Go on."))
            made = (
                session.update_instructions("Be brief."),
                session.update_tools([]),
                session.update_chat_ctx(session.chat_ctx),
            )
            calls.extend(map(asyncio.ensure_future, made))

        session.once(name, call_back)
        resumed = await an_eventful_call(session, peer, server)
        await emitted.next("session_reconnected")
        await resumed.speak("I am back.")
        await resumed.send(phonic.InputText("(marker)"))
        await emitted.next("input_audio_transcription_completed")
        assert len(replies) == 3
        await asyncio.gather(*calls)
        assert session.state is not State.closed
    assert all(reply.done() for reply in replies)
    assert all(step.difference is None for step in replay(path))
    await nothing_is_left(before)


@pytest.mark.anyio
@pytest.mark.parametrize("ticks", range(4))
@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.update_instructions("Be brief."),
        lambda session: session.update_tools([]),
        lambda session: session.update_chat_ctx(session.chat_ctx),
        lambda session: session._update_session(instructions="Be brief.", tools=[]),
    ],
    ids=["update_instructions", "update_tools", "update_chat_ctx", "_update_session"],
)
async def test_a_call_that_is_cancelled_is_made_or_not_and_hurts_nobody(
    call, ticks, make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        cancelled = asyncio.ensure_future(call(session))
        for _ in range(ticks):
            await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await call(session)
        await session.update_instructions("Be quick.")
        while "Be quick." not in str(await peer.receive()):
            pass
        assert await settle(peer, emitted) == []
        assert session.state is State.ready


@pytest.mark.anyio
async def test_audio_that_nobody_reads_keeps_nothing_from_going_on_or_ending(make_model, server):
    before = asyncio.all_tasks()
    async with conversation(make_model(), server) as (_, peer, emitted):
        for _ in range(3):
            await peer.speak(*["word "] * 50)
        generations = [await emitted.next("generation_created") for _ in range(3)]
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.state("listening")
    assert [(await read(generation)).text for generation in generations] == ["word " * 50] * 3
    await nothing_is_left(before)


@pytest.mark.anyio
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4000, "idle"), (1001, "going")])
async def test_a_deliberate_close_by_the_server_ends_the_session(code, reason, make_model, server):
    before = asyncio.all_tasks()
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.close(code, reason)
        event = await emitted.next("error")
        assert event.recoverable is False
        assert isinstance(event.error, ConversationEnded)
        assert str(code) in str(event.error)
        assert reason in str(event.error)
        await emitted.state("closed")
    assert server.handshakes == 1
    await nothing_is_left(before)


@pytest.mark.anyio
async def test_an_assistant_that_ends_the_conversation_ends_the_session(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.speak("Goodbye.")
        await peer.send(phonic.AssistantEndedConversation())
        assert (await read(await emitted.next("generation_created"))).text == "Goodbye."
        event = await emitted.next("error")
        assert event.recoverable is False
        assert isinstance(event.error, ConversationEnded)
        await emitted.state("closed")
        assert await peer.receive() is None


@pytest.mark.anyio
async def test_the_servers_close_ends_generation_and_reply(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well"))
        generation = await emitted.next("generation_created")
        reply = session.generate_reply()
        await peer.close(4000)
        assert (await read(generation)).text == "Well"
        await emitted.next("error")
        assert reply.exception().code == "closed"


@pytest.mark.anyio
async def test_calls_on_a_closed_session_do_nothing(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await session.aclose()
        session.push_audio(rtc.AudioFrame(SILENCE, 24000, 1, 480))
        session.interrupt()
        await session.update_instructions("Be brief.")
        await session.update_tools([])
        await session.update_chat_ctx(session.chat_ctx)
        await session._update_session(instructions="Be brief.")
        assert session.state is State.closed
    assert await peer.receive() is None
    assert peer.audio == []


@pytest.mark.anyio
async def test_a_session_whose_task_is_cancelled_leaves_nothing(make_model, server):
    before = asyncio.all_tasks()
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well"))
        generation = await emitted.next("generation_created")
        reply = session.generate_reply()
        [running] = [task for task in tasks_of_ours() if task.get_name() == "phonic-session"]
        running.cancel()
        await asyncio.wait([running])
        assert session.state is State.closed
        assert (await read(generation)).text == "Well"
        assert reply.exception().code == "closed"
    await nothing_is_left(before)


@pytest.mark.parametrize("state", [state for state in State if state is not State.closed])
def test_the_end_of_the_event_loop_leaves_nothing(state, caplog):
    sessions = []

    async def abandon():
        async with PhonicServer() as server:
            session = RealtimeModel(api_key="key", base_url=server.url).session()
            sessions.append(session)
            if state is not State.connecting:
                await lead_to(state.value, session, Emitted(session), server)
            assert session.state is state
            raise _AbandonedError

    with pytest.raises(_AbandonedError):
        asyncio.run(abandon())
    assert sessions[0].state is State.closed
    assert [record for record in caplog.records if record.name == "asyncio"] == []


class _AbandonedError(Exception):
    pass
