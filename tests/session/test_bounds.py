"""Nothing grows without end, and nobody waits for somebody else's flood."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import llm
from support.machines import conversing
from support.scripted import PATIENCE, SILENCE, conversation, read, settle
from websockets.frames import Frame, Opcode

from phonic_fsm import State
from phonic_fsm._adapter.metrics import MOST_TIMINGS
from phonic_fsm._core import effects, events, states
from phonic_fsm._core.context import Settings
from phonic_fsm._core.guards import (
    MAX_CALLS,
    MAX_PENDING_CALLS,
    MAX_TURN_CHARACTERS,
    MAX_TURN_SECONDS,
)
from phonic_fsm._core.history import FunctionCallOutput, Message
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._core.outgoing import MAX_HELD_MESSAGES
from phonic_fsm._runtime import connection
from phonic_fsm._runtime.outbox import MAX_CONTROL_BYTES
from phonic_fsm._runtime.socket import READ_BYTES
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.codec import encode
from phonic_fsm._wire.facts import public_length
from phonic_fsm.trace._redaction import Redaction

pytestmark = pytest.mark.anyio


@pytest.fixture
def machine() -> SessionMachine:
    """One whose conversation is open."""
    return conversing(Settings(id_seed="seed"))


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


def test_a_turn_of_too_many_words_is_cut_off_and_the_session_lives(machine):
    words = "word " * (MAX_TURN_CHARACTERS // 100)
    machine.step(phonic.AssistantStartedSpeaking())
    while (step := machine.step(phonic.AudioChunk(SILENCE, words))).target is State.speaking:
        assert len(machine.context.generation.text) <= MAX_TURN_CHARACTERS
    assert step.target is State.ready
    assert "cut off" in warnings(step)[0]
    [said] = [item for item in machine.context.history if isinstance(item, Message)]
    assert len(said.text) > MAX_TURN_CHARACTERS / 2
    machine.step(phonic.AssistantFinishedSpeaking())
    assert machine.step(phonic.AssistantStartedSpeaking()).target is State.speaking


def test_a_chunk_of_more_words_than_a_turn_has_is_dropped(machine):
    step = machine.step(phonic.AudioChunk(SILENCE, "x" * (MAX_TURN_CHARACTERS + 1)))
    assert (step.target, len(warnings(step))) == (State.ready, 1)
    step = machine.step(phonic.AudioChunk(SILENCE, "x" * MAX_TURN_CHARACTERS))
    assert step.target is State.speaking


@given(st.text(alphabet=" \na█é"))
def test_a_texts_public_length_is_that_of_its_redaction(text):
    redaction = Redaction(Settings(id_seed="seed"))
    assert len(redaction.private(text)) == public_length(text)
    assert public_length(redaction.private(text)) == public_length(text) >= len(text)


def test_of_outputs_that_are_never_acknowledged_the_newest_are_kept(machine):
    def answer(number):
        [*_, made] = warnings(machine.step(phonic.ToolCall(f"call_{number}", "look_up"))) or [""]
        output = FunctionCallOutput(f"i{number}", f"call_{number}", "look_up", "found")
        machine.step(events.UpdateChatContext((events.Addition(None, output),)))
        machine.step(phonic.AssistantFinishedSpeaking())
        return made

    for number in range(MAX_CALLS):
        assert answer(number) == ""
    assert "the output of call call_0 (look_up) is not sent again" in answer("more")
    assert len(machine.context.calls) == MAX_CALLS
    assert "call_more" in machine.context.calls


async def test_answers_that_nobody_reads_do_not_keep_their_audio(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("Unheard. ")
        generation = await emitted.next("generation_created")
        async for message in generation.message_stream:
            audio = weakref.ref(message.audio_stream)
        del generation, message
        await asyncio.sleep(session._answers.playback.left)  # until it would have been played
        await peer.speak("Unheard, too. ")
        await emitted.next("generation_created")
        await settle(peer, emitted)
        gc.collect()
        assert audio() is None


async def test_of_more_timings_than_phonic_has_a_few_are_told(make_model, server):
    timings = {f"part_{number}": 1.5 for number in range(5 * MOST_TIMINGS)}
    metrics: asyncio.Queue[Any] = asyncio.Queue()
    async with conversation(make_model(), server) as (session, peer, _):
        session.on("metrics_collected", metrics.put_nowait)
        await peer.send(
            phonic.Dtmf("1", timings=timings),
            phonic.AudioChunk(SILENCE, "Well.", timings=timings),
            phonic.AudioChunk(SILENCE, "Well.", timings={"another": 1.5, "part_0": 2.5}),
            phonic.AssistantFinishedSpeaking(),
        )
        with anyio.fail_after(PATIENCE):
            dialled, spoken = await metrics.get(), await metrics.get()
    few = dict(list(timings.items())[:MOST_TIMINGS])
    assert (dialled.timings, spoken.timings) == (few, {**few, "part_0": 2.5})


async def test_a_message_that_is_too_long_is_named_and_the_conversation_resumed(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send_raw("x" * (connection.MAX_MESSAGE_BYTES + 1))
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
        for number in range(12):
            await add_system_message(session, f"{number} {text}")
        await emitted.state("reconnecting")
        peer._socket.transport.resume_reading()
        told = []
        while (message := await peer.receive()) is not None:
            told.append(message.system_message)
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        while len(told) < 12:
            told.append((await resumed.expect(client.AddSystemMessage)).system_message)
        assert told == [f"{number} {text}" for number in range(12)]
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


async def test_a_connection_behind_which_too_much_waits_is_given_up_and_nothing_is_lost(
    make_model, server, monkeypatch, caplog
):
    monkeypatch.setattr(connection, "STALLED", 0.2)
    notes = []
    async with conversation(make_model(), server) as (session, peer, _):
        peer._socket.transport.pause_reading()
        chat = llm.ChatContext.empty()
        while session.state is State.ready:
            notes.append(f"{len(notes)} " + "x" * 2**19)
            chat.add_message(role="system", content=notes[-1])
            await session.update_chat_ctx(chat)
            await asyncio.sleep(0.01)
        assert sum(map(len, notes)) > MAX_CONTROL_BYTES
        peer._socket.transport.resume_reading()
        told = []
        while (message := await peer.receive()) is not None:
            told.append(message.system_message)
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        while len(told) < len(notes):
            told.append((await resumed.expect(client.AddSystemMessage)).system_message)
        assert told == notes
    assert "it takes no data for 0.2 s, and over 8 MiB of messages wait" in caplog.text


async def test_a_flood_of_pings_fills_no_memory_and_the_last_one_is_answered(make_model, server):
    ping = Frame(Opcode.PING, b"x" * 100).serialize(mask=False)
    async with conversation(make_model(), server) as (session, peer, emitted):
        transport = session._runtime._connection._socket.transport
        # The server reads nothing, and the kernel takes no more.
        peer._socket.transport.pause_reading()
        chat = llm.ChatContext.empty()
        while transport.get_write_buffer_size() == 0:
            chat.add_message(role="system", content="x" * 2**19)
            await session.update_chat_ctx(chat)
        peer._socket.transport.write(ping * 20_000)
        waiting = []
        session.on("state_changed", lambda _: waiting.append(transport.get_write_buffer_size()))
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await emitted.state("ready")
        assert min(waiting) > 0, "the pings came while nothing could be written"
        assert max(waiting) - min(waiting) < 1_000
        answered = await peer._socket.ping(b"last")
        peer._socket.transport.resume_reading()
        for _ in chat.items:
            await peer.expect(client.AddSystemMessage)
        with anyio.fail_after(PATIENCE):
            await answered


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
