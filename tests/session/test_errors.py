"""Errors that Phonic reports, frames that cannot be read, and what others do wrong."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

import anyio
import pytest
from livekit import rtc
from livekit.agents import APIError, llm
from support.receptionist import call
from support.scripted import PATIENCE, SILENCE, Impatient, conversation, read, settle, started
from support.states import session_in

from phonic_fsm import ConfigurationRefused, ConversationEnded, PhonicError, SessionBroke, State
from phonic_fsm._core import effects
from phonic_fsm._core.events import name_of
from phonic_fsm._core.states import CONVERSING
from phonic_fsm._runtime.log import BURST
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.trace import replay

pytestmark = pytest.mark.anyio


async def test_an_error_of_phonics_is_announced_with_all_it_says(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.Error(
                phonic.Problem("Cannot do that.", "invalid_params"), {"tools.0.name": "is taken"}
            )
        )
        event = await emitted.next("error")
        assert isinstance(event, llm.RealtimeModelError)
        assert event.recoverable is True
        assert event.label == session.realtime_model.label
        assert isinstance(event.error, PhonicError)
        assert isinstance(event.error, APIError)
        assert event.error.body == {
            "code": "invalid_params",
            "param_errors": {"tools.0.name": "is taken"},
        }
        for part in ("Cannot do that.", "tools.0.name", "is taken"):
            assert part in str(event.error)


async def test_the_session_lives_on_after_an_error(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.Error(phonic.Problem("Cannot do that.")))
        await emitted.next("error")
        assert session.state is State.ready
        await peer.speak("Hello.")
        assert (await read(await emitted.next("generation_created"))).text == "Hello."


@pytest.mark.parametrize("reason", ["", "an error has occurred"])
async def test_an_error_that_a_close_follows_ends_the_session_with_what_phonic_said(
    reason, make_model, server
):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.Error(phonic.Problem("It broke.", "broken"), {"a": "b"}))
        assert (await emitted.next("error")).recoverable is True
        await peer.close(1011, reason)
        event = await emitted.next("error")
        await emitted.state("closed")
    assert event.recoverable is False
    assert isinstance(event.error, PhonicError)
    assert event.error.body == {"code": "broken", "param_errors": {"a": "b"}}
    for part in ("It broke.", "then Phonic closed the connection", "1011", reason):
        assert part in str(event.error)


async def refuse_instructions(session, peer, _):
    await session.update_instructions("Be brief.")
    await peer.expect(client.UpdateSystemPrompt)
    await peer.send(phonic.Error(phonic.Problem("update_system_prompt is deprecated")))
    await peer.expect(client.AddSystemMessage)
    return "Be brief."


async def refuse_output(session, peer, emitted):
    await peer.send(phonic.ToolCall("c1", "look_up_weather", {}))
    await read(await emitted.next("generation_created"))
    context = session.chat_ctx
    context.items.append(llm.FunctionCallOutput(call_id="c1", output="sunny", is_error=False))
    await session.update_chat_ctx(context)
    await peer.expect(client.ToolCallOutput)
    await peer.send(phonic.Error(phonic.Problem("no call 'c1' is waiting")))
    await peer.expect(client.AddSystemMessage)
    return "sunny"


@pytest.mark.parametrize("refuse", [refuse_instructions, refuse_output])
async def test_a_close_for_what_was_said_in_another_way_does_not_end_the_call(
    refuse, make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        told = await refuse(session, peer, emitted)
        await peer.close(1011)
        error = await emitted.next("error")
        assert error.recoverable is True
        assert "starting afresh" in str(error.error)
        fresh = await server.accept()
        assert told in (await fresh.expect(client.Config)).system_prompt
        await fresh.send(phonic.ReadyToStartConversation())
        await emitted.next("session_reconnected")
        await fresh.close(1011)
        assert (await emitted.next("error")).recoverable is False
        await emitted.state("closed")


@pytest.mark.parametrize("said", ["by the caller", "by the assistant", "by Phonic: it goes on"])
async def test_an_error_after_which_something_was_said_is_not_why_the_call_ends(
    said, make_model, server
):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.Error(phonic.Problem("It broke.")))
        await emitted.next("error")
        last = peer
        if said == "by the caller":
            await peer.send(phonic.InputText("Goodbye."))
        elif said == "by Phonic: it goes on":
            peer.cut()
            await emitted.next("error")
            last = await server.accept()
            await last.send(phonic.ConversationReconnected())
        else:
            await peer.speak("Goodbye.")
        await last.close(1000)
        event = await emitted.next("error")
        assert isinstance(event.error, ConversationEnded)
        assert "It broke." not in str(event.error)


async def test_an_agent_session_goes_on_after_an_error_in_mid_call(make_model, server):
    async with call(make_model(), server) as (session, peer, seen):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One "))
        await peer.send(phonic.Error(phonic.Problem("Cannot do that.")))
        await peer.send(phonic.AudioChunk(SILENCE, "two."), phonic.AssistantFinishedSpeaking())
        assert (await seen.message("assistant")).text_content == "One two."
        handle = session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.speak("Still here.")
        with anyio.fail_after(PATIENCE):
            await handle.wait_for_playout()
        assert seen.closed.empty()


async def test_an_error_in_answer_to_the_config_ends_the_session(make_model, server):
    async with started(make_model()) as (session, emitted):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.expect(client.Config)
        await peer.send(
            phonic.Error(phonic.Problem("Invalid config.", "bad_config"), {"voice_id": "unknown"})
        )
        event = await emitted.next("error")
        assert event.recoverable is False
        assert isinstance(event.error, ConfigurationRefused)
        assert event.error.body == {
            "code": "bad_config",
            "param_errors": {"voice_id": "unknown"},
        }
        assert "voice_id" in str(event.error)
        await emitted.state("closed")
        assert await peer.receive() is None
    assert server.handshakes == 1


async def test_a_warning_is_logged(make_model, server, caplog):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.Warning(phonic.Problem("Running hot.", "hot")))
        assert await settle(peer, emitted) == []
    [record] = [record for record in caplog.records if "Running hot." in record.getMessage()]
    assert record.levelno == logging.WARNING


TOOL_CALL = '{"type":"tool_call","tool_call_id":"c","tool_name":"t","parameters":{"x":%s}}'


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ('{"type":"brand_new","x":1}', ["brand_new"]),
        ('{"type":"input_text","text":', ["cannot be read"]),
        ('{"type":"input_text"}', ["input_text", "text"]),
        ('{"type":"input_text","text":7}', ["input_text", "$.text"]),
        ('{"type":"audio_chunk","audio":"***","text":"x"}', ["audio_chunk", "$.audio"]),
        ('{"type":"tool_call","tool_call_id":"c"}', ["tool_call", "tool_name"]),
        ('{"text":"no type"}', ["type"]),
        ("[]", ["cannot be read"]),
        ("", ["cannot be read"]),
        ("[" * 100_000, ["cannot be read"]),
        (b"\x00\xff\xfe", ["cannot be read"]),
        ('{"type":"input_text","text":"\\ud800"}', ["cannot be read"]),
        ("7", ["cannot be read"]),
        ('"ready_to_start_conversation"', ["cannot be read"]),
        ('{"type":"dtmf","digits":"1","timings":{"a":NaN}}', ["cannot be read"]),
        ('{"type":"dtmf","digits":"1","timings":{"a":1e999}}', ["dtmf", "$.timings"]),
        (TOOL_CALL % ("9" * 5_000), ["tool_call", "$.parameters"]),
        (TOOL_CALL % ('{"a":' * 500 + "1" + "}" * 500), ["tool_call", "levels deep"]),
        (b'{"type":"input_text","text":"\xed\xa0\x80"}', ["input_text", "utf-8"]),
    ],
    ids=[
        "unknown type",
        "cut off",
        "missing field",
        "wrong type",
        "bad base64",
        "missing tool name",
        "no type",
        "no object",
        "empty",
        "deep",
        "binary",
        "lone surrogate",
        "number",
        "string",
        "not a number",
        "infinite",
        "huge number",
        "deep parameters",
        "wrong UTF-8",
    ],
)
async def test_a_frame_that_cannot_be_read_is_logged_once_recorded_and_dropped(
    frame, said, make_model, server, *, caplog, tmp_path
):
    caplog.set_level(logging.DEBUG, "phonic_fsm")
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (session, peer, emitted):
        await peer.send_raw(frame)
        assert await settle(peer, emitted) == []
        assert session.state is State.ready
        await peer._socket.send(frame, text=True)
        assert await settle(peer, emitted) == []
        assert session.state is State.ready
    lines = [record.getMessage() for record in caplog.records if record.name == "phonic_fsm"]
    assert len([line for line in lines if all(part in line for part in said)]) == 2
    steps = list(replay(path))
    dropped = [step.line for step in steps if step.line.event["type"] in UNDECODABLE]
    assert [{effect["type"] for effect in line.effects} for line in dropped] == [{"log"}, {"log"}]
    assert all(step.difference is None for step in steps)


UNDECODABLE = ("unknown_message", "malformed_message")


@pytest.mark.parametrize(
    "state", ["awaiting_inputs", "config_sent", *CONVERSING, "reconnecting"], ids=str
)
async def test_every_message_may_come_in_every_state(state, make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    make = partial(make_model, trace=path)
    async with session_in(str(State(state).value), make, server) as (session, emitted, former):
        received = asyncio.Queue()
        session.on("phonic_server_event_received", received.put_nowait)
        peer = await server.accept() if state == "reconnecting" else former
        for message in EVERY_MESSAGE:
            await peer.send(message)
            with anyio.fail_after(PATIENCE):
                assert (await received.get())["type"] == name_of(message)
        assert session.state is not State.closed
        assert {payload.recoverable for name, payload in emitted.rest() if name == "error"} <= {
            True
        }
        if state == "awaiting_inputs":
            await session._update_session(instructions="Be kind.", tools=[])
            await peer.open_conversation()
        else:
            await peer.send(phonic.UserFinishedSpeaking())
        await peer.send(phonic.InputText("Still there?"))
        await emitted.next("input_audio_transcription_completed")
    assert all(step.difference is None for step in replay(path))


EVERY_MESSAGE = (
    phonic.ConversationReconnected(),
    phonic.UserFinishedSpeaking(),
    phonic.AssistantFinishedSpeaking(),
    phonic.InterruptedResponse("Well"),
    phonic.ToolCallInterrupted("nobody"),
    phonic.ToolCallOutputProcessed(tool_call_id="nobody"),
    phonic.AssistantChoseNotToRespond(),
    phonic.InputCancelled(),
    phonic.Dtmf("#"),
    phonic.AudioChunk(SILENCE, "Well"),
    phonic.UserStartedSpeaking(),
    phonic.UserStartedSpeaking(),
    phonic.ToolCall("c9", "nobodys_tool", None),
    phonic.AssistantStartedSpeaking(),
    phonic.AssistantStartedSpeaking(),
    phonic.AudioChunk(None, None),
    phonic.ConversationCreated("conv_1"),
    phonic.ReadyToStartConversation(),
    phonic.InputText(""),
    phonic.Warning(phonic.Problem("")),
)
"""All but those that end a conversation."""


async def test_a_flood_of_unreadable_frames_does_not_flood_the_log(make_model, server, caplog):
    async with conversation(make_model(), server) as (session, peer, emitted):
        for _ in range(30):
            await peer.send_raw('{"type":"input_text"}')
        await settle(peer, emitted)
        assert session.state is State.ready
    warnings = [line for line in caplog.text.splitlines() if "cannot be read" in line]
    assert len(warnings) == BURST
    assert "input_text" in warnings[0]
    assert "`text`" in warnings[0]
    assert "only one is written every" in warnings[-1]


async def awaited(call, session):
    result = call(session)
    return await result if asyncio.iscoroutine(result) else result


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.update_instructions(None), "instructions must be str, got NoneType"),
        (lambda s: s.update_tools("all"), "tools must be list, got str"),
        (lambda s: s.update_chat_ctx([]), "chat_ctx must be ChatContext, got list"),
        (lambda s: s.generate_reply(instructions=5), "instructions must be str, got int"),
        (lambda s: s.say(5), "text must be str or AsyncIterable, got int"),
        (lambda s: s.push_audio(b""), "frame must be AudioFrame, got bytes"),
        (lambda s: s.set_external_id(""), "external_id"),
        (lambda s: s.remember(object()), "remember: the value is no JSON value"),
    ],
)
async def test_a_wrong_argument_is_named_at_the_call(call, says, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        with pytest.raises((TypeError, ValueError), match=says):
            await awaited(call, session)
        assert await settle(peer, emitted) == []
        assert session.state is State.ready


async def test_fields_that_are_not_known_are_passed_over(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send_raw('{"type":"input_text","text":"Hi.","mood":{"happy":true}}')
        event = await emitted.next("input_audio_transcription_completed")
        assert event.transcript == "Hi."


@pytest.mark.parametrize("error", [RuntimeError, TypeError])
@pytest.mark.parametrize(
    "name", ["generation_created", "input_speech_started", "state_changed", "error"]
)
async def test_a_listener_that_raises_does_not_hurt(name, error, make_model, server):
    def listener(_):
        raise error("from a listener")

    async with conversation(make_model(), server) as (session, peer, emitted):
        session.on(name, listener)
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.send(phonic.Error(phonic.Problem("Cannot do that.")))
        await peer.speak("Hello.")
        assert (await read(await emitted.next("generation_created"))).text == "Hello."
        await settle(peer, emitted)
        assert session.state is State.ready


async def test_a_listener_that_takes_long_delays_and_loses_nothing(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        for name in ("generation_created", "state_changed", "phonic_server_event_received"):
            session.on(name, lambda _: time.sleep(0.005))
        words = [f"word {number} " for number in range(20)]
        await peer.speak(*words)
        heard = await read(await emitted.next("generation_created"))
        assert (heard.text, heard.audio) == ("".join(words), SILENCE * 20)
        await settle(peer, emitted)
        assert session.state is State.ready


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("push_video", lambda session: session.push_video(VIDEO)),
        (
            "truncate",
            lambda session: session.truncate(message_id="m", modalities=["audio"], audio_end_ms=10),
        ),
        ("tool_choice", lambda session: session.update_options(tool_choice="required")),
        ("tool_choice", lambda session: session.generate_reply(tool_choice="none")),
    ],
)
async def test_a_call_that_is_not_supported_warns_and_does_not_raise(
    name, call, make_model, server, caplog
):
    async with conversation(make_model(), server) as (session, _, _):
        call(session)
        assert session.state is State.ready
    assert [
        record
        for record in caplog.records
        if record.levelno == logging.WARNING and name in record.getMessage()
    ]


@pytest.mark.parametrize("tool_choice", [None, "auto"])
async def test_the_tool_choice_that_phonic_has_anyway_warns_of_nothing(
    tool_choice, make_model, server, caplog
):
    async with conversation(make_model(), server) as (session, _, _):
        session.update_options(tool_choice=tool_choice)
    assert "tool_choice" not in caplog.text


VIDEO: rtc.VideoFrame = rtc.VideoFrame(2, 2, rtc.VideoBufferType.RGBA, bytes(16))

LONE_SURROGATE = "caf\udce9"


async def test_text_that_utf8_cannot_hold_does_not_end_the_session(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.ToolCall("c1", "read_file"))
        await read(await emitted.next("generation_created"))
        context = session.chat_ctx
        context.items.append(
            llm.FunctionCallOutput(call_id="c1", output=LONE_SURROGATE, is_error=False)
        )
        await session.update_chat_ctx(context)
        message = await peer.expect(client.ToolCallOutput)
        assert message.output.startswith("caf")
        await peer.speak("Done.")
        await emitted.next("generation_created")


async def test_history_that_utf8_cannot_hold_does_not_end_the_session(make_model, server):
    async with started(make_model()) as (session, emitted):
        await session.update_chat_ctx(
            llm.ChatContext([llm.ChatMessage(role="user", content=[LONE_SURROGATE])])
        )
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        config = await peer.open_conversation()
        assert "caf" in config.system_prompt
        await emitted.state("ready")


async def test_text_that_utf8_cannot_hold_does_not_end_a_recorded_session(
    make_model, server, tmp_path
):
    async with conversation(make_model(trace=tmp_path), server) as (session, peer, emitted):
        session.say(LONE_SURROGATE)
        assert (await peer.expect(client.Say)).text.startswith("caf")
        await peer.send(phonic.AudioChunk(SILENCE, "Hm."), phonic.AssistantFinishedSpeaking())
        await emitted.next("generation_created")


async def test_a_fault_in_the_sessions_task_ends_it_aloud(make_model, server, caplog):
    async with conversation(make_model(), server) as (session, peer, emitted):

        def fail(_):
            raise LookupError("a fault")

        session._runtime._perform[effects.PushText] = fail
        reply = session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.AudioChunk(SILENCE, "Hello."))
        error = await emitted.next("error")
        assert isinstance(error.error, SessionBroke)
        assert error.recoverable is False
        await emitted.state("closed")
        await read(await reply)
    assert "the Phonic session broke" in caplog.text


async def test_a_fault_in_a_timers_step_ends_it_aloud(make_model, server, caplog):
    async with conversation(Impatient(make_model()), server) as (session, _, emitted):

        def fail(_):
            raise LookupError("a fault")

        session._runtime._perform[effects.RejectReply] = fail
        session.generate_reply()
        error = await emitted.next("error")
        assert isinstance(error.error, SessionBroke)
        await emitted.state("closed")
    assert "the Phonic session broke" in caplog.text
