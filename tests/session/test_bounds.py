"""Nothing grows without end, and nobody waits for somebody else's flood."""

from __future__ import annotations

import asyncio

import pytest
from support.scripted import SILENCE, conversation, read, settle

from phonic_fsm import State
from phonic_fsm._core import effects, events, states
from phonic_fsm._core.context import Settings
from phonic_fsm._core.guards import MAX_PENDING_CALLS, MAX_TURN_SECONDS
from phonic_fsm._core.history import Message
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._core.outgoing import MAX_HELD_MESSAGES
from phonic_fsm._runtime import connection
from phonic_fsm._runtime.socket import READ_BYTES
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.codec import encode

pytestmark = pytest.mark.anyio


@pytest.fixture
def machine() -> SessionMachine:
    """One whose conversation is open."""
    machine = SessionMachine(Settings(id_seed="seed"))
    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=()),
        events.ConnectionOpened(),
        phonic.ConversationCreated("conv_1"),
        phonic.ReadyToStartConversation(),
    ):
        machine.step(event)
    return machine


def warnings(step):
    return [effect.text for effect in step.effects if isinstance(effect, effects.Log)]


def test_a_call_beyond_the_bound_is_not_made(machine):
    for number in range(MAX_PENDING_CALLS):
        machine.step(phonic.ToolCall(f"call_{number}", "look_up"))
    step = machine.step(phonic.ToolCall("one too many", "look_up"))
    assert len(machine.context.calls_in("pending")) == MAX_PENDING_CALLS
    assert "look_up (one too many) is not made" in warnings(step)[0]


def test_messages_beyond_the_bound_are_not_kept_during_an_outage(machine):
    machine.step(events.ConnectionClosed(1006))

    def tell(number):
        message = Message(f"m{number}", "system", "Note.")
        return machine.step(events.UpdateChatContext((events.Addition(None, message),)))

    for number in range(MAX_HELD_MESSAGES):
        assert warnings(tell(number)) == []
    assert "add_system_message is dropped" in warnings(tell("too many"))[0]
    assert len(machine.context.held) == MAX_HELD_MESSAGES


def test_a_turn_beyond_the_bound_is_cut_off_and_the_session_lives(machine):
    machine.step(phonic.AssistantStartedSpeaking())
    machine.step(phonic.AudioChunk(bytes(int(MAX_TURN_SECONDS) * 44_100 * 2), "Long "))
    step = machine.step(phonic.AudioChunk(SILENCE, "longer."))
    assert step.target is State.ready
    assert "cut off" in warnings(step)[0]
    assert machine.step(phonic.AudioChunk(SILENCE, "and on.")).effects == []
    machine.step(phonic.AssistantFinishedSpeaking())
    assert machine.step(phonic.AssistantStartedSpeaking()).target is State.speaking


async def test_a_message_that_is_too_long_is_named_and_the_conversation_resumed(
    make_model, server, monkeypatch
):
    monkeypatch.setattr(connection, "MAX_MESSAGE_BYTES", 2**20)
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send_raw('{"type":"warning","warning":{"message":"' + "x" * 2**20 + '"}}')
        error = await emitted.next("error")
        assert error.recoverable
        assert "a message of over 1 MiB" in str(error.error)
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")


async def add_system_message(session, text):
    context = session.chat_ctx
    context.add_message(role="system", content=text)
    await session.update_chat_ctx(context)


async def test_a_socket_that_takes_nothing_is_given_up_and_nothing_is_lost(
    make_model, server, monkeypatch, caplog
):
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.2)
    async with conversation(make_model(), server) as (session, peer, emitted):
        peer._socket.transport.pause_reading()
        text = "x" * 2**19
        for number in range(24):
            await add_system_message(session, f"{number} {text}")
        await emitted.state("reconnecting")
        peer._socket.transport.resume_reading()
        told = []
        while (message := await peer.receive()) is not None:
            told.append(message.system_message)
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        while len(told) < 24:
            told.append((await resumed.expect(client.AddSystemMessage)).system_message)
        assert told == [f"{number} {text}" for number in range(24)]
    assert "no answer to a ping within 0.2 s" in caplog.text


async def test_settings_that_did_not_leave_do_not_undo_newer_ones(make_model, server, monkeypatch):
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.2)
    async with conversation(make_model(), server) as (session, peer, emitted):
        peer._socket.transport.pause_reading()
        for _ in range(12):
            await add_system_message(session, "x" * 2**19)
        await session.update_instructions("Be brief.")
        await emitted.state("reconnecting")
        await session.update_instructions("Be loud.")
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        session.set_external_id("last")
        peer.cut()
        assert await resumed.receive() == client.UpdateSystemPrompt("Be loud.")
        while isinstance(message := await resumed.receive(), client.AddSystemMessage):
            pass
        assert message == client.SetExternalId("last"), "and the older prompt is not among them"


async def test_a_connection_that_answers_no_ping_is_given_up(
    make_model, server, monkeypatch, caplog
):
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.2)
    async with conversation(make_model(), server) as (_, peer, emitted):
        peer._socket.transport.pause_reading()
        await emitted.state("reconnecting")
        peer.cut()
    assert "no answer to a ping within 0.2 s" in caplog.text


async def test_a_burst_of_messages_leaves_others_their_turn(make_model, server):
    shares = 20
    payload = encode(phonic.InputCancelled())
    frame = b"\x81" + bytes([len(payload)]) + payload

    async with conversation(make_model(), server) as (_, peer, emitted):
        turns = 0
        finished = asyncio.Event()

        async def other() -> None:
            nonlocal turns
            while not finished.is_set():
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        peer._socket.transport.write(frame * (shares * READ_BYTES // len(frame)))
        await settle(peer, emitted)
        finished.set()
        await task
    assert turns >= shares


async def test_a_state_that_lasts_too_long_is_named_with_what_is_awaited(
    make_model, server, monkeypatch, caplog
):
    monkeypatch.setitem(states.LONGEST, State.tool_pending, 0.02)
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.ToolCall("c1", "look_up"))
        await read(await emitted.next("generation_created"))
        while "has been in tool_pending for" not in caplog.text:
            await settle(peer, emitted)
        assert "the output of look_up (c1)" in caplog.text
        assert session.state is State.tool_pending


async def test_a_state_that_may_last_is_not_named(make_model, server, monkeypatch, caplog):
    monkeypatch.setitem(states.LONGEST, State.config_sent, 0.0)
    async with conversation(make_model(), server) as (session, peer, emitted):
        caplog.clear()
        for _ in range(20):
            await settle(peer, emitted)
        assert session.state is State.ready
    assert "has been in" not in caplog.text
