"""The page of a trace: what is found in a call, and the page itself in a real browser."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import wave
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal
from livekit import rtc
from playwright.sync_api import Browser, Page, expect
from support.browser import NARROW, WIDE
from support.commands import assert_is_one_line_and_exit_2, run, run_process
from support.record_traces import TRACES
from support.scripted import KEY, PhonicServer, conversation, settle

from phonic_fsm import RealtimeModel
from phonic_fsm._audio import mulaw
from phonic_fsm._core import events
from phonic_fsm._core.context import Context, Settings
from phonic_fsm._core.history import FunctionCallOutput
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._core.states import ALL
from phonic_fsm._core.table import SECTIONS
from phonic_fsm._report.lanes import Heard
from phonic_fsm._report.page import make_report
from phonic_fsm._report.sound import LARGEST, RATES, sound_of
from phonic_fsm._report.steps import KINDS
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions, InlineTool
from phonic_fsm._wire.facts import fields_of
from phonic_fsm.trace import Header, TraceReader, replay
from phonic_fsm.trace._audio import SideAudio, side_files
from phonic_fsm.trace._explain import LEFT_OUT, snapshot
from phonic_fsm.trace._format import LONGEST_CALL, NAME, VERSION, recorded_effect, recorded_event
from phonic_fsm.trace._replay import Replay

MYSTERY = Path(__file__).parent.parent.parent / "examples" / "traces" / "mystery.jsonl"
RECORDED = sorted(TRACES.glob("*.jsonl"))

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    "<!-- \"quotes' & &amp; \\ שלום \u202eעולם\u202c مرحبا 👩‍👧 \u0000\u0007\u001b[31m\u2028"
    + "x"
    * 10_000
)


# -- what the page is made of -------------------------------------------------------------------


def data_of(trace: Path) -> dict[str, Any]:
    """What a trace's page knows, read as the browser does."""
    page = make_report(trace).html
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def changed(trace: Path, tmp_path: Path, change: Callable[[list[bytes]], None]) -> Path:
    """A copy of a trace, with its lines changed."""
    lines = trace.read_bytes().splitlines(keepends=True)
    change(lines)
    copy = tmp_path / trace.name
    copy.write_bytes(b"".join(lines))
    return copy


def another_target(lines: list[bytes]) -> None:
    lines[6] = lines[6].replace(b'"to":"', b'"to":"closed","was":"')


def cut_off(lines: list[bytes]) -> None:
    lines[-1] = lines[-1][:40]


def without_the_end(lines: list[bytes]) -> None:
    del lines[-2:]


def spoken(path: Path, happens: list[Any]) -> Path:
    """A trace of a session that all this happens to, 20 ms apart or, where a number stands
    between them, so many seconds."""
    settings = Settings(id_seed="spoken", config=ConfigOptions(output_format="pcm_24000"))
    machine = SessionMachine(settings)
    header = Header(
        trace=NAME, version=VERSION, package="0", started="2026-01-01T00:00:00Z", settings=settings
    )
    with path.open("wb") as file:
        file.write(msgspec.json.encode(header) + b"\n")
        number, now = 0, 0.0
        for event in happens:
            if isinstance(event, float):
                now += event
                continue
            number, now = number + 1, now + 0.02
            step = machine.step(event)
            line = {
                "seq": number,
                "t": now,
                "event": recorded_event(event),
                "from": step.source.value,
                "to": step.target.value,
                "effects": [recorded_effect(effect) for effect in step.effects],
            }
            file.write(msgspec.json.encode(line) + b"\n")
    return path


def beginning() -> list[Any]:
    """What happens to a session until its conversation is open."""
    return [step.step.event for step in replay(TRACES / "normal_turn.jsonl")][:5]


def test_the_mystery_is_explained():
    silence, outage, lost = data_of(MYSTERY)["findings"]
    assert silence["rule"] == "silence"
    assert silence["end"] - silence["start"] == pytest.approx(4, abs=0.5)
    assert "the connection was lost" in silence["sentence"]
    assert "find_table had yet to give an output" in silence["sentence"]
    assert outage["rule"] == "outage"
    assert "4 attempts" in outage["sentence"]
    assert "find_table's output was ready" in outage["sentence"]
    assert "could not be sent until" in outage["sentence"]
    assert lost["rule"] == "lost-audio"
    assert [item["step"] for item in (silence, outage)] == [586, 589]


@pytest.mark.parametrize(
    ("change", "title"),
    [(another_target, "The replay diverges"), (cut_off, "The file cannot be read further")],
)
def test_a_page_says_first_where_the_replay_ends(change, title, tmp_path):
    first, *_ = data_of(changed(TRACES / "normal_turn.jsonl", tmp_path, change))["findings"]
    assert (first["rule"], first["title"], first["severity"]) == ("divergence", title, "error")


@pytest.mark.parametrize("name", ["normal_turn", "tool_call", "handoff", "say", "backchannel"])
def test_a_call_without_trouble_has_no_marks(name):
    assert data_of(TRACES / f"{name}.jsonl")["findings"] == []


ANSWER = (server.AssistantStartedSpeaking(), server.AudioChunk(b"\1\0" * 24_000, "Yes."))


@pytest.mark.parametrize(
    ("happens", "marks"),
    [
        ((3.5, *ANSWER), [("silence", "error")]),
        ((2.5, *ANSWER), []),
        ((server.AssistantChoseNotToRespond(), 9.0, *ANSWER), []),
        ((server.AssistantChoseNotToRespond(), 11.0, *ANSWER), [("silence", "note")]),
        ((*ANSWER, server.AssistantFinishedSpeaking(), 10.5, server.UserStartedSpeaking()), []),
        (
            (*ANSWER, server.AssistantFinishedSpeaking(), 11.5, server.UserStartedSpeaking()),
            [("silence", "note")],
        ),
    ],
    ids=["late", "in time", "declined", "declined, then long", "paused", "paused for long"],
)
def test_silence_is_judged_by_whose_turn_it_is(happens, marks, tmp_path):
    path = spoken(
        tmp_path / "silence.jsonl",
        [
            *beginning(),
            server.UserStartedSpeaking(),
            server.UserFinishedSpeaking(),
            *happens,
            events.Close(),
        ],
    )
    found = data_of(path)["findings"]
    assert [(one["rule"], one["severity"]) for one in found if one["rule"] == "silence"] == marks


TOOLS = events.UpdateTools((InlineTool({"type": "function", "function": {"name": "look_up"}}),))
CALL = server.ToolCall("call_1", "look_up", {})
OUTPUT = events.UpdateChatContext(
    added=(events.Addition(None, FunctionCallOutput("output_1", "call_1", "look_up", "yes")),)
)
LATE = server.ToolCallOutputProcessed(tool_call_id="call_1", timed_out=True)
HANDOFF = events.UpdateSession(instructions="Another agent.", tools=(), items=())


@pytest.mark.parametrize(
    ("happens", "titles"),
    [
        ((CALL, OUTPUT), []),
        ((CALL,), ["look_up gave no output: the session ended 20 ms after the call"]),
        ((CALL, LATE), ["look_up took longer than Phonic waits"]),
        (
            (CALL, server.ToolCallInterrupted("call_1", "look_up"), OUTPUT),
            ["look_up's output came late"],
        ),
        ((CALL, HANDOFF, OUTPUT), []),
        (
            (CALL, events.ConnectionClosed(1006), OUTPUT),
            [
                "The connection broke off (no close frame): it did not come back",
                "look_up's output was never sent",
            ],
        ),
    ],
    ids=["given", "not given", "too late", "interrupted", "handed over", "lost"],
)
def test_a_tool_is_marked_if_its_output_served_nothing(happens, titles, tmp_path):
    path = spoken(
        tmp_path / "tool.jsonl",
        [*beginning(), TOOLS, server.ConversationCreated("conv_1"), *happens, events.Close()],
    )
    found = [item["title"] for item in data_of(path)["findings"]]
    assert sorted(found) == sorted(titles)


def test_an_answer_with_nothing_in_it_is_marked(tmp_path):
    path = spoken(
        tmp_path / "empty.jsonl",
        [*beginning(), server.AssistantStartedSpeaking(), server.AssistantFinishedSpeaking()],
    )
    found = data_of(path)["findings"]
    assert [item["rule"] for item in found] == ["empty-answer", "not-closed"]
    assert found[0]["step"] == 6


def test_speech_stands_where_the_caller_could_hear_it():
    lanes = data_of(MYSTERY)["lanes"]
    welcome, cut, *_ = lanes["assistant"]
    # All of it arrived within a few milliseconds, and takes 3.6 s to say.
    assert welcome["end"] - welcome["start"] == pytest.approx(3.6, abs=0.05)
    assert cut["end"] == lanes["caller"][1]["start"]
    assert cut["unheard"] > cut["end"] + 1


def test_what_was_cut_off_is_told_from_what_was_heard():
    said = {entry["text"]: entry["unheard"] for entry in data_of(MYSTERY)["conversation"]}
    heard = "Breakfast is served from seven until half past ten,"
    assert said[heard] == " on the terrace, and on Sundays there is music as well."
    assert said["When is breakfast?"] == ""


def test_without_a_correction_the_words_not_yet_played_were_not_heard(tmp_path):
    second = b"\1\0" * 24_000
    path = spoken(
        tmp_path / "cut.jsonl",
        [
            *beginning(),
            server.AssistantStartedSpeaking(),
            server.AudioChunk(second, "One "),
            server.AudioChunk(second, "two"),
            server.UserStartedSpeaking(),
        ],
    )
    assert [(e["text"], e["unheard"]) for e in data_of(path)["conversation"]] == [("One ", "two")]


@pytest.mark.parametrize("path", [*RECORDED, MYSTERY], ids=lambda path: path.stem)
def test_the_last_row_that_was_tried_is_the_one_that_the_machine_took(path):
    for step in replay(path, explain=True):
        assert step.difference is None
        assert step.explanation is not None
        *passed, taken = step.explanation.tried
        assert step.step.target in (taken.row.targets or [step.step.source])
        assert len(taken.answers) == len(taken.row.guards)
        assert all(taken.answers)
        assert not taken.row.because or not step.step.effects
        assert all(row.answers.index(False) == len(row.answers) - 1 for row in passed)


def test_the_memory_after_a_step_is_the_machines():
    memory: dict[int, dict[str, Any]] = {0: {}}
    for step in replay(MYSTERY, explain=True):
        memory[step.line.seq] = {**memory[step.line.seq - 1], **step.explanation.remembered}
    assert list(memory[588]["calls"].values()) == ["find_table: pending"]
    assert memory[588]["connection"] == "proved"
    assert memory[589]["connection"] == "resumed"
    assert memory[593]["held"] == ["tool_call_output"]
    assert memory[593]["attempts"] == 2
    assert list(memory[598]["calls"].values()) == ["find_table: answered"]
    assert memory[599]["calls"] == {}


@pytest.mark.parametrize("path", [*RECORDED, MYSTERY], ids=lambda path: path.stem)
def test_what_each_step_changes_makes_up_the_memory(path):
    reader = TraceReader(path)
    machine = Replay(reader, explain=True)
    memory: dict[str, Any] = {}
    for line in reader:
        explanation = machine.take(line).explanation
        assert explanation is not None
        memory |= explanation.remembered
        assert memory == snapshot(machine.context)


def test_everything_in_the_memory_is_shown_or_left_out_and_has_a_label():
    fields = set(fields_of(Context))
    shown = snapshot(Context(settings=Settings(id_seed="a"), config=ConfigOptions()))
    assert {name.split(".")[0] for name in shown} == fields - LEFT_OUT
    assert fields >= LEFT_OUT
    script = (resources.files("phonic_fsm._report") / "web" / "chosen.js").read_text("utf-8")
    labels = script.split("const MEMORY = {")[1].split("};")[0]
    assert re.findall(r'^ +"?([\w.]+)"?: "', labels, re.MULTILINE) == list(shown)


def test_a_replay_is_not_explained_unless_asked_for():
    assert {step.explanation for step in replay(TRACES / "welcome.jsonl")} == {None}


def test_every_event_is_of_a_kind():
    assert set(KINDS) == {on.event for section in SECTIONS.values() for on in section}


def test_audio_of_an_hour_stays_small(tmp_path):
    begin = beginning()
    chunks = [server.AudioChunk(b"\1\0" * 480)] * 2_000
    path = spoken(tmp_path / "long.jsonl", [*begin, server.AssistantStartedSpeaking(), *chunks])
    empty = spoken(tmp_path / "short.jsonl", [*begin, server.AssistantStartedSpeaking()])
    # 40 bytes a step: an hour makes a page of a few megabytes, from a trace of twenty.
    assert len(make_report(path).html) - len(make_report(empty).html) < 40 * len(chunks)


def nonsense_behind_a_difference(lines: list[bytes]) -> None:
    another_target(lines)
    lines[9] = lines[9].replace(b'"response_id"', b'"nonsense"')


def test_nonsense_behind_a_difference_ends_the_page_there(tmp_path):
    path = changed(TRACES / "normal_turn.jsonl", tmp_path, nonsense_behind_a_difference)
    report = make_report(path)
    assert report.last is not None
    assert report.last.line.seq == 6
    assert "step 9 is none: Object missing required field `response_id`" in str(report.problem)


def test_the_page_is_small_but_for_its_data():
    page = make_report(RECORDED[0]).html
    assert len(page.encode()) < 175_000  # the table of the machine is in it


# -- what is heard ------------------------------------------------------------------------------


def tone(level: int, seconds: float, rate: int = 24_000) -> bytes:
    """Audio whose samples are all the same."""
    return np.full(round(seconds * rate), level, "<i2").tobytes()


def heard_at(wav: bytes, rate: int, *moments: float) -> list[int]:
    """The samples at these moments, to the nearest 500: µ-law is no more exact than that."""
    assert int.from_bytes(wav[24:28], "little") == rate
    samples = np.frombuffer(mulaw.decode(wav[44:]), "<i2")
    return [round(int(samples[round(at * rate)]) / 500) * 500 for at in moments]


@pytest.mark.parametrize(("rate", "ours"), [(44_100, 16_000), (24_000, 16_000), (8_000, 8_000)])
def test_what_came_ahead_sounds_where_it_was_heard(rate, ours, tmp_path):
    path = tmp_path / "call.jsonl"
    audio = SideAudio(path, rate, None, 10_000_000)
    audio.assistant(tone(4_000, 2, rate))
    audio.assistant(tone(8_000, 1, rate))
    audio.caller(tone(1_000, 1, rate), 3.5)
    audio.close()
    heard = [Heard(start=1.0, end=2.5, source=0.0), Heard(start=3.0, end=4.0, source=2.0)]
    wav = sound_of(path, heard, 5.0).wav
    assert len(wav) == 44 + 5 * ours
    moments = (0.9, 1.1, 2.4, 2.6, 2.9, 3.1, 3.4, 3.6, 3.9, 4.1)
    assert heard_at(wav, ours, *moments) == [
        *(0, 4_000, 4_000, 1_000, 1_000, 9_000, 9_000, 8_000, 8_000, 0)
    ]


def test_a_long_call_gets_the_lesser_rate_and_a_longer_one_a_remark(tmp_path):
    path = tmp_path / "call.jsonl"
    audio = SideAudio(path, 24_000, None, 10_000_000)
    audio.assistant(tone(4_000, 1))
    audio.close()
    better, lesser = (LARGEST / rate for rate in RATES)
    last = Heard(start=better, end=better + 1, source=0.0)
    assert heard_at(sound_of(path, [last], better + 2).wav, 8_000, better + 0.5) == [4_000]
    sound = sound_of(path, [last], lesser + 1)
    assert (sound.wav, sound.remark) == (b"", "46 minutes are too long for a page")


def test_what_a_crash_has_left_is_heard(tmp_path):
    path = tmp_path / "call.jsonl"
    audio = SideAudio(path, 24_000, None, 10_000_000)
    audio.assistant(tone(4_000, 1))
    audio.close()
    file = side_files(path)["assistant"]
    whole = file.read_bytes()
    # The header promises what a day would not fill, and half a sample is missing at the end.
    file.write_bytes(whole[:40] + (2**32 - 128).to_bytes(4, "little") + whole[44:-1])
    wav = sound_of(path, [Heard(start=0.0, end=2.0, source=0.0)], 2.0).wav
    assert heard_at(wav, 16_000, 0.5, 1.5) == [4_000, 0]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all", "stereo"])
def test_audio_that_cannot_be_read_is_a_remark_on_the_page(content, tmp_path):
    path = Path(shutil.copy(TRACES / "welcome.jsonl", tmp_path / "call.jsonl"))
    file = side_files(path)["caller"]
    if content == "stereo":
        with wave.open(str(file), "wb") as wav:
            wav.setparams((2, 2, 24_000, 0, "NONE", ""))
    else:
        file.write_bytes(content)
    page = make_report(path).html
    assert "Without the call's audio: it cannot be read" in page
    assert "<audio" not in page


async def record(path: Path) -> None:
    """A session with its audio: two seconds of an answer, in which the caller interrupts."""
    async with PhonicServer() as phonic:
        model = RealtimeModel(api_key=KEY, base_url=phonic.url, trace=path, trace_audio=True)
        async with conversation(model, phonic) as (session, peer, emitted):
            session.push_audio(rtc.AudioFrame(tone(1_000, 0.02), 24_000, 1, 480))
            await peer.receive_audio(1)
            answer = [server.AudioChunk(tone(4_000, 1), word) for word in ("One ", "two")]
            await peer.send(server.AssistantStartedSpeaking(), *answer)
            await peer.send(server.UserStartedSpeaking(), server.UserFinishedSpeaking())
            await settle(peer, emitted)


@pytest.fixture
def with_audio(tmp_path: Path) -> Path:
    """A recorded call of half a minute: the caller interrupts after 1.5 s of the answer."""
    path = tmp_path / "call.jsonl"
    with start_blocking_portal() as portal:  # Playwright's own loop is this thread's
        portal.call(record, path)
    header, *lines = map(json.loads, path.read_bytes().splitlines())
    late = 0.0
    for line in lines:
        late += {"user_started_speaking": 1.5, "close": 30.0}.get(line["event"]["type"], 0.0)
        line["t"] += late
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in (header, *lines)))
    return path


def test_an_answer_is_heard_until_it_is_interrupted(with_audio):
    found = re.search(r'src="data:audio/wav;base64,(.*?)"', make_report(with_audio).html)
    assert found is not None
    speech, *_ = data_of(with_audio)["lanes"]["assistant"]
    assert speech["end"] - speech["start"] == pytest.approx(1.5, abs=0.2)
    start, end = speech["start"], speech["end"]
    # A sample at the end itself may be the mean of both sides of it.
    around = (start - 0.02, start + 0.05, end - 0.01, end + 0.01)
    before, *during, after = heard_at(base64.b64decode(found[1]), 16_000, *around)
    assert before in (0, 1_000)
    assert set(during) <= {4_000, 5_000}
    assert after == 0


def test_a_redacted_trace_keeps_silent_even_beside_the_audio(with_audio):
    redacted = with_audio.with_name("call.jsonl.gz")
    assert run("redact", with_audio, redacted).returncode == 0
    assert side_files(redacted) == side_files(with_audio)
    assert "<audio" not in make_report(redacted).html


# -- the command --------------------------------------------------------------------------------


def test_the_command_writes_a_page_and_overwrites_it(tmp_path):
    page = tmp_path / "call.html"
    for _ in range(2):
        result = run_process("report", MYSTERY, "--out", page)
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"identical: 904 steps replayed; see {page}\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_command_overwrites_no_other_file(tmp_path):
    trace = shutil.copy(MYSTERY, tmp_path / "call.jsonl")
    result = run("report", trace, "--out", trace)
    assert_is_one_line_and_exit_2(result, says="is there and is no page")
    assert trace.read_bytes() == MYSTERY.read_bytes()


@pytest.mark.parametrize(
    ("page", "says"), [("nowhere/call.html", "No such file or directory"), (".", "Is a directory")]
)
def test_a_page_that_cannot_be_written_is_one_line(page, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("report", MYSTERY, "--out", page)
    assert_is_one_line_and_exit_2(result, says=says)


def test_the_page_of_a_trace_that_is_cut_off_has_what_stands_before(tmp_path):
    trace = changed(TRACES / "normal_turn.jsonl", tmp_path, cut_off)
    page = tmp_path / "call.html"
    result = run("report", trace, "--out", page)
    assert_is_one_line_and_exit_2(result, says="is cut off")
    assert "has the steps before it" in result.stderr
    assert len(data_of(trace)["steps"]["times"]) == len(trace.read_bytes().splitlines()) - 2


def test_the_command_says_where_the_replay_diverges(tmp_path):
    trace = changed(TRACES / "normal_turn.jsonl", tmp_path, another_target)
    result = run("report", trace, "--out", tmp_path / "call.html")
    assert result.returncode == 1
    assert result.stdout.startswith("diverged at step 6;")


# -- the page in a browser ----------------------------------------------------------------------

Show = Callable[..., Page]


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Opens a trace's page from disk; whatever it asks for or complains about fails the test."""
    contexts = []
    asked: list[str] = []
    complaints: list[str] = []

    def show(trace: Path, fragment: str = "", *, timed: bool = False, **options: Any) -> Page:
        """``timed``: the page's time passes by ``page.clock`` alone."""
        file = tmp_path / f"{trace.stem}.html"
        file.write_text(make_report(trace).html, encoding="utf-8")
        context = browser.new_context(viewport=options.pop("viewport", WIDE), **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        if timed:
            page.clock.install(time=0)
            page.clock.pause_at(1000)
        page.goto(file.as_uri() + fragment)
        if timed:
            page.clock.run_for(100)
        expect(page.locator("#now")).to_contain_text("step")
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(tmp_path.as_uri())] == []
    assert len(asked) == len(contexts)


def at_step(page: Page, number: int) -> None:
    """Every part of the page is at this step."""
    expect(page.locator("#chosen-title")).to_have_text(f"Step {number}")
    expect(page.locator("#now")).to_contain_text(f"step {number}")
    expect(page.locator("#timeline")).to_have_attribute("aria-valuenow", str(number))


def in_state(page: Page, state: str) -> None:
    expect(page.locator("#state-now .chip")).to_have_text(state.replace("_", " "))
    expect(page.locator("#diagram .state.now")).to_have_class(f"state s-{state} been now")


def place_of(page: Page, seconds: float) -> tuple[float, float]:
    """Where a moment stands on the timeline, while it shows the whole call."""
    box = page.locator("#timeline").bounding_box()
    assert box is not None
    length = page.evaluate("JSON.parse(document.getElementById('data').textContent).lanes.seconds")
    gutter = 92 if box["width"] >= 640 else 0
    share = (seconds + 0.012 * length) / (1.024 * length)
    return box["x"] + gutter + share * (box["width"] - gutter), box["y"] + 90


def test_the_page_may_ask_for_nothing(show):
    page = show(MYSTERY)
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.locator("script[src], link, img, iframe").count() == 0


def test_it_opens_at_the_first_thing_that_went_wrong(show):
    page = show(MYSTERY)
    at_step(page, 586)
    expect(page.locator("#chosen .mark")).to_contain_text("3.9 s of silence")
    expect(page.locator("#verdict")).to_have_text("Replays identically")


def test_the_cursor_moves_state_and_step_together(show):
    page = show(MYSTERY)
    page.mouse.move(*place_of(page, 11.0))
    page.mouse.down()
    in_state(page, "listening")
    expect(page.locator("#talk [aria-current] .who")).to_have_text("Assistant")
    page.mouse.move(*place_of(page, 14.3))
    in_state(page, "reconnecting")
    page.mouse.move(*place_of(page, 16.0), steps=5)
    page.mouse.up()
    at_step(page, 595)
    in_state(page, "reconnecting")
    expect(page.locator("#steps [aria-selected=true]")).to_have_attribute("data-step", "595")
    expect(page.locator("#timeline")).to_have_attribute(
        "aria-valuetext", re.compile("reconnecting")
    )
    page.mouse.move(*place_of(page, 5.0))
    at_step(page, 595)


def test_the_diagram_weighs_the_way_so_far(show):
    page = show(MYSTERY, "#step=5")
    in_state(page, "ready")
    assert page.locator("#diagram .line.been").count() == 2
    page.keyboard.press("End")
    in_state(page, "closed")
    assert page.locator("#diagram .line.been").count() > 6
    assert page.locator("#diagram .line.never").count() > 10
    expect(page.locator("#diagram .s-awaiting_inputs")).not_to_have_class(re.compile("been"))
    assert page.locator("#diagram .state").count() == len(ALL)


def test_a_step_tells_its_event_its_guards_its_effects_and_the_memory(show):
    page = show(MYSTERY, "#step=589")
    chosen = page.locator("#chosen")
    expect(chosen.locator(".event")).to_have_text("connection_closed")
    expect(chosen.locator(".move")).to_have_text("tool pending → reconnecting")
    expect(chosen.locator(".taken")).to_contain_text("can be resumed? yes")
    expect(chosen.locator(".effects > li code").first).to_have_text("set_audio_gate")
    expect(chosen.locator(".memory")).to_contain_text("find_table")
    expect(chosen.locator(".memory dd.changed").first).to_contain_text("resumed")
    page.keyboard.press("Home")
    page.goto(page.url.split("#")[0] + "#step=584")
    passed = chosen.locator(".passed").filter(has_text="caller may speak? no")
    expect(passed.first).to_be_visible()


def test_a_step_has_an_address(show):
    page = show(MYSTERY, "#step=593")
    at_step(page, 593)
    page.keyboard.press("ArrowRight")
    at_step(page, 594)
    page.wait_for_url("**#step=594")
    page.goto(page.url.replace("594", "3"))
    at_step(page, 3)


def test_search_finds_steps_by_what_they_hold(show):
    page = show(MYSTERY)
    page.keyboard.press("/")
    page.keyboard.type("by the window")
    expect(page.locator("#steps .row b").first).to_have_text("update_chat_ctx")
    shown = page.locator("#steps .row").all_inner_texts()
    assert 0 < len(shown) < 8
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    at_step(page, 593)
    page.locator("#search").fill("nothing has this in it")
    expect(page.locator("#steps .row")).to_have_count(0)
    expect(page.locator("#shown")).to_have_text("0 of 904")


def test_steps_are_chosen_by_kind(show):
    page = show(MYSTERY)
    everything = page.locator("#shown")
    expect(everything).to_have_text("40 of 904")
    kinds = page.locator("#kinds")
    kinds.get_by_role("button", name="audio").click()
    expect(everything).to_have_text("904")
    kinds.get_by_role("button", name="moves only").click()
    moves = sum(step.step.source is not step.step.target for step in replay(MYSTERY))
    expect(everything).to_have_text(f"{moves} of 904")
    kinds.get_by_role("button", name="moves only").click()
    for name in ("audio", "connection", "settings", "chat", "speech"):
        kinds.get_by_role("button", name=name).click()
    # What moves to another state is always shown.
    assert "tool_call_output_processed" in page.locator("#steps").inner_text()
    assert "retry_due" not in page.locator("#steps").inner_text()


def test_the_keyboard_goes_everywhere(show):
    page = show(MYSTERY, "#step=1")
    at_step(page, 1)
    page.keyboard.press("n")
    at_step(page, 586)
    page.keyboard.press("n")
    at_step(page, 589)
    page.keyboard.press("p")
    at_step(page, 586)
    page.keyboard.press("Shift+ArrowRight")
    at_step(page, 588)
    page.keyboard.press("ArrowLeft")
    at_step(page, 587)
    page.keyboard.press("End")
    at_step(page, 904)
    page.keyboard.press("ArrowRight")
    at_step(page, 904)
    page.locator("#steps").focus()
    page.keyboard.press("ArrowUp")
    at_step(page, 903)


def test_it_plays_and_stops(show):
    page = show(MYSTERY, "#step=586", timed=True)
    page.keyboard.press("4")
    page.keyboard.press(" ")
    page.clock.run_for(100)
    expect(page.locator("#speed")).to_have_text("4×")
    expect(page.locator("#play")).to_have_text("Pause")
    page.clock.run_for(400)
    in_state(page, "reconnecting")
    page.keyboard.press(" ")
    page.clock.run_for(100)
    expect(page.locator("#play")).to_have_text("Play")
    stopped = page.locator("#now").inner_text()
    page.clock.run_for(1000)
    assert page.locator("#now").inner_text() == stopped


SOUND = "document.getElementById('sound')"


def until(page: Page, condition: str) -> None:
    """Waits as Playwright itself cannot where a page forbids to evaluate text."""
    page.evaluate(
        f"async () => {{ while (!({condition})) await new Promise(requestAnimationFrame); }}"
    )


def test_the_sound_goes_with_the_cursor(with_audio, show):
    page = show(with_audio, "#step=1")
    until(page, f"{SOUND}.readyState >= 3")
    seconds = data_of(with_audio)["lanes"]["seconds"]
    assert page.evaluate(f"{SOUND}.duration") == pytest.approx(seconds, abs=0.001)
    assert page.evaluate(f"{SOUND}.paused")

    page.mouse.click(*place_of(page, 20.0))
    assert page.evaluate(f"{SOUND}.currentTime") == pytest.approx(20.0, abs=0.05)
    page.keyboard.press("End")
    assert page.evaluate(f"{SOUND}.currentTime") == pytest.approx(seconds, abs=0.001)

    page.keyboard.press("Home")
    page.keyboard.press(" ")
    until(page, f"{SOUND}.currentTime > 0.3")
    page.keyboard.press("4")
    assert page.evaluate(f"{SOUND}.playbackRate") == 4
    # What the sound does, the cursor does: from here on it takes hours to the end.
    page.evaluate(f"{SOUND}.playbackRate = 0.0625")
    page.evaluate(f"{SOUND}.currentTime = 10")
    expect(page.locator("#now")).to_contain_text("0:10.")
    page.keyboard.press(" ")
    expect(page.locator("#play")).to_have_text("Play")
    assert page.evaluate(f"{SOUND}.paused")
    minutes, rest = page.locator("#now").inner_text().split(" ")[0].split(":")
    shown = int(minutes) * 60 + float(rest)
    assert page.evaluate(f"{SOUND}.currentTime") == pytest.approx(shown, abs=0.001)


def test_the_sound_leads_to_the_end_and_begins_again(with_audio, show):
    page = show(with_audio)
    until(page, f"{SOUND}.readyState >= 3")
    page.mouse.click(*place_of(page, data_of(with_audio)["lanes"]["seconds"] - 0.3))
    page.keyboard.press(" ")
    until(page, f"{SOUND}.ended")
    expect(page.locator("#play")).to_have_text("Play")
    at_step(page, len(with_audio.read_bytes().splitlines()) - 1)
    assert page.evaluate(f"{SOUND}.paused")
    assert page.evaluate(f"{SOUND}.played.start(0)") > 10
    page.keyboard.press(" ")
    until(page, f"{SOUND}.played.start(0) < 0.1")


def test_the_sound_can_be_muted(with_audio, show):
    page = show(with_audio)
    mute = page.get_by_role("button", name="Mute")
    expect(mute).to_have_attribute("aria-pressed", "false")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "true")
    assert page.evaluate(f"{SOUND}.muted")
    page.keyboard.press("m")
    expect(mute).to_have_attribute("aria-pressed", "false")
    assert not page.evaluate(f"{SOUND}.muted")


def test_without_audio_there_is_no_player(show):
    page = show(MYSTERY)
    assert page.locator("audio").count() == 0
    expect(page.locator("#mute")).to_be_hidden()
    assert "media-src" not in page.locator("meta[http-equiv]").get_attribute("content")
    page.keyboard.press("m")


def test_marks_lead_to_where_they_are(show):
    page = show(MYSTERY, "#step=1")
    marks = page.locator("#findings button")
    expect(marks).to_have_count(3)
    expect(marks.nth(1)).to_contain_text("could not be sent until 2.8 s later")
    marks.nth(1).click()
    at_step(page, 589)
    in_state(page, "reconnecting")
    expect(page.locator("#talk .gap")).to_have_text(
        [re.compile("3.9 s of silence$"), re.compile("no connection for 3.6 s$")]
    )
    page.locator("#talk .gap button").first.click()
    at_step(page, 586)


def test_zooming_draws_a_part_and_the_whole_again(show):
    page = show(MYSTERY)
    drawn = "() => document.getElementById('lanes').toDataURL()"
    whole = page.evaluate(drawn)
    page.keyboard.press("+")
    page.keyboard.press("+")
    near = page.evaluate(drawn)
    assert near != whole
    page.mouse.move(*place_of(page, 12.0))
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 200)
    page.keyboard.up("Shift")
    assert page.evaluate(drawn) not in (near, whole)
    page.locator("#zoom-fit").click()
    assert page.evaluate(drawn) == whole


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_is_wider_than_the_window(viewport, show):
    page = show(MYSTERY, "#step=593", viewport=viewport)
    width = viewport["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = """(width) => [...document.querySelectorAll("main *, header *, footer *")]
        .filter((node) => !node.closest(".hidden, .row, svg, details:not([open])"))
        .filter((node) => { const box = node.getBoundingClientRect();
            return box.width && (box.right > width + 1 || box.left < -1); })
        .map((node) => node.tagName + "." + node.className)"""
    assert page.evaluate(outside, width) == []
    for part in ("#timeline canvas", "#diagram svg", "#steps .row", "#chosen", "#talk"):
        assert page.locator(part).first.bounding_box()["width"] > 200


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A conversation in which everybody says what no page should be told."""

    def change(lines: list[bytes]) -> None:
        said = json.dumps(HOSTILE).encode()
        for number, line in enumerate(lines):
            lines[number] = line.replace(b'"Hi!"', said).replace(b'"there."', said)
            lines[number] = lines[number].replace(b'"Hello there."', b'"Hello ' + said[1:])

    (tmp_path / "<b>&quot;").mkdir()
    return changed(TRACES / "normal_turn.jsonl", tmp_path / "<b>&quot;", change)


def test_whatever_was_said_shows_as_text(hostile, show):
    page = show(hostile)
    expect(page.locator("#verdict")).to_have_text("Replays identically")
    assert page.locator("#talk .text").first.text_content() == HOSTILE
    page.locator("#search").fill("window.hacked")
    page.locator("#steps .row").first.click()
    expect(page.locator("#chosen .event")).to_have_text("input_text")
    assert HOSTILE in page.locator("#chosen .fields dd").first.text_content()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == WIDE["width"]


def test_a_file_may_be_called_anything(tmp_path, show):
    name = '<img src=x onerror=alert(1)> &amp; ".jsonl'
    trace = Path(shutil.copy(TRACES / "welcome.jsonl", tmp_path / name))
    page = show(trace)
    expect(page.locator("#name")).to_have_text(name)


def test_it_is_light_and_dark_as_the_system_is(show):
    ground = "getComputedStyle(document.body).backgroundColor"
    lanes = "document.getElementById('lanes').toDataURL()"
    page = show(MYSTERY, color_scheme="light")
    light = page.evaluate(f"[{ground}, {lanes}]")
    page.emulate_media(color_scheme="dark")
    frame = "await new Promise(requestAnimationFrame)"
    page.evaluate(f"async (before) => {{ while ({lanes} === before) {frame}; }}", light[1])
    dark = page.evaluate(ground)
    assert sum(map(int, re.findall(r"\d+", dark))) < 120
    assert sum(map(int, re.findall(r"\d+", light[0]))) > 600


def test_on_paper_it_has_the_story_and_no_buttons(show):
    page = show(MYSTERY)
    page.emulate_media(media="print")
    for part in ("#findings", "#lanes", "#diagram", "#talk", "#numbers"):
        expect(page.locator(part)).to_be_visible()
    for part in ("#steps", ".transport", "footer"):
        expect(page.locator(part)).to_be_hidden()
    talk = page.locator("#talk")
    assert talk.evaluate("(node) => node.scrollHeight <= node.clientHeight + 1")


def test_what_was_cut_off_is_struck_through(show):
    page = show(MYSTERY)
    expect(page.locator("#talk s")).to_have_text(
        " on the terrace, and on Sundays there is music as well."
    )


def test_a_screen_reader_finds_its_way(show):
    page = show(MYSTERY, "#step=589")
    for role in ("main", "banner", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)
    for name in ("What stands out", "Numbers", "Timeline", "State", "Steps", "Conversation"):
        expect(page.get_by_role("region", name=name, exact=True)).to_have_count(1)
    expect(page.get_by_role("slider", name="Cursor in the call")).to_have_attribute(
        "aria-valuetext", "step 589 of 904, 0:13.662, connection_closed, reconnecting"
    )
    expect(page.get_by_role("listbox", name="Steps")).to_have_attribute(
        "aria-activedescendant", "step-589"
    )
    expect(page.locator("#spoken")).to_have_text("Step 589, connection_closed, reconnecting")
    nameless = """() => [...document.querySelectorAll("button, input, [role], summary, a")].filter(
        (node) => !(node.textContent.trim() || node.ariaLabel || node.getAttribute("role") ===
            "presentation" || node.getAttribute("aria-labelledby") || node.id === "spoken"))
        .map((node) => node.outerHTML.slice(0, 80))"""
    assert page.evaluate(nameless) == []
    levels = page.locator("h1, h2, h3").evaluate_all("(all) => all.map((one) => +one.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_focus_goes_through_the_page_in_its_order(show):
    page = show(MYSTERY)
    focused = "document.activeElement.id || document.activeElement.className"
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(focused))
    assert seen[0] == "skip"
    order = ["finding error", "play", "next-finding", "timeline", "search", "steps"]
    assert [name for name in dict.fromkeys(seen) if name in order] == order


def test_the_timeline_is_there_as_a_table(show):
    page = show(MYSTERY)
    page.get_by_text("The timeline as a table").click()
    table = page.get_by_role("table")
    expect(table).to_contain_text("find_table")
    row = table.get_by_role("row").filter(has_text="reconnecting")
    row.get_by_role("link").click()
    at_step(page, 589)
    in_state(page, "reconnecting")


def test_a_difference_is_shown_where_it_is(tmp_path, show):
    page = show(changed(TRACES / "normal_turn.jsonl", tmp_path, another_target))
    expect(page.locator("#verdict")).to_have_text("Replay diverges at step 6")
    at_step(page, 6)
    expect(page.locator("#chosen .difference")).to_contain_text("closed")
    page.keyboard.press("End")
    expect(page.locator("#chosen")).to_contain_text("Not known")


def test_a_trace_without_steps_is_a_page_too(tmp_path, browser):
    trace = changed(RECORDED[0], tmp_path, lambda lines: lines.__delitem__(slice(1, None)))
    file = tmp_path / "empty.html"
    file.write_text(make_report(trace).html, encoding="utf-8")
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    expect(page.locator("#about")).to_contain_text("0 steps")
    page.close()
    assert complaints == []


def test_the_longest_call_has_no_more_marks_on_its_ruler_than_there_is_room_for(tmp_path, browser):
    def late(lines):
        lines[8:] = [re.sub(rb'"t":[^,]+', b'"t":%d' % LONGEST_CALL, line) for line in lines[8:]]

    file = tmp_path / "long.html"
    file.write_text(
        make_report(changed(TRACES / "tool_call.jsonl", tmp_path, late)).html, encoding="utf-8"
    )
    page = browser.new_page()
    page.add_init_script("""
        window.drawn = 0;
        const fillRect = CanvasRenderingContext2D.prototype.fillRect;
        CanvasRenderingContext2D.prototype.fillRect = function (...area) {
          window.drawn++;
          fillRect.apply(this, area);
        };
    """)
    page.goto(file.as_uri())
    page.wait_for_function("window.drawn > 0")
    assert page.evaluate("window.drawn") < 2_000
    page.close()


def test_of_many_steps_only_those_in_sight_are_drawn(tmp_path, show):
    begin = beginning()
    chunks = [server.AudioChunk(b"\1\0" * 480)] * 5_000
    path = spoken(tmp_path / "long.jsonl", [*begin, server.AssistantStartedSpeaking(), *chunks])
    page = show(path)
    page.get_by_role("button", name="audio").click()
    page.keyboard.press("End")
    at_step(page, 5_006)
    expect(page.locator("#steps [aria-selected=true]")).to_be_visible()
    assert page.locator("#steps .row").count() < 100
