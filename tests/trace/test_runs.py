"""Runs: chunks of audio in a row are one line, and are read as the steps that they were."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.commands import run
from support.record_traces import TRACES
from support.recorded import lines_of
from support.runs import written_today
from support.scripted import conversation, settle

from phonic_fsm._core.context import Settings
from phonic_fsm._core.effects import Effect, PushAudio, PushText
from phonic_fsm._core.machine import Step
from phonic_fsm._core.states import State
from phonic_fsm._report.overview import measured
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import TraceCutOff, TraceError, TraceReader, replay
from phonic_fsm.trace._follow import GrowingTrace
from phonic_fsm.trace._lines import StepLines
from phonic_fsm.trace._reader import read_line
from phonic_fsm.trace._rewriting import redacted
from phonic_fsm.trace._runs import MOST_STEPS, AudioRun, Passed, Words, run_of, runs, taken

MYSTERY = Path(__file__).parent.parent.parent / "examples" / "traces" / "mystery.jsonl"
RECORDED = [
    MYSTERY,
    TRACES / "tool_call.jsonl",
    TRACES / "interrupted_here.jsonl",
    *(TRACES / "kinds" / f"{name}.jsonl" for name in ("moved", "taken_over")),
]


SPEAKING = State.speaking


def pushed(length: int, t: float = 0.0) -> Passed:
    audio = bytes(length)
    step = taken(t, Step(phonic.AudioChunk(audio), SPEAKING, SPEAKING, [PushAudio(audio)]))
    assert isinstance(step, Passed)
    return step


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """A trace with runs, of chunks that are passed on and of some that are dropped."""
    return written_today(MYSTERY, tmp_path_factory.mktemp("talk") / "talk.jsonl")


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_trace_is_the_same_with_runs(recorded, tmp_path):
    path = written_today(recorded, tmp_path / "call.jsonl")
    before, after = TraceReader(recorded), TraceReader(path)
    assert list(after) == list(before)
    assert measured(after) == measured(before)
    assert path.stat().st_size < MYSTERY.stat().st_size / 3


def test_a_run_is_of_one_state_and_either_passed_on_or_dropped():
    dropped = taken(0.0, Step(phonic.AudioChunk(bytes(8)), SPEAKING, SPEAKING, []))
    elsewhere = taken(0.0, Step(phonic.AudioChunk(bytes(8)), State.ready, State.ready, []))
    said = taken(0.0, Step(phonic.UserStartedSpeaking(), State.ready, State.ready, []))
    lines = StepLines(Settings(id_seed="seed", config=ConfigOptions()), Secrets())
    written = lines.of([pushed(8), pushed(4), dropped, dropped, elsewhere, said, elsewhere])
    runs_of = [line for line in map(read_line, written.splitlines()) if isinstance(line, AudioRun)]
    assert [(line.seq, line.audio, line.state.value, line.bytes) for line in runs_of] == [
        (1, "pushed", "speaking", [8, 4]),
        (3, "dropped", "speaking", [8, 8]),
        (5, "dropped", "ready", [8]),
        (7, "dropped", "ready", [8]),
    ]
    assert [len(step.effects) for line in runs_of for step in line.steps()] == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "step",
    [
        Step(phonic.AudioChunk(b"", "Hm."), State.speaking, State.speaking, []),
        Step(phonic.AudioChunk(b"", None), State.speaking, State.speaking, []),
        Step(phonic.AudioChunk(b"", "", {"llm_ms": 1.5}), State.speaking, State.speaking, []),
        Step(phonic.AudioChunk(b""), State.ready, State.speaking, []),
        Step(phonic.AudioChunk(b""), State.ready, State.ready, [PushAudio(b"")] * 2),
        Step(phonic.UserStartedSpeaking(), State.ready, State.ready, []),
    ],
    ids=["text", "no text", "timings", "another state", "more effects", "no audio"],
)
def test_a_step_that_does_something_else_is_part_of_no_run(step):
    assert run_of(taken(0.0, step)) is None


def test_times_are_recovered_to_the_microsecond():
    times = [98_765.432_101, 98_765.432_101, 98_765.452_112, 98_766.000_049_6, 98_770.1]
    [run_] = runs(7, [pushed(960, t) for t in times], [-1.5] * len(times))
    assert [step.t for step in run_.steps()] == [round(t, 6) for t in times]
    assert run_.times() == [round(t, 6) for t in times]
    assert run_.until == round(times[-1], 6)
    assert [step.seq for step in run_.steps()] == [7, 8, 9, 10, 11]


def test_a_long_run_is_more_than_one_line():
    times = [number / 50 for number in range(MOST_STEPS + 1)]
    found = list(runs(1, [pushed(960, t) for t in times], [None] * len(times)))
    assert [line.seq for line in found] == [1, MOST_STEPS + 1]
    assert [step.t for line in found for step in line.steps()] == times


@pytest.mark.anyio
@pytest.mark.parametrize("redact", [False, True])
async def test_chunks_are_recorded_as_a_run(redact, make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    sound = b"\0\x40" * 480
    model = make_model(trace=path, redact_trace=redact)
    async with conversation(model, server) as (_, peer, emitted):
        await peer.send(phonic.AudioChunk(sound))
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(sound, "Hm. "))
        await peer.send(*[phonic.AudioChunk(sound)] * 4, phonic.AudioChunk(sound[:480], "Yes."))
        await settle(peer, emitted)
    found = [line for line in lines_of(path) if "audio" in line]
    lengths = [(line["audio"], length) for line in found for length in line["bytes"]]
    assert lengths == [("dropped", 960), *[("pushed", 960)] * 5, ("pushed", 480)]
    assert all(level == -6.0 for line in found for level in line["dbfs"])
    words = [words[1:] for line in found for words in line.get("words", ())]
    first, last = ("█" * 8 + " ", "█" * 8) if redact else ("Hm. ", "Yes.")
    assert words == [[first, 0.0, 0.02], [last, 0.1, 0.11]]
    assert all(step.difference is None for step in replay(path))


def test_a_secret_in_the_words_of_a_run_is_masked():
    text, key = "My key is sk-1234567890.", "sk-1234567890"
    chunk = phonic.AudioChunk(bytes(8), text)
    effects: list[Effect] = [PushText(text, 0.0, 0.1), PushAudio(bytes(8))]
    lines = StepLines(Settings(id_seed="seed", config=ConfigOptions()), Secrets(key))
    [line] = lines.of([taken(0.0, Step(chunk, SPEAKING, SPEAKING, effects))]).splitlines()
    assert read_line(line).words == [Words(0, "My key is ***.", 0.0, 0.1)]


def test_a_redacted_trace_keeps_its_runs(talk, tmp_path):
    lines = lines_of(talk)
    run_ = next(line for line in lines if line.get("words"))
    assert len(run_["words"]) < len(run_["bytes"])
    run_["later"] = {"text": "private"}
    run_["words"][0].append("private")
    path, out = tmp_path / "call.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kept = list(redacted(TraceReader(path)))
    words = next(line for line in kept if line.get("words"))
    assert words["words"][0].pop() == "█" * 8
    run_["words"][0].pop()
    for (step, text, *when), said in zip(words["words"], run_["words"], strict=True):
        assert text.strip(" █") == ""
        assert [step, *when] == [said[0], *said[2:]]
    assert words | {"words": run_["words"]} == {**run_, "later": {"text": "█" * 8}}
    result = run("redact", path, out)
    steps = len(list(TraceReader(talk)))
    assert result.stdout == f"redacted: {steps} steps in {out}\n"
    assert len(list(replay(out))) == steps


def test_a_trace_with_runs_is_followed_and_cut_off_like_any_other(talk, tmp_path):
    whole = talk.read_bytes()
    lines = whole.splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if line.startswith(b'{"audio"'))
    steps = list(TraceReader(talk))
    path = tmp_path / "call.jsonl"
    before = json.loads(lines[number])["seq"] - 1
    path.write_bytes(b"".join(lines[: number + 1])[:-9])
    with pytest.raises(TraceCutOff, match=rf"line {number + 1} .* \({before} steps before it"):
        list(TraceReader(path))
    growing = GrowingTrace(path)
    assert list(growing.more()) == steps[:before]
    path.write_bytes(whole)
    assert list(growing.more()) == steps[before:]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"later_us": [0, -1]}, "Expected `int` >= 0"),
        ({"later_us": [5, 1]}, "`later_us` does not begin with 0"),
        ({"later_us": [0, 10**30]}, "later_us"),
        ({"later_us": [0, 10**14]}, "the run is too long"),
        ({"later_us": [0, 1.5]}, "Expected `int`"),
        ({"later_us": [0]}, "have not one length"),
        ({"bytes": []}, "Expected `array` of length >= 1"),
        ({"bytes": [960, 2**21]}, "Expected `int` <= 1048576"),
        ({"bytes": [960] * (MOST_STEPS + 1)}, "Expected `array` of length <= 1000"),
        ({"dbfs": [-1.0]}, "have not one length"),
        ({"dbfs": ["loud", -1.0]}, "Expected `float | null`"),
        ({"words": [[2, "Hm.", 0.0, 0.1]]}, "`words` are not of steps of the run, in order"),
        ({"words": [[1, "Hm.", 0.0, 0.1]] * 2}, "`words` are not of steps of the run, in order"),
        ({"words": [[-1, "Hm.", 0.0, 0.1]]}, "Expected `int` >= 0"),
        ({"words": [[0, "", 0.0, 0.1]]}, "Expected `str` of length >= 1"),
        ({"words": [[0, "Hm."]]}, "Expected `array` of at least length 4"),
        ({"words": [[0, "Hm.", 0, 1]], "audio": "dropped"}, "`words` of chunks that are dropped"),
        ({"audio": "kept"}, "Invalid enum value 'kept'"),
        ({"state": "dancing"}, "Invalid enum value 'dancing'"),
        ({"t": -1.0}, "Expected `float` >= 0"),
        ({"t": 1e300}, "Expected `float` <= 1"),
        ({"seq": 10**30}, ""),
        ({"seq": 3}, "step 3 stands where step"),
        ({"seq": "first"}, "Expected `int`"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_run_is_refused_with_its_line(change, says, talk, tmp_path):
    lines = lines_of(talk)
    number = next(number for number, line in enumerate(lines) if "audio" in line)
    lines[number] |= {"later_us": [0, 1], "bytes": [960, 960], "dbfs": [-1.0, None]}
    lines[number] |= {"words": [], **change}
    path = tmp_path / "call.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[: number + 1]))
    says = rf"call\.jsonl: line {number + 1}(:| is not a step:).*{re.escape(says)}"
    for read in (list, lambda reader: list(reader.condensed()), lambda reader: list(reader.raw())):
        with pytest.raises(TraceError, match=says):
            read(TraceReader(path))


def test_a_bad_run_is_one_line_of_a_command(talk, tmp_path):
    lines = talk.read_bytes().replace(b'"later_us":[0,', b'"later_us":[0,-')
    path = tmp_path / "call.jsonl"
    path.write_bytes(lines)
    for command in ("replay", "stats", "report"):
        out = ("--out", tmp_path / "page.html") if command == "report" else ()
        result = run(command, path, *out)
        assert result.returncode == 2, result
        [line] = result.stderr.splitlines()
        assert re.search(r"call\.jsonl: line \d+ is not a step: Expected `int` >= 0", line)
