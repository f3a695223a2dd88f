"""What others do to a trace while it is recorded: they fork, remove it, block, or name it oddly."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import wave

import anyio
import pytest
from livekit.agents import llm
from support import processes
from support.recorded import lines_of
from support.recording_process import recording
from support.scripted import PATIENCE, SILENCE, conversation, read, settle, started

from phonic_fsm._core import events
from phonic_fsm._core.timers import LONGEST_RETRY_AFTER
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.trace import replay
from phonic_fsm.trace._audio import side_files
from phonic_fsm.trace._destination import LONGEST_VALUE, Files
from phonic_fsm.trace._lock import is_held

pytestmark = pytest.mark.anyio


def assert_it_replays(path):
    steps = list(replay(path))
    assert [step.difference for step in steps] == [None] * len(steps)
    return steps


# -- forks ---------------------------------------------------------------------------------------

FORKS = """
    import os, sys
    from phonic_fsm._core import events
    from phonic_fsm._core.context import Settings
    from phonic_fsm._core.machine import SessionMachine
    from phonic_fsm._runtime.secrets import Secrets
    from phonic_fsm._wire import server
    from phonic_fsm._wire.config import ConfigOptions
    from phonic_fsm.trace._recorder import TraceRecorder
    from phonic_fsm.trace._recording import checked_recording

    class Call:
        def __init__(self, path):
            options = ConfigOptions(output_format="pcm_24000")
            self.machine = SessionMachine(Settings(id_seed="a", config=options))
            self.recorder = TraceRecorder(
                checked_recording(path, audio=True), self.machine.context.settings, Secrets()
            )
            self.take(events.Open(), events.ConnectionOpened())
            self.take(events.UpdateSession(instructions="", tools=(), items=()))
            self.take(server.ReadyToStartConversation(), server.AssistantStartedSpeaking())
            self.speak(b"\\1\\0")

        def take(self, *steps):
            for event in steps:
                self.recorder.record(self.machine.step(event))

        def speak(self, sample):
            self.take(*(server.AudioChunk(sample * 480) for _ in range(300)))

        def end(self):
            self.take(events.Close())
            self.recorder.close()
            self.recorder._written.result(10)

    parent = Call(sys.argv[1])
    while not (parent.recorder.path and parent.recorder._output._audio._assistant._file):
        pass
    child = os.fork()
    if child == 0:
        parent.speak(b"\\3\\0")  # as a library may that goes on with a session it has inherited
        own = Call(sys.argv[2])
        own.end()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    parent.speak(b"\\1\\0")
    parent.end()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_a_fork_leaves_the_parents_trace_alone_and_gets_its_own(suffix, tmp_path):
    parents, childs = (tmp_path / f"{whose}{suffix}" for whose in ("parents", "childs"))
    forks = ("-W", "ignore", "-c", textwrap.dedent(FORKS), parents, childs)
    made = processes.run(sys.executable, *map(str, forks))
    assert made.returncode == 0, made.stderr
    assert "warning" not in made.stderr.lower()
    assert len(assert_it_replays(parents)) == 606
    assert len(assert_it_replays(childs)) == 306
    for path, chunks in ((parents, 600), (childs, 300)):
        with wave.open(str(side_files(path)["assistant"])) as audio:
            assert audio.readframes(audio.getnframes()) == b"\1\0" * 480 * chunks


# -- processes that are killed ----------------------------------------------------------------


def test_a_file_is_locked_until_its_process_has_ended(tmp_path):
    path = tmp_path / "call.jsonl"
    with recording(path) as process:
        process.take(events.Open())
        assert is_held(path)
        process.fork()
        process.kill()
        assert not is_held(path), "a child that lives on has no lock"


def test_a_trace_that_is_complete_is_not_locked(tmp_path):
    path = tmp_path / "call.jsonl"
    with recording(path) as process:
        process.take(events.Open(), events.Close())
        process.close()
        assert not is_held(path)
    assert len(assert_it_replays(path)) == 2


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["x", "é", "会", "🎧"])
def test_a_long_name_of_a_room_fits_into_a_files_name(letter, tmp_path):
    files = Files(str(tmp_path / "{room}-{job}-{time}-{session}.jsonl.gz"))
    path = files.path("0123456789ab", job=letter * 200, room=letter * 200)
    assert len(path.name.encode()) <= 2 * LONGEST_VALUE + 60
    side_files(path)["assistant"].touch()
    assert files.own_names().fullmatch(path.name)


async def test_a_device_is_no_file_for_a_trace(make_model, server, caplog):
    async with conversation(make_model(trace="/dev/full"), server) as (_, peer, emitted):
        await settle(peer, emitted)
    assert "no trace is recorded: /dev/full is no file" in caplog.text
    assert "full-2" not in os.listdir("/dev")


# -- what becomes of the file --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["call.jsonl", "call.jsonl.gz"])
@pytest.mark.parametrize(
    ("do", "says"),
    [
        (os.remove, "another program has removed it"),
        (lambda path: os.truncate(path, 10), "another program has cut it off"),
    ],
    ids=["removed", "cut off"],
)
async def test_a_trace_that_is_taken_away_in_mid_call_is_missed_once(
    do, says, name, make_model, server, *, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("phonic_fsm.trace._sinks.GZIP_FLUSH_SECONDS", 0.0)
    path = tmp_path / name
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        with anyio.fail_after(PATIENCE):
            while not (path.exists() and path.stat().st_size > 10):
                await settle(peer, emitted)
        do(path)
        await peer.speak("Still there?")
        assert (await read(await emitted.next("generation_created"))).text == "Still there?"
        await settle(peer, emitted)
    [line] = [line for line in caplog.messages if "ends here" in line]
    assert says in line
    assert str(path) in line


# -- functions -----------------------------------------------------------------------------------


async def test_a_function_that_blocks_holds_up_no_other_models_traces(make_model, server, tmp_path):
    goes_on, path = threading.Event(), tmp_path / "call.jsonl"
    try:
        async with (
            conversation(make_model(trace=lambda *_: goes_on.wait(60)), server) as blocked,
            conversation(make_model(trace=path), server) as (session, peer, emitted),
        ):
            await settle(blocked[1], blocked[2])
            await settle(peer, emitted)
            await session.aclose()
            assert assert_it_replays(path)[-1].line.target == "closed"
            goes_on.set()
    finally:
        goes_on.set()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_a_function_that_exits_ends_its_own_trace_only(error, make_model, server, caplog):
    told = []

    def function(session, line):
        told.append(session)
        if told[0] == session and told.count(session) == 3:
            raise error

    model = make_model(trace=function)
    async with conversation(model, server), conversation(model, server) as (_, peer, emitted):
        await settle(peer, emitted)
    [line] = [line for line in caplog.messages if "ends here" in line]
    assert error.__name__ in line
    first, other = told[0], next(session for session in told if session != told[0])
    assert told.count(first) == 3
    assert told.count(other) > 5


# -- values --------------------------------------------------------------------------------------


async def test_a_wait_of_four_hundred_digits_is_recorded_as_the_longest(
    make_model, server, tmp_path
):
    path = tmp_path / "call.jsonl"
    server.refuse, server.retry_after = 503, "9" * 400
    async with started(make_model(trace=path)) as (_, emitted):
        assert (await emitted.next("error")).recoverable
    [_, _, failed, *_] = lines_of(path)
    assert failed["event"]["retry_after"] == LONGEST_RETRY_AFTER
    assert_it_replays(path)


async def test_say_takes_none_for_not_given_and_names_what_is_no_bool(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (session, peer, _):
        with pytest.raises(TypeError, match="allow_interruptions must be bool, got str"):
            session.say("Hello.", allow_interruptions="no")  # type: ignore[arg-type]  # on purpose
        reply = session.say("Hello.", allow_interruptions=None)  # type: ignore[arg-type]  # on purpose
        assert await peer.expect(client.Say) == client.Say("Hello.")
        reply.cancel()
    assert_it_replays(path)


async def test_a_message_of_many_values_and_settings_as_large_replay(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    options = {"a": [[1]] * 9_000}
    model = make_model(trace=path, additional_params=options)
    async with conversation(model, server) as (session, peer, emitted):
        session.update_options(additional_params={**options, "b": 1})
        await peer.send(phonic.ToolCall("c1", "look_up", {"x": [1.5] * 19_000}))
        [call] = (await read(await emitted.next("generation_created"))).calls
        assert isinstance(call, llm.FunctionCall)
        await peer.send(phonic.AudioChunk(SILENCE, "Well."))
        await settle(peer, emitted)
    assert_it_replays(path)
