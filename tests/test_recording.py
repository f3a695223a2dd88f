"""Recording sessions, as far as the model's user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import KEY
from livekit.agents import function_tool, llm
from scripted import SILENCE, conversation, read, settle

from phonic_fsm.trace.reader import TraceReader
from phonic_fsm.trace.replay import replay
from phonic_fsm.wire import client
from phonic_fsm.wire import server as phonic

pytestmark = pytest.mark.anyio


@function_tool
async def look_up_weather(city: str) -> str:
    """Look the weather up."""
    return city


def lines_of(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def test_every_session_gets_a_file_of_its_own_in_a_directory(make_model, server, tmp_path):
    model = make_model(trace=tmp_path / "traces" / "")
    model_with_slash = make_model(trace=f"{tmp_path}/traces/")
    async with conversation(model_with_slash, server):
        pass
    async with conversation(model, server), conversation(model, server):
        pass
    assert len(list((tmp_path / "traces").iterdir())) == 3


async def test_a_path_is_the_file_itself(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=str(path)), server):
        pass
    header, first, *_, last = lines_of(path)
    assert header["trace"] == "phonic-fsm"
    assert (first["seq"], first["event"]["type"]) == (1, "open")
    assert (last["event"]["type"], last["to"]) == ("close", "closed")


async def test_a_file_that_is_there_is_never_touched(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    path.write_text("something else")
    model = make_model(trace=path)
    for _ in range(2):
        async with conversation(model, server):
            pass
    assert path.read_text() == "something else"
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "call-2.jsonl",
        "call-3.jsonl",
        "call.jsonl",
    ]


async def test_the_environment_turns_recording_on(make_model, server, tmp_path, monkeypatch):
    monkeypatch.setenv("PHONIC_FSM_TRACE", str(tmp_path))
    async with conversation(make_model(), server):
        pass
    assert len(list(tmp_path.iterdir())) == 1


async def test_none_records_nothing_whatever_the_environment_says(
    make_model, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("PHONIC_FSM_TRACE", str(tmp_path))
    async with conversation(make_model(trace=None), server):
        pass
    assert list(tmp_path.iterdir()) == []


async def whole_call(make_model, server, trace):
    """A session that has seen turns, a call, a handoff, trouble, a resume and its end."""
    model = make_model(trace=trace, phonic_tools=["web_search"], boosted_keywords=["LiveKit"])
    async with conversation(model, server, tools=[look_up_weather]) as (session, peer, emitted):
        await peer.speak("Good ", "morning.")
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.send(phonic.InputText("Is it sunny?"))
        await peer.send_raw('{"type":"brand_new"}')
        await peer.send_raw("not JSON")
        await peer.send(phonic.Error(phonic.Problem("Oh.", "oh"), {"a": "b"}))
        await peer.send(phonic.ToolCall("c1", "look_up_weather", {"city": "Rome", "n": [1, None]}))
        await emitted.state("tool_pending")
        context = session.chat_ctx
        context.items.append(llm.FunctionCallOutput(call_id="c1", output="yes", is_error=False))
        await session.update_chat_ctx(context)
        await peer.expect(client.ToolCallOutput)
        await peer.send(
            phonic.ToolCallOutputProcessed(
                tool_call_id="c1", tool=phonic.CalledTool("t", "look_up_weather"), output={"x": 1}
            )
        )
        await peer.speak("It is.")
        await settle(peer, emitted)
        session.generate_reply(instructions="Go on.")
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"\1\0\5", "So"))
        await emitted.state("speaking")
        session.interrupt()
        await session._update_session(
            instructions="You listen.", chat_ctx=session.chat_ctx, tools=[]
        )
        await peer.expect(client.Reset)
        peer.cut()
        await emitted.state("reconnecting")
        session.say("Are you there?").cancel()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        await resumed.send(phonic.AssistantEndedConversation())
        await emitted.state("closed")


async def test_a_recorded_session_replays_to_identical_steps(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    await whole_call(make_model, server, path)
    steps = list(replay(path))
    assert [step.difference for step in steps] == [None] * len(steps)
    assert len(steps) == len(lines_of(path)) - 1
    assert {step.step.target.value for step in steps} >= {
        "config_sent",
        "ready",
        "listening",
        "speaking",
        "tool_pending",
        "reconnecting",
        "closed",
    }


async def test_a_replay_stops_where_the_machine_does_something_else(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    await whole_call(make_model, server, path)
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(path.read_bytes().replace(b'"text":"Good "', b'"text":"Bad "', 1))
    *same, last = replay(changed)
    assert [step.difference for step in same] == [None] * len(same)
    assert (last.difference.expected, last.difference.got) == ("Good ", "Bad ")


async def test_neither_key_nor_samples_are_recorded(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    sample = b"\x12\x34" * 480
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        await peer.speak("Hm.", audio=sample)
        await read(await emitted.next("generation_created"))
    assert KEY.encode() not in path.read_bytes()
    [chunk] = [line for line in lines_of(path) if line.get("event", {}).get("type") == AUDIO]
    assert chunk["event"]["audio"]["bytes"] == len(sample)
    assert b"EjQSNBI0" not in path.read_bytes()


@pytest.mark.timeout(10)
async def test_a_target_that_cannot_be_written_costs_the_trace_not_the_call(
    make_model, server, tmp_path, caplog
):
    (tmp_path / "file").write_text("")
    model = make_model(trace=tmp_path / "file" / "call.jsonl")
    async with conversation(model, server) as (_, peer, emitted):
        await peer.speak("Hello.")
        assert (await read(await emitted.next("generation_created"))).text == "Hello."
    assert "no trace is recorded" in caplog.text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
async def test_a_full_disk_costs_the_trace_not_the_call(make_model, server, tmp_path, caplog):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (session, peer, emitted):
        recorder = session._runtime._recorder
        full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115, ASYNC230 - closed below
        recorder._file.close()
        recorder._file = full
        await peer.speak("Hello.")
        assert (await read(await emitted.next("generation_created"))).text == "Hello."
        assert full.closed
    assert "ends here" in caplog.text


async def test_a_step_is_in_the_file_as_soon_as_it_is_done(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well"))
        await settle(peer, emitted)
        steps = list(TraceReader(path))
        assert steps[-1].event == {"type": "input_text", "text": "(marker)", "language": None}


AUDIO = "audio_chunk"

CRASH = """
import asyncio, os, sys
from scripted import PhonicServer, conversation
from phonic_fsm import RealtimeModel

async def main():
    async with PhonicServer() as server:
        model = RealtimeModel(api_key="key", base_url=server.url, trace=sys.argv[1])
        async with conversation(model, server):
            os._exit(9)

asyncio.run(main())
"""


def test_what_was_recorded_before_a_crash_can_be_read(tmp_path):
    path = tmp_path / "call.jsonl"
    crashed = subprocess.run(
        [sys.executable, "-c", CRASH, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=50,
        check=False,
    )
    assert crashed.returncode == 9
    *_, last = replay(path)
    assert last.difference is None
    assert last.step.target.value == "ready"


async def test_the_values_of_headers_are_masked_wherever_they_go(make_model, server, tmp_path):
    def endpoint(token):
        return {"url": "https://example.com", "headers": {"Authorization": token}}

    path = tmp_path / "call.jsonl"
    model = make_model(trace=path, configuration_endpoint=endpoint("secret-1"))
    async with conversation(model, server) as (session, peer, _):
        session.update_options(configuration_endpoint=endpoint("secret-2"), voice="ben")
        reset = await peer.expect(client.Reset)
        assert reset.config.configuration_endpoint == endpoint("secret-2")
    assert "secret" not in path.read_text()
    assert path.read_text().count('"Authorization":"***"') == 4, "header, config, event and reset"
    assert all(step.difference is None for step in replay(path))
