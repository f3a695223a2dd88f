"""A session whose call another process has taken over: it sends nothing more, and leaves."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, llm
from support.job import job, until
from support.redis_server import RedisServer
from support.scripted import Impatient, conversation

from phonic_fsm import CallTakenOver, State
from phonic_fsm._runtime import fence
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.durable import _ownership, journals
from phonic_fsm.durable._ownership import Ownership
from phonic_fsm.durable._process import this_process
from phonic_fsm.durable._redis import RedisJournals
from phonic_fsm.durable._store import STILL_SECONDS

pytestmark = pytest.mark.anyio

ME = this_process(room="room", job="job")
AT_ONCE = APIConnectOptions(max_retry=2, retry_interval=0, timeout=5)


class Call:
    """A journal of this process, and a successor in the same store."""

    def __init__(self, place: str) -> None:
        self._store = journals(place)
        self.journal = self._store.begin("call", ME)
        self.ownership = Ownership(self._store, "call", ME, self.journal)

    def take_over(self) -> None:
        """Let another process have the call."""
        # Only an owner that stands still or is dead can be succeeded, and this is neither.
        self.journal.release()
        self._store.take_over("call", ME)


@pytest.fixture
def call(tmp_path):
    return Call(str(tmp_path))


@asynccontextmanager
async def durable(make_model, server, call, **options):
    """A conversation that another process may take over."""
    model = Impatient(make_model(conn_options=AT_ONCE), lease=call.ownership)
    async with conversation(model, server) as (session, peer, emitted):
        yield session, peer, emitted


async def left_without_a_goodbye(peer):
    """The messages that have come before the end, which has no close frame."""
    messages = []
    while (message := await peer.receive()) is not None:
        messages.append(message)
    assert peer.close_code == 1006
    return messages


async def test_a_session_learns_by_its_heartbeat_that_its_call_is_anothers(
    make_model, server, call
):
    async with durable(make_model, server, call) as (session, peer, emitted):
        call.take_over()
        error = (await emitted.next("error")).error
        assert isinstance(error, CallTakenOver)
        assert not error.retryable
        await emitted.state("closed")
        assert await left_without_a_goodbye(peer) == []
        with pytest.raises(llm.RealtimeError):
            await session.generate_reply()


async def test_an_owner_goes_on_and_says_goodbye(make_model, server, call, monkeypatch):
    monkeypatch.setattr(fence, "LOOK", 0.01)
    monkeypatch.setattr(fence, "BEAT", 0.02)
    async with durable(make_model, server, call) as (_, peer, emitted):
        loop, beaten = asyncio.get_running_loop(), anyio.Event()
        beat = call.journal.beat
        call.journal.beat = lambda: (beat(), loop.call_soon_threadsafe(beaten.set))
        await beaten.wait()
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
    assert await resumed.receive() is None
    assert resumed.close_code == 1000


async def test_a_lost_connection_is_not_resumed_by_whoever_has_lost_the_call(
    make_model, server, call
):
    async with durable(make_model, server, call) as (_, peer, emitted):
        call.take_over()
        peer.cut()
        assert [event.error.__class__ for event in await errors(emitted)][-1] is CallTakenOver
        assert server.handshakes == 1


async def errors(emitted):
    """The errors until the session is closed."""
    until_closed = []
    while True:
        until_closed.append(await emitted.next("error"))
        if isinstance(until_closed[-1].error, CallTakenOver):
            await emitted.state("closed")
            return until_closed


async def test_closing_leaves_the_conversation_to_the_successor(make_model, server, call):
    async with durable(make_model, server, call) as (session, peer, _):
        call.take_over()
        await session.aclose()
        assert await left_without_a_goodbye(peer) == []


async def test_a_process_that_has_stood_still_sends_nothing_before_it_has_asked(
    make_model, server, call
):
    async with durable(make_model, server, call) as (session, peer, emitted):
        frame = rtc.AudioFrame(b"\1\1" * 480, 24_000, 1, 480)
        session.push_audio(frame)
        await peer.receive_audio(1)
        call.take_over()
        time.sleep(fence.STOOD_STILL + 0.1)  # noqa: ASYNC251 - the process stands still
        session.push_audio(frame)
        context = session.chat_ctx
        context.items.append(llm.ChatMessage(role="system", content=["too late"]))
        await session.update_chat_ctx(context)
        await emitted.state("closed")
        assert await left_without_a_goodbye(peer) == []
        assert len(peer.audio) == 1


async def test_an_owner_that_has_stood_still_sends_what_has_waited(make_model, server, call):
    async with durable(make_model, server, call) as (session, peer, _):
        time.sleep(fence.STOOD_STILL + 0.1)  # noqa: ASYNC251 - the process stands still
        context = session.chat_ctx
        context.items.append(llm.ChatMessage(role="system", content=["late"]))
        await session.update_chat_ctx(context)
        assert await peer.receive() == client.AddSystemMessage("late")


@pytest.fixture
def redis(tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(params=[True, False], ids=["owned", "may_be_anothers"])
def close_code(request, monkeypatch):
    """How a conversation ends on purpose while Redis does not answer: as long as the call cannot be
    another's, and once it may be."""
    monkeypatch.setattr(RedisJournals, "outlives_a_beat", math.inf if request.param else 0.0)
    return 1000 if request.param else 1006


async def test_a_call_goes_on_without_redis_which_is_told_once(
    make_model, server, redis, caplog, monkeypatch, *, close_code
):
    monkeypatch.setattr(fence, "LOOK", 0.01)
    monkeypatch.setattr(fence, "BEAT", 0.02)
    caplog.set_level(logging.INFO, "phonic_fsm")
    call = Call(redis.url)
    async with durable(make_model, server, call) as (session, peer, emitted):

        async def told(text):
            while not any(text in record.message for record in caplog.records):  # noqa: ASYNC110
                await anyio.sleep(0.01)

        redis.kill()
        await told("the journal call is not written")
        peer.cut()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        await resumed.speak("I am still here.")
        await emitted.next("generation_created")
        since = time.monotonic()
        await session.aclose()
        assert time.monotonic() - since < 30
        assert await resumed.receive() is None
        assert resumed.close_code == close_code
    said = [record.message for record in caplog.records if "journal" in record.message]
    assert len(said) == 1, said


async def test_a_redis_that_answers_nothing_does_not_hold_up_a_sessions_end(
    make_model, server, redis, *, close_code
):
    call = Call(redis.url)
    async with durable(make_model, server, call) as (session, peer, _):
        redis.stop()
        since = anyio.current_time()
        await session.aclose()
        assert anyio.current_time() - since < 0.9  # Redis has a second
        assert await peer.receive() is None
        assert peer.close_code == close_code
        redis.go_on()


async def test_nobody_else_can_have_a_call_soon_after_a_heartbeat(redis, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(_ownership, "time", clock)
    call = Call(redis.url)
    clock.now = STILL_SECONDS - 0.1
    assert call.ownership.is_safe
    doubts = []
    call.ownership.beat(doubts.append)
    clock.now += STILL_SECONDS - 0.1
    await until(lambda: call.ownership.is_safe)
    assert doubts == []
    redis.kill()
    call.ownership.beat(doubts.append)
    await until(lambda: doubts == ["unknown"])
    clock.now += 0.2
    assert not call.ownership.is_safe
    assert Call(str(tmp_path / "journals")).ownership.is_safe, "who loses that one is killed"


async def test_what_is_thrown_out_again_and_again_is_anothers_if_nobody_can_say(
    make_model, server, redis
):
    call = Call(redis.url)
    async with durable(make_model, server, call) as (_, peer, emitted):
        redis.kill()
        peer.cut()
        for _ in range(fence.MOST_THROWN_OUT):
            resumed = await server.accept()
            await resumed.send(phonic.ConversationReconnected())
            resumed.cut()
        await errors(emitted)
        assert server.handshakes == 1 + fence.MOST_THROWN_OUT


async def test_what_is_thrown_out_again_and_again_is_resumed_as_long_as_it_is_ours(
    make_model, server, call
):
    async with durable(make_model, server, call) as (_, peer, emitted):
        peer.cut()
        for _ in range(fence.MOST_THROWN_OUT + 1):
            resumed = await server.accept()
            await resumed.send(phonic.ConversationReconnected(), phonic.UserStartedSpeaking())
            await resumed.send(phonic.UserFinishedSpeaking(), phonic.InputText("Hello?"))
            await resumed.speak("Hello!")
            await emitted.next("generation_created")
            resumed.cut()
        await server.accept()


@pytest.mark.parametrize(
    ("caller_is_there", "close_code", "held"), [(True, 1006, "dead"), (False, 1000, "ended")]
)
async def test_a_job_that_may_be_ended_as_its_room_connection_was_made_anew_leaves_the_call(
    make_model, server, tmp_path, *, caller_is_there, close_code, held
):
    """LiveKit ends such a job, and closes its session only when the entrypoint has returned."""
    place = str(tmp_path / "journals")
    async with job(make_model(journal=place), server) as (session, peer):
        room = session.room_io.room
        phone = session.current_agent.realtime_llm_session
        await until(lambda: phone.state is State.ready)
        room.emit("reconnecting")
        if caller_is_there:
            kind = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
            room._remote_participants["caller"] = SimpleNamespace(kind=kind)
        await session.aclose()
        while await peer.receive() is not None:
            pass
        assert peer.close_code == close_code
    await until(lambda: [one.held for one in journals(place).statuses(ended=True)] == [held])
