"""Recording sessions, as far as the model's user sees it."""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import threading
import time
import wave
from types import SimpleNamespace
from typing import Any, cast

import anyio
import numpy as np
import pytest
from livekit import rtc
from livekit.agents import job as livekit_job
from support import processes
from support.recorded import lines_of, whole_call
from support.scripted import KEY, PATIENCE, SILENCE, conversation, read, settle

from phonic_fsm import RealtimeModel, State, TraceLimits
from phonic_fsm._core import events
from phonic_fsm._core.machine import Step
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import End, TraceError, TraceReader, _writer, replay
from phonic_fsm.trace._audio import SideAudio
from phonic_fsm.trace._masking import Masking

pytestmark = pytest.mark.anyio


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


async def test_a_recorded_session_replays_to_identical_steps(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    await whole_call(make_model, server, path)
    steps = list(replay(path))
    assert [step.difference for step in steps] == [None] * len(steps)
    assert [step.line for step in steps] == list(TraceReader(path))
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
    changed.write_bytes(path.read_bytes().replace(b'"Good morning."', b'"Bad morning."', 1))
    *same, last = replay(changed)
    assert [step.difference for step in same] == [None] * len(same)
    assert (last.difference.expected, last.difference.got) == ("Bad morning.", "Good morning.")


async def test_neither_key_nor_samples_are_recorded(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    sample = b"\x12\x34" * 480
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        await peer.speak("Hm.", audio=sample)
        await read(await emitted.next("generation_created"))
    assert KEY.encode() not in path.read_bytes()
    [chunk] = [line.event for line in TraceReader(path) if line.event["type"] == AUDIO]
    assert chunk["audio"]["bytes"] == len(sample)
    assert b"EjQSNBI0" not in path.read_bytes()


async def test_a_target_that_cannot_be_written_costs_the_trace_not_the_call(
    make_model, server, tmp_path, caplog
):
    (tmp_path / "file").write_text("")
    model = make_model(trace=tmp_path / "file" / "call.jsonl")
    async with conversation(model, server) as (_, peer, emitted):
        await peer.speak("Hello.")
        assert (await read(await emitted.next("generation_created"))).text == "Hello."
    assert "no trace is recorded" in caplog.text


FULL_DISK = """
import resource, sys
from support.clock import PatientLoop
from support.scripted import PhonicServer, conversation, read
from phonic_fsm import RealtimeModel

async def main():
    async with PhonicServer() as server:
        model = RealtimeModel(api_key="key", base_url=server.url, trace=sys.argv[1])
        async with conversation(model, server) as (_, peer, emitted):
            # No file of this process may grow any more: as a full disk, to whoever writes.
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
            await peer.speak("Hello.")
            print((await read(await emitted.next("generation_created"))).text)

PatientLoop().run_until_complete(main())
"""


def python(script, *arguments):
    path = os.pathsep.join(filter(None, sys.path))
    return processes.run(sys.executable, "-c", script, *arguments, env={"PYTHONPATH": path})


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_costs_the_trace_not_the_call(tmp_path):
    path = tmp_path / "call.jsonl"
    result = python(FULL_DISK, path)
    assert result.stdout == "Hello.\n"
    assert f"the trace {path} ends here: [Errno 27] File too large" in result.stderr
    assert "Traceback" not in result.stderr


async def test_what_has_happened_can_be_read_while_the_session_goes_on(
    make_model, server, tmp_path
):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well"))
        await settle(peer, emitted)
        await until(lambda: path.exists() and b"(marker)" in path.read_bytes())
        steps = list(TraceReader(path))
        assert steps[-1].event == {"type": "input_text", "text": "(marker)"}


async def until(is_so):
    with anyio.fail_after(PATIENCE):
        # A file says nothing by itself when it grows.
        while not is_so():  # noqa: ASYNC110
            await anyio.sleep(0.005)


AUDIO = "audio_chunk"

CRASH = """
import asyncio, os, sys
from pathlib import Path
from support.clock import PatientLoop
from support.scripted import PhonicServer, conversation
from phonic_fsm import RealtimeModel

async def main():
    async with PhonicServer() as server:
        model = RealtimeModel(api_key="key", base_url=server.url, trace=sys.argv[1])
        async with conversation(model, server):
            trace = Path(sys.argv[1])
            while not (trace.exists() and b'"to":"ready"' in trace.read_bytes()):
                await asyncio.sleep(0.005)
            os._exit(9)

PatientLoop().run_until_complete(main())
"""


def test_what_was_recorded_before_a_crash_can_be_read(tmp_path):
    path = tmp_path / "call.jsonl"
    crashed = python(CRASH, path)
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
    assert path.read_text().count('"Authorization":"***1"') == 2, "header and config"
    assert path.read_text().count('"Authorization":"***2"') == 2, "event and reset"
    assert all(step.difference is None for step in replay(path))


async def test_a_change_of_nothing_but_a_secret_replays(make_model, server, tmp_path):
    def endpoint(token):
        return {"url": "https://example.com", "headers": {"Authorization": token}}

    path = tmp_path / "call.jsonl"
    model = make_model(trace=path, configuration_endpoint=endpoint("secret-1"))
    async with conversation(model, server) as (session, peer, _):
        session.update_options(configuration_endpoint=endpoint("secret-2"))
        await peer.expect(client.Reset)
    steps = list(replay(path))
    assert [step.difference for step in steps] == [None] * len(steps)
    assert b"secret" not in path.read_bytes()


def test_secrets_in_what_a_lost_connection_did_not_send_are_masked():
    endpoint = {"url": "https://example.com", "headers": {"Authorization": "secret"}}
    reset = client.Reset(ConfigOptions(configuration_endpoint=endpoint))
    closed = events.ConnectionClosed(1006, unsent=(client.Say("Hi."), reset))
    step = Masking(Secrets()).step(Step(closed, State.ready, State.reconnecting, []))
    assert "secret" not in repr(step)
    assert step.event.unsent[0] == client.Say("Hi.")


LEFT_BEHIND = """
import sys
from support.clock import PatientLoop
from support.scripted import PhonicServer
from phonic_fsm import RealtimeModel

async def main():
    async with PhonicServer() as server:
        model = RealtimeModel(api_key="key", base_url=server.url, trace=sys.argv[1])
        session = model.session()
        await session.update_instructions("Be kind.")
        return session

# Nobody closes the session, and nobody its loop.
loop = PatientLoop()
session = loop.run_until_complete(main())
sys.exit(9)
"""


def test_a_process_that_ends_by_itself_loses_nothing(tmp_path):
    path = tmp_path / "call.jsonl.gz"
    assert python(LEFT_BEHIND, path).returncode == 9
    assert "update_instructions" in [step.line.event["type"] for step in replay(path)]
    assert gzip.decompress(path.read_bytes()).endswith(b"}\n")


async def test_the_end_of_a_session_waits_for_its_trace(make_model, server):
    lines = []

    def slow(session, line):
        time.sleep(0.002)
        lines.append(line)

    async with conversation(make_model(trace=slow), server):
        pass
    assert json.loads(lines[-1])["to"] == "closed"


async def test_a_name_in_gz_is_a_gzip_file_that_replays(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl.gz"
    await whole_call(make_model, server, path)
    assert gzip.decompress(path.read_bytes()).startswith(b'{"trace":"phonic-fsm"')
    assert all(step.difference is None for step in replay(path))


async def test_a_gzip_trace_can_be_read_while_it_is_written(
    make_model, server, tmp_path, monkeypatch
):
    monkeypatch.setattr("phonic_fsm.trace._sinks.GZIP_FLUSH_SECONDS", 0.0)
    path = tmp_path / "call.jsonl.gz"

    def events():
        try:
            return [line.event["type"] for line in TraceReader(path)]
        except TraceError:
            return []

    async with conversation(make_model(trace=path), server):
        await until(lambda: "ready_to_start_conversation" in events())


async def test_a_function_gets_each_line_of_each_session(make_model, server, tmp_path):
    lines = []
    model = make_model(trace=lambda session, line: lines.append((session, line)))
    async with conversation(model, server), conversation(model, server):
        pass
    sessions = dict.fromkeys(session for session, _ in lines)
    assert len(sessions) == 2
    for session in sessions:
        path = tmp_path / session
        path.write_bytes(b"".join(line for whose, line in lines if whose == session))
        assert TraceReader(path).header.settings.id_seed == session
        assert [step.step.target.value for step in replay(path)][-1] == "closed"


async def test_a_function_that_raises_costs_the_trace_not_the_call(make_model, server, caplog):
    def fail(session, line):
        raise RuntimeError("no room")

    async with conversation(make_model(trace=fail), server) as (_, peer, emitted):
        await peer.speak("Hello.")
        assert (await read(await emitted.next("generation_created"))).text == "Hello."
    assert "no room" in caplog.text


@pytest.mark.parametrize(("bound", "value"), [("LONGEST_QUEUE", 50), ("LARGEST_QUEUE", 50_000)])
async def test_a_disk_that_is_too_slow_costs_the_end_of_the_trace_not_the_call(
    bound, value, make_model, server, *, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(f"phonic_fsm.trace._recorder.{bound}", value)
    lines, flows = [], threading.Event()

    def slow(session, line):
        lines.append(line)
        flows.wait(30)

    try:
        async with conversation(make_model(trace=slow), server) as (_, peer, emitted):
            await peer.speak(*["Hm. "] * 100)
            assert (await read(await emitted.next("generation_created"))).text == "Hm. " * 100
            assert "it is not written fast enough" in caplog.text
            flows.set()
    finally:
        flows.set()
    path = tmp_path / "call.jsonl"
    path.write_bytes(b"".join(lines))
    reader = TraceReader(path)
    steps = list(reader)
    assert reader.end == End(end="overrun", seq=len(steps))
    assert all(step.difference is None for step in replay(path))


async def test_audio_that_comes_much_faster_than_it_is_played_is_all_recorded(
    make_model, server, tmp_path
):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        await peer.speak(*["Hm. "] * 4_000)
        await read(await emitted.next("generation_created"))
    reader = TraceReader(path)
    assert [line.event["type"] for line in reader].count(AUDIO) == 4_000
    assert reader.end is None


async def test_half_a_sample_spoils_no_other_chunks_level(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    half_of_full_scale = b"\0\x40" * 480
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking())
        await peer.send(phonic.AudioChunk(half_of_full_scale[:-1], "Hm. "))
        await peer.send(phonic.AudioChunk(half_of_full_scale, "Hm. "))
        await settle(peer, emitted)
    chunks = [line.event["audio"] for line in TraceReader(path) if "audio" in line.event]
    assert chunks == [{"bytes": 959, "dbfs": -6.0}, {"bytes": 960, "dbfs": -6.0}]


async def test_a_trace_ends_at_its_largest_size_and_says_so(make_model, server, tmp_path, caplog):
    path = tmp_path / "call.jsonl"
    model = make_model(trace=path, trace_limits=TraceLimits(trace_bytes=3_000))
    async with conversation(model, server) as (_, peer, emitted):
        # A thread writes the trace: on a busy machine it sees its size some steps later.
        while "largest size" not in caplog.text:
            await peer.speak("Hm.")
            await read(await emitted.next("generation_created"))
            await settle(peer, emitted)
    reader = TraceReader(path)
    steps = list(reader)
    assert reader.end == End(end="size_limit", seq=len(steps))
    assert steps[-1].target != "closed"
    assert all(step.difference is None for step in replay(path))


async def test_both_sides_are_heard_beside_the_trace(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    model = make_model(trace=path, trace_audio=True)
    ours = np.arange(1, 481, dtype="<i2").tobytes()
    words = [bytes([number]) * 960 for number in (1, 2, 3)]
    async with conversation(model, server) as (session, peer, emitted):
        session.push_audio(rtc.AudioFrame(ours, 24_000, 1, 480))
        assert await peer.receive_audio(1) == [ours]
        await peer.send(phonic.AssistantStartedSpeaking())
        await peer.send(*(phonic.AudioChunk(word, "Hm. ") for word in words))
        await settle(peer, emitted)
    with wave.open(str(tmp_path / "call.assistant.wav")) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getnframes()) == (24_000, 1, 3 * 480)
        chunks = [line["event"]["audio"] for line in lines_of(path)[1:] if "audio" in line["event"]]
        for word, chunk in zip(words, chunks, strict=True):
            wav.setpos(round(chunk["at"] * 24_000) if "at" in chunk else 0)
            assert wav.readframes(480) == word
    with wave.open(str(tmp_path / "call.caller.wav")) as wav:
        sound = wav.readframes(wav.getnframes())
    assert sound.lstrip(b"\0") == ours.lstrip(b"\0")
    assert all(step.difference is None for step in replay(path))


def test_the_callers_audio_runs_on_the_traces_clock(tmp_path):
    audio = SideAudio(tmp_path / "call.jsonl.gz", 8_000, None, 1_000_000)
    second = b"\1\0" * 8_000
    audio.caller(second, 1.05)
    audio.caller(second, 5.0)
    audio.caller(second * 2, 7.0)
    audio.close()
    with wave.open(str(tmp_path / "call.caller.wav")) as wav:
        sound = wav.readframes(wav.getnframes())
    assert sound == second + bytes(3 * len(second)) + second * 3


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"trace": ""}, "trace must be a path, a function or None"),
        ({"trace": 5}, "trace must be a path, a function or None"),
        ({"trace": "{name}.jsonl"}, "trace: the fields of a name are {job}"),
        ({"trace": "{time:%Y}.jsonl"}, "trace: the fields of a name are"),
        ({"trace": "{}.jsonl"}, "trace: the fields of a name are"),
        ({"trace": "{time.jsonl"}, "trace: "),
        ({"trace": print, "trace_audio": True}, "trace_audio needs a trace in a file"),
        ({"trace": "a/", "trace_audio": True, "redact_trace": True}, "trace_audio cannot be with"),
        ({"trace": "a/", "trace_limits": 5}, "trace_limits must be TraceLimits"),
        ({"trace": "a.jsonl", "trace_limits": TraceLimits(traces=3)}, "{session}"),
        ({"trace": print, "trace_limits": TraceLimits(total_bytes=3)}, "{session}"),
    ],
    ids=str,
)
def test_a_recording_that_cannot_be_is_refused_by_the_options_name(options, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        RealtimeModel(api_key=KEY, **options)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "many"])
def test_a_limit_is_a_positive_number(limit):
    with pytest.raises(ValueError, match="trace_limits: traces must be a positive number"):
        TraceLimits(traces=limit)


class Job:
    """As much of LiveKit's job context as a session needs."""

    def __init__(self, job_id, room):
        self.job = SimpleNamespace(id=job_id, room=SimpleNamespace(name=room, sid="RM_1"))

    @property
    def primary_session(self):
        raise RuntimeError("no AgentSession has been started")


async def test_a_name_can_carry_job_and_room_and_leaves_its_directory_for_neither(
    make_model, server, tmp_path
):
    model = make_model(trace=f"{tmp_path}/traces/{{job}}/{{room}}-{{session}}.jsonl")
    token = livekit_job._JobContextVar.set(cast(Any, Job("AJ_1", "../../etc/pass wd")))
    try:
        async with conversation(model, server):
            pass
    finally:
        livekit_job._JobContextVar.reset(token)
    async with conversation(model, server):
        pass
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jsonl"))
    assert re.fullmatch(r"traces/AJ_1/_.._etc_pass_wd-[0-9a-f]{12}\.jsonl", names[0])
    assert re.fullmatch(r"traces/none/none-[0-9a-f]{12}\.jsonl", names[1])


@pytest.fixture
def old_traces(tmp_path):
    """Three traces of other days with their audio, and files that only look alike."""
    for day in (1, 2, 3):
        stem = f"2026010{day}T000000Z-{day:012x}"
        for name in (f"{stem}.jsonl", f"{stem}.caller.wav"):
            (tmp_path / name).write_bytes(bytes(1_000))
            os.utime(tmp_path / name, (day, day))
    for name in ("notes.jsonl", "20260101T000000Z-mine.jsonl", "20260101T000000Z-00000000000a.txt"):
        (tmp_path / name).write_bytes(bytes(1_000))
        os.utime(tmp_path / name, (0, 0))
    return tmp_path


OTHERS = {"notes.jsonl", "20260101T000000Z-mine.jsonl", "20260101T000000Z-00000000000a.txt"}


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (TraceLimits(), {1, 2, 3}),
        (TraceLimits(traces=4), {1, 2, 3}),
        (TraceLimits(traces=3), {2, 3}),
        (TraceLimits(traces=1), set()),
        (TraceLimits(total_bytes=6_000), {1, 2, 3}),
        (TraceLimits(total_bytes=5_000), {2, 3}),
        (TraceLimits(total_bytes=1), set()),
    ],
    ids=str,
)
async def test_the_oldest_traces_give_way_and_nothing_else_does(
    limits, kept, make_model, server, old_traces
):
    model = make_model(trace=f"{old_traces}/", trace_limits=limits)
    async with conversation(model, server):
        pass
    names = {path.name for path in old_traces.iterdir()}
    new = {name for name in names if name.startswith("20") and not name.startswith("202601")}
    assert len(new) == 1
    left = {
        name
        for day in kept
        for stem in [f"2026010{day}T000000Z-{day:012x}"]
        for name in (f"{stem}.jsonl", f"{stem}.caller.wav")
    }
    assert names - new == OTHERS | left


async def test_a_trace_that_may_still_be_written_never_gives_way(make_model, server, old_traces):
    recent = old_traces / "20260103T000000Z-000000000003.jsonl"
    os.utime(recent)
    model = make_model(trace=f"{old_traces}/", trace_limits=TraceLimits(traces=1))
    async with conversation(model, server):
        pass
    assert recent.exists()


async def test_an_error_says_where_the_trace_is(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (session, peer, emitted):
        while session._runtime._recorder.path is None:
            await settle(peer, emitted)
        await peer.send(phonic.Error(phonic.Problem("Cannot do that.")))
        error = (await emitted.next("error")).error
    assert f"trace {path}, in ready for" in str(error)
    assert error.message == "Cannot do that."


class Drained:
    """Says when it is looked at."""

    def __init__(self) -> None:
        self.seen = threading.Event()
        self.closed = False

    def drain(self) -> bool:
        self.seen.set()
        return not self.closed

    def close(self) -> None:
        self.closed = True

    def let_go(self) -> None:
        pass


def test_a_trace_that_asks_is_looked_at_alone(monkeypatch):
    monkeypatch.setattr(_writer, "INTERVAL", 60.0)
    writer, one, other = _writer.Writer(), Drained(), Drained()
    writer.add(one)
    writer.add(other)
    writer.look(one)
    assert one.seen.wait(PATIENCE)
    assert not other.seen.is_set()
    thread = writer.close()
    writer.look(one)
    writer.look(other)
    assert thread is not None
    thread.join(PATIENCE)
    assert not thread.is_alive()
