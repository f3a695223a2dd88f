"""A session whose connections are lost again and again gives up, unless they serve in between."""

from __future__ import annotations

import pytest
from livekit.agents import APIConnectOptions
from support.machines import conversing
from support.scripted import SILENCE, Emitted, Peer, PhonicServer, conversation, settle

from phonic_fsm import ConnectionFailed, State
from phonic_fsm._core import effects, events, timers
from phonic_fsm._core.context import Settings
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

RETRIES = 2
AT_ONCE = APIConnectOptions(max_retry=RETRIES, retry_interval=0, timeout=5)


async def resume(
    server: PhonicServer,
    emitted: Emitted,
    conversation_id: str = "conv_1",
    first: object = phonic.ConversationReconnected(),
) -> Peer:
    resumed = await server.accept()
    assert f"reconnect_conv_id={conversation_id}" in resumed.path
    await resumed.send(first)
    await emitted.next("session_reconnected")
    return resumed


async def ends(emitted: Emitted) -> None:
    while (event := await emitted.next("error")).recoverable:
        pass
    assert isinstance(event.error, ConnectionFailed)
    await emitted.state("closed")


@pytest.mark.parametrize("first", ["something was said", "nothing was said"])
async def test_resumes_that_bring_nothing_are_followed_by_a_fresh_conversation_and_the_end(
    first, make_model, server
):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        if first == "something was said":
            await settle(peer, emitted)
        peer.cut()
        for _ in range(1 + RETRIES):
            (await resume(server, emitted)).cut()
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path
        await fresh.open_conversation("conv_2")
        await emitted.next("session_reconnected")
        fresh.cut()
        for _ in range(RETRIES):
            (await resume(server, emitted, "conv_2")).cut()
        await ends(emitted)
    assert server.handshakes == 1 + 1 + RETRIES + 1 + RETRIES


@pytest.mark.parametrize(
    "first",
    [phonic.AudioChunk(SILENCE), phonic.UserStartedSpeaking(), phonic.AssistantStartedSpeaking()],
    ids=lambda message: message.__struct_config__.tag,
)
async def test_the_beginning_of_a_turn_resumes_a_conversation_and_proves_no_connection(
    first, make_model, server
):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        peer.cut()
        for _ in range(1 + RETRIES):
            (await resume(server, emitted, first=first)).cut()
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path


async def test_a_fresh_conversation_in_which_something_is_said_may_be_lost_again(
    make_model, server
):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, first, emitted):
        peers = [first]
        for number in range(2, 6):
            peers[-1].cut()
            await (await server.accept()).close(4800)
            peers.append(await server.accept())
            await peers[-1].open_conversation(f"conv_{number}")
            await emitted.next("session_reconnected")
            await settle(peers[-1], emitted)


@pytest.mark.parametrize("code", [4800, 4801])
async def test_fresh_conversations_that_bring_nothing_end(code, make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        peer.cut()
        refused = await server.accept()
        await refused.close(code)
        fresh = await server.accept()
        await fresh.open_conversation("conv_2")
        await emitted.next("session_reconnected")
        fresh.cut()
        await (await server.accept()).close(code)
        await ends(emitted)
    assert server.handshakes == 4


async def test_a_whole_turn_makes_an_attempt_a_success_and_half_of_one_does_not(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        peer.cut()
        for _ in range(2 * RETRIES):
            resumed = await resume(server, emitted)
            await resumed.speak("Where were we?")
            await emitted.state("speaking")
            await emitted.state("ready")
            resumed.cut()
        for _ in range(1 + RETRIES):
            resumed = await resume(server, emitted)
            await resumed.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"", "We"))
            await emitted.state("speaking")
            resumed.cut()
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path


async def test_a_connection_that_held_for_a_while_was_a_success(make_model, server, monkeypatch):
    monkeypatch.setattr(timers, "PROVED_AFTER", 0.0)
    async with conversation(make_model(conn_options=AT_ONCE), server) as (_, peer, emitted):
        peer.cut()
        for _ in range(3 * RETRIES):
            (await resume(server, emitted)).cut()


async def test_a_service_that_refuses_between_resumes_is_given_up_too(make_model, server):
    async with conversation(make_model(conn_options=AT_ONCE), server) as (session, peer, emitted):

        def refuse(change):
            if change.new == "reconnecting":
                server.refuse = 503

        peer.cut()
        resumed = await resume(server, emitted)
        session.on("state_changed", refuse)
        resumed.cut()
        await ends(emitted)
    # The conversation, its resume; then attempts to resume it and one for a fresh conversation.
    assert server.handshakes == 2 + RETRIES + 1


async def test_without_retries_a_lost_conversation_is_still_resumed_once(make_model, server):
    once = APIConnectOptions(max_retry=0, retry_interval=0, timeout=5)
    async with conversation(make_model(conn_options=once), server) as (_, peer, emitted):
        peer.cut()
        (await resume(server, emitted)).cut()
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path


async def test_a_conversation_that_phonic_has_not_named_begins_afresh(make_model, server):
    model = make_model(conn_options=AT_ONCE)
    session = model.session()
    emitted = Emitted(session)
    try:
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.receive()
        await peer.send(phonic.ReadyToStartConversation())
        await emitted.state("ready")
        peer.cut()
        fresh = await server.accept()
        assert "reconnect_conv_id" not in fresh.path
        await fresh.open_conversation()
        await emitted.next("session_reconnected")
    finally:
        await session.aclose()


def pauses(machine: SessionMachine, lost: events.ConnectionClosed) -> list[float]:
    """Between the loss of a connection and the next attempt, while resumes bring nothing."""
    found: list[float] = []
    while (step := machine.step(lost)).target is State.reconnecting:
        for effect in step.effects:
            match effect:
                case effects.StartTimer(timers.RETRY_DUE, seconds):
                    found.append(seconds)
                    machine.step(events.RetryDue())
                case effects.Connect():
                    found.append(0.0)
        machine.step(events.ConnectionOpened())
        machine.step(phonic.ConversationReconnected())
    return found


def test_the_pauses_grow():
    machine = conversing(Settings(id_seed="seed", max_retries=3, retry_interval=2.0))
    lost = events.ConnectionClosed(1006)
    assert pauses(machine, lost) == [0.0, 0.5, 1.0, 2.0]
