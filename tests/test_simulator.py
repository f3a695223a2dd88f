"""The simulator as a client meets it, over a real socket, and its pure parts on their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from phonic_fsm.runtime import mulaw
from phonic_fsm.simulator import (
    ASSISTANT_PITCH_HZ,
    Call,
    PhonicSimulator,
    Scenario,
    ScenarioError,
    SpeechDetector,
    SpeechEdge,
    Turn,
    load_scenario,
    scenario_names,
    speak,
)
from phonic_fsm.wire import client, server
from phonic_fsm.wire.codec import decode_server, encode
from phonic_fsm.wire.config import ConfigOptions, InlineTool

pytestmark = pytest.mark.anyio

RATE = 8000
LINE = "The sea covers most of our planet, and it is home to countless animals."
M = TypeVar("M")


@pytest.fixture(autouse=True)
def no_failed_handler(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """websockets logs what a handler raises, and goes on."""
    yield
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def config(**fields: Any) -> client.Config:
    """Audio at 8 kHz, as fast as it is generated."""
    settings = {
        "input_format": "pcm_8000",
        "output_format": "pcm_8000",
        "stream_ahead_of_real_time": True,
    }
    return client.Config(**{**settings, **fields})


def tool(name: str, **fields: Any) -> InlineTool:
    schema = {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    return InlineTool(tool_schema=schema, **fields)


class Caller:
    """The other end of the line."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[Any] = []
        """Every message so far, audio among it."""

    @property
    def kinds(self) -> list[str]:
        """The types of the messages so far, without audio."""
        tags = [message.__struct_config__.tag for message in self.heard]
        return [tag for tag in tags if tag != "audio_chunk"]

    @property
    def text(self) -> str:
        """What the assistant said so far."""
        return "".join(m.text for m in self.heard if isinstance(m, server.AudioChunk))

    async def send(self, *messages: client.ClientMessage) -> None:
        for message in messages:
            await self.socket.send(encode(message), text=True)

    async def until(self, kind: type[M]) -> M:
        """The next message of this kind."""
        while True:
            message = decode_server(await self.socket.recv())
            self.heard.append(message)
            if isinstance(message, kind):
                return message

    async def until_said(self, text: str) -> None:
        while text not in self.text:
            await self.until(server.AudioChunk)

    async def play(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), RATE // 25):
            await self.send(client.AudioChunk(pcm[start : start + RATE // 25]))

    async def play_mulaw(self, pcm: bytes) -> None:
        sound = mulaw.encode(pcm)
        for start in range(0, len(sound), RATE // 25):
            await self.send(client.AudioChunk(sound[start : start + RATE // 25]))

    async def begin_to_speak(self) -> None:
        await self.play(speak("Aha", RATE).pcm)

    async def fall_silent(self) -> None:
        await self.play(bytes(RATE * 2 * 6 // 10))

    async def speak(self, text: str = "Hello there") -> None:
        await self.play(speak(text, RATE).pcm)
        await self.fall_silent()

    async def refused(self, frame: str | bytes | client.ClientMessage) -> server.Error:
        if not isinstance(frame, (str, bytes)):
            frame = encode(frame).decode()
        await self.socket.send(frame)
        return await self.until(server.Error)


@asynccontextmanager
async def dial(sim: PhonicSimulator, query: str = "") -> AsyncIterator[Caller]:
    headers = {"Authorization": "Bearer key"}
    url = f"{sim.url}/v1/sts/ws{query}"
    async with connect(url, additional_headers=headers, compression=None) as socket:
        yield Caller(socket)


@asynccontextmanager
async def call(
    scenario: Scenario, configured: client.Config | None = None
) -> AsyncIterator[tuple[PhonicSimulator, Caller]]:
    """A conversation that is ready."""
    async with PhonicSimulator(scenario) as sim, dial(sim) as caller:
        await caller.send(configured or config())
        await caller.until(server.ReadyToStartConversation)
        yield sim, caller


def one_turn(**fields: Any) -> Scenario:
    return Scenario(turns=(Turn(caller="Hello", **fields),))


WEATHER = one_turn(
    assistant="Let me see.",
    calls=(Call(tool="get_weather", parameters={"city": "Paris"}, then="It is {output}."),),
)


# -- voice -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100])
def test_voice_is_loud_enough_and_peaks_at_6_dbfs(rate: int) -> None:
    samples = np.frombuffer(speak(LINE, rate).pcm, "<i2") / 32768
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.001)
    assert 20 * np.log10(np.sqrt(np.mean(samples**2))) > -25


def test_voice_is_deterministic_and_timed_alike_at_every_rate() -> None:
    speech = speak(LINE, 24000)
    speak.__globals__["_speak"].cache_clear()
    assert speak(LINE, 24000) == speech
    assert speak(LINE, 8000).words == speech.words
    assert speak(LINE, 24000, pitch_hz=200).pcm != speech.pcm


def test_voice_speaks_at_the_pace_of_speech() -> None:
    text = "Hello, how can I help you today? The weather in Paris is sunny, with a light breeze."
    speech = speak(text, RATE)
    assert 140 < len(speech.words) / speech.duration_ms * 60_000 < 195


@pytest.mark.parametrize("text", ["One  two,\nthree. ", " 4 – 5", "Žluťoučký kůň", "你好", "..."])
def test_words_joined_are_the_text(text: str) -> None:
    speech = speak(text, RATE)
    assert "".join(word.text for word in speech.words) == text
    assert speech.text_between(0, speech.duration_ms) == text


def test_nothing_to_say_is_no_audio() -> None:
    assert speak(" ", RATE).pcm == b""


def test_pitch_is_the_one_asked_for() -> None:
    for pitch in (115.0, 185.0):
        samples = np.frombuffer(speak("a", RATE, pitch_hz=pitch).pcm, "<i2")[:1000].astype(float)
        correlation = np.correlate(samples, samples, "full")[999:]
        period = 30 + int(np.argmax(correlation[30:100]))
        assert RATE / period == pytest.approx(pitch * 1.18, rel=0.1)


# -- speech detection --------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [2, 320, 642, 100_000])
def test_detector_finds_each_utterance(chunk: int) -> None:
    silence = bytes(RATE * 2)
    said = speak("What is the weather like in Paris?", RATE).pcm
    audio = silence + said + silence + said + silence
    detector = SpeechDetector(RATE)
    edges = []
    for start in range(0, len(audio), chunk):
        edges += detector.feed(audio[start : start + chunk])
    assert edges == [SpeechEdge.STARTED, SpeechEdge.FINISHED] * 2
    assert not detector.speaking


def test_detector_honours_its_arguments() -> None:
    said = speak("Hello there, my friend", RATE).pcm
    assert SpeechDetector(RATE, threshold_dbfs=0).feed(said) == []
    assert SpeechDetector(RATE, min_speech_ms=5000).feed(said) == []
    edges = SpeechDetector(RATE, min_silence_ms=100).feed(said + bytes(RATE))
    assert edges == [SpeechEdge.STARTED, SpeechEdge.FINISHED] * 2  # the comma is a pause


# -- scenarios ---------------------------------------------------------------------------------


def test_shipped_scenarios_are_short() -> None:
    assert scenario_names() == ("demo", "interruption", "small-talk", "tool-call")
    for name in scenario_names():
        scenario = load_scenario(name)
        lines = [scenario.welcome]
        for turn in scenario.turns:
            lines += [turn.caller, *(c.then for c in turn.calls)]
            if turn.interrupt_after_ms is None:
                lines.append(turn.assistant)
        waits = sum(t.interrupt_after_ms or 0 for t in scenario.turns) + 500 * len(scenario.turns)
        spoken = sum(speak(line, RATE).duration_ms for line in lines if line)
        assert spoken + waits < 15_000, name


def test_interruption_barges_in_on_a_long_line() -> None:
    turn = load_scenario("interruption").turns[0]
    assert turn.assistant
    assert turn.interrupt_after_ms
    assert speak(turn.assistant, RATE).duration_ms > 2 * turn.interrupt_after_ms


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"turns": [{"caller": 1}]}', "$.turns[0].caller"),
        ('{"turns": [{"asistant": "Hi"}]}', "asistant"),
        ('{"turns": [{"close": 1006}]}', "1006"),
        ('{"turns": [{"end": true, "drop": true}]}', "at most one"),
        ('{"turns": [{"calls": [{}]}]}', "tool"),
        ("{", "truncated"),
    ],
)
def test_bad_scenario_names_file_and_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        PhonicSimulator(path)
    message = str(caught.value)
    assert str(path) in message
    assert problem in message
    assert "\n" not in message


def test_documented_example_is_valid(tmp_path: Path) -> None:
    document = Path(__file__).parent.parent / "docs" / "scenarios.md"
    path = tmp_path / "example.json"
    path.write_text(document.read_text().split("```json\n")[1].split("```")[0])
    assert len(load_scenario(path).turns) == 3


def test_missing_scenario_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="small-talk"):
        load_scenario("no-such")
    with pytest.raises(ScenarioError, match=r"no\.json"):
        load_scenario(tmp_path / "no.json")


async def test_scenario_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"welcome": "Mine."}))
    async with PhonicSimulator(path) as sim, dial(sim) as caller:
        await caller.send(config())
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Mine."


# -- handshake ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/other", {"Authorization": "Bearer key"}, 404),
        ("/v1/sts/ws", {}, 401),
        ("/v1/sts/ws", {"Authorization": "Bearer "}, 401),
        ("/v1/sts/ws", {"Authorization": "Basic key"}, 401),
    ],
)
async def test_handshake_refused(path: str, headers: dict[str, str], status: int) -> None:
    async with PhonicSimulator() as sim:
        with pytest.raises(InvalidStatus) as caught:
            await connect(sim.url + path, additional_headers=headers)
        assert caught.value.response.status_code == status
        assert sim.conversations == []


# -- a plain conversation ----------------------------------------------------------------------


async def test_a_turn_in_order() -> None:
    async with call(one_turn(assistant="Hi, I am here.")) as (sim, caller):
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds == [
            "conversation_created",
            "ready_to_start_conversation",
            "user_started_speaking",
            "user_finished_speaking",
            "input_text",
            "assistant_started_speaking",
            "assistant_finished_speaking",
        ]
        assert server.InputText("Hello", "en") in caller.heard
        chunks = [m for m in caller.heard if isinstance(m, server.AudioChunk)]
        assert {len(chunk.audio) for chunk in chunks} == {RATE * 2 // 50}
        assert [chunk.timings is not None for chunk in chunks] == [True] + [False] * (
            len(chunks) - 1
        )
        assert [chunk.text for chunk in chunks if chunk.text] == ["Hi,", " I", " am", " here."]

        record = sim.conversations[0]
        assert isinstance(caller.heard[0], server.ConversationCreated)
        assert record.conversation_id == caller.heard[0].conversation_id
        assert record.sent == [m for m in caller.heard if not isinstance(m, server.AudioChunk)]
        assert record.received == [config()]
        assert len(record.audio) >= len(speak("Hello there", RATE).pcm)


async def test_paced_audio_says_the_same() -> None:
    configured = config(stream_ahead_of_real_time=False, welcome_message="Hi.")
    async with call(Scenario(), configured) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Hi."


async def test_mulaw_both_ways() -> None:
    configured = config(input_format="mulaw_8000", output_format="mulaw_8000")
    async with call(one_turn(assistant="Hi."), configured) as (sim, caller):
        said = speak("Hello there", RATE).pcm + bytes(RATE * 2 * 6 // 10)
        await caller.play_mulaw(said)
        await caller.until(server.AssistantFinishedSpeaking)
        assert "user_finished_speaking" in caller.kinds
        chunks = [m.audio for m in caller.heard if isinstance(m, server.AudioChunk)]
        assert {len(chunk) for chunk in chunks} == {RATE // 50}
        line = speak("Hi.", RATE, pitch_hz=ASSISTANT_PITCH_HZ).pcm
        assert b"".join(chunks) == mulaw.encode(line.ljust(len(chunks) * RATE * 2 // 50, b"\0"))
        assert bytes(sim.conversations[0].audio) == mulaw.encode(said)


async def test_mulaw_silence_is_silence() -> None:
    async with call(Scenario(), config(input_format="mulaw_8000")) as (_, caller):
        await caller.play_mulaw(bytes(RATE * 2))
        await caller.send(client.Say("Nobody spoke."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert "user_started_speaking" not in caller.kinds


async def test_a_chunk_of_mulaw_is_at_most_40_ms_of_single_bytes() -> None:
    async with call(Scenario(), config(input_format="mulaw_8000")) as (sim, caller):
        assert (await caller.refused(client.AudioChunk(b"\xff" * 321))).param_errors == {
            "audio": "40.125 ms of audio, more than 40 ms"
        }
        await caller.send(client.AudioChunk(b"\xff" * 320), client.AudioChunk(b"\xff" * 3))
        await sim.wait_for(lambda: len(sim.conversations[0].audio) == 323)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "The agent's."),
        ({"welcome_message": None}, "The agent's."),
        ({"welcome_message": "Ours."}, "Ours."),
        ({"welcome_message": "Ours.", "generate_welcome_message": True}, "The agent's."),
    ],
)
async def test_welcome(fields: dict[str, Any], line: str) -> None:
    async with call(Scenario(welcome="The agent's."), config(**fields)) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == line


async def test_generated_welcome_without_one_in_the_scenario() -> None:
    async with call(Scenario(), config(generate_welcome_message=True)) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text


async def test_empty_welcome_message_is_silence() -> None:
    async with call(Scenario(welcome="Hi."), config(welcome_message="")) as (_, caller):
        await caller.send(client.Say("Next."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Next."


async def test_turns_begin_again_after_the_last() -> None:
    scenario = Scenario(turns=(Turn(caller="one"), Turn(caller="two")))
    async with call(scenario) as (_, caller):
        for text in ("one", "two", "one"):
            await caller.speak()
            assert (await caller.until(server.InputText)).text == text


async def test_vad_settings_are_honoured() -> None:
    fields = {"vad_threshold": 1.0, "vad_min_silence_duration_ms": 100}
    async with call(one_turn(assistant="Hi."), config(**fields)) as (_, caller):
        await caller.play((np.frombuffer(speak("Aha", RATE).pcm, "<i2") // 4).tobytes())
        await caller.play(bytes(RATE // 2))
        await caller.send(client.Say("Nothing heard."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert "user_started_speaking" not in caller.kinds
        await caller.begin_to_speak()
        await caller.play(bytes(RATE // 2))
        await caller.until(server.UserFinishedSpeaking)


async def test_push_to_talk() -> None:
    async with call(one_turn(assistant="Hi."), config(push_to_talk=True)) as (_, caller):
        await caller.speak("Nobody hears this")
        await caller.send(client.Unmute())
        await caller.begin_to_speak()
        await caller.send(client.Mute(), client.Mute())
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds.count("user_started_speaking") == 1
        assert caller.kinds.count("user_finished_speaking") == 1


# -- refusals ----------------------------------------------------------------------------------


async def test_config_comes_first() -> None:
    async with PhonicSimulator() as sim, dial(sim) as caller:
        error = await caller.refused(client.Say("Hi."))
        assert "config" in error.error.message
        await caller.send(config())
        await caller.until(server.ReadyToStartConversation)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (config(), "type"),
        ('{"type": "say", "text": 1}', "text"),
        ('{"type": "say"}', "text"),
        ('{"type": "reset", "config": {"input_format": "mp3"}}', "config.input_format"),
        (
            '{"type": "reset", "config": {"tools": [{"type": "custom_websocket"}]}}',
            "config.tools[0].tool_schema",
        ),
        (client.Reset(ConfigOptions(tools=["a", tool("a")])), "config.tools[1]"),
        (client.UpdateToolsSubset(["a", "b", "a"]), "tools[2]"),
        (
            client.UpdateToolsSubset([InlineTool(tool_schema={})]),
            "tools[0].tool_schema.function.name",
        ),
        (client.AudioChunk(bytes(RATE * 2 * 41 // 1000)), "audio"),
        (client.AudioChunk(bytes(3)), "audio"),
        ('{"type": "audio_chunk", "audio": "?"}', "audio"),
        (client.ToolCallOutput("no-such", "x"), "tool_call_id"),
        ('{"type": "sing"}', "type"),
    ],
)
async def test_refusal_names_the_field(frame: str | client.ClientMessage, field: str) -> None:
    async with call(Scenario()) as (_, caller):
        error = await caller.refused(frame)
        assert error.error.code
        assert list(error.param_errors or ()) == [field]
        await caller.send(client.Say("The line is still open."))
        await caller.until(server.AssistantFinishedSpeaking)


@pytest.mark.parametrize("fields", [{"output_format": "mp3"}, {"tools": ["a", "a"]}])
async def test_refused_config_can_be_sent_again(fields: dict[str, Any]) -> None:
    async with PhonicSimulator() as sim, dial(sim) as caller:
        error = await caller.refused(config(**fields))
        assert error.param_errors
        await caller.send(config())
        await caller.until(server.ReadyToStartConversation)


@pytest.mark.parametrize(
    ("frame", "named"), [("{", "frame"), (b"{}", "binary"), ('{"type": "sing"}', "sing")]
)
async def test_frames_that_are_no_messages(frame: str | bytes, named: str) -> None:
    async with call(Scenario()) as (_, caller):
        assert named in (await caller.refused(frame)).error.message


# -- interruptions -----------------------------------------------------------------------------


async def test_interruption_tells_what_was_spoken() -> None:
    configured = config(stream_ahead_of_real_time=False, welcome_message=LINE)
    async with call(Scenario(turns=(Turn(caller="Wait"),)), configured) as (_, caller):
        await caller.until_said("The sea covers")
        await caller.speak()
        interrupted = await caller.until(server.InterruptedResponse)
        assert interrupted.text == caller.text
        assert LINE.startswith(interrupted.text)
        assert len(interrupted.text) < len(LINE)
        await caller.until(server.AssistantChoseNotToRespond)
        assert caller.kinds[-5:] == [
            "user_started_speaking",
            "interrupted_response",
            "user_finished_speaking",
            "input_text",
            "assistant_chose_not_to_respond",
        ]
        assert "assistant_finished_speaking" not in caller.kinds
        assert caller.text == interrupted.text


async def test_interruption_of_a_line_sent_ahead_is_estimated_by_the_clock() -> None:
    async with call(Scenario(), config(welcome_message=LINE)) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == LINE
        await caller.begin_to_speak()
        interrupted = await caller.until(server.InterruptedResponse)
        assert LINE.startswith(interrupted.text)
        assert len(interrupted.text) < len(LINE)


async def test_a_welcome_that_cannot_be_interrupted() -> None:
    configured = config(
        stream_ahead_of_real_time=False,
        welcome_message=LINE,
        is_welcome_message_interruptible=False,
    )
    async with call(Scenario(), configured) as (_, caller):
        await not_interrupted(caller)


async def test_say_that_cannot_be_interrupted() -> None:
    async with call(Scenario(), config(stream_ahead_of_real_time=False)) as (_, caller):
        await caller.send(client.Say(LINE, interruptible=False))
        await not_interrupted(caller)


async def not_interrupted(caller: Caller) -> None:
    """The caller speaks while LINE is said, and is not heard."""
    await caller.until_said("The sea")
    await caller.speak()
    await caller.send(client.Say("Next."))  # saves waiting for the line's end
    await caller.until(server.AssistantFinishedSpeaking)
    assert "user_started_speaking" not in caller.kinds


# -- tool calls --------------------------------------------------------------------------------


async def test_tool_call() -> None:
    async with call(WEATHER, config(tools=[tool("get_weather")])) as (sim, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        assert (placed.tool_name, placed.parameters) == ("get_weather", {"city": "Paris"})
        assert caller.text == "Let me see."
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        processed = await caller.until(server.ToolCallOutputProcessed)
        assert processed.tool_call_id == placed.tool_call_id
        assert processed.tool == server.CalledTool("get_weather", "get_weather")
        assert processed.parameters == {"city": "Paris"}
        assert processed.output == "sunny"
        assert processed.timed_out is False
        assert processed.duration_ms is not None
        assert processed.conversation_item_role == "assistant"
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Let me see.It is sunny."
        assert (await sim.received(client.ToolCallOutput)).output == "sunny"

        again = await caller.refused(client.ToolCallOutput(placed.tool_call_id, "rain"))
        assert list(again.param_errors or ()) == ["tool_call_id"]


async def test_all_calls_of_a_turn_are_awaited() -> None:
    calls = (Call(tool="a", then="A {output}."), Call(tool="b", then="B {output}."))
    async with call(one_turn(calls=calls), config(tools=[tool("a"), "b"])) as (_, caller):
        await caller.speak()
        first, second = await caller.until(server.ToolCall), await caller.until(server.ToolCall)
        assert first.tool_call_id != second.tool_call_id
        await caller.send(client.ToolCallOutput(second.tool_call_id, {"x": 1}))
        await caller.until(server.ToolCallOutputProcessed)
        await caller.send(client.ToolCallOutput(first.tool_call_id, 2))
        await caller.until(server.ToolCallOutputProcessed)
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == 'A 2. B {"x":1}.'


async def test_tool_call_times_out() -> None:
    tools = [tool("get_weather", tool_call_output_timeout_ms=10)]
    async with call(WEATHER, config(tools=tools)) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        assert (await caller.until(server.ToolCallOutputProcessed)).timed_out
        await caller.until(server.AssistantFinishedSpeaking)
        assert "sorry" in caller.text
        late = await caller.refused(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        assert "tool_call_id" in (late.param_errors or {})


async def test_tool_call_is_interrupted() -> None:
    async with call(WEATHER, config(tools=[tool("get_weather")])) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.begin_to_speak()
        interrupted = await caller.until(server.ToolCallInterrupted)
        assert interrupted == server.ToolCallInterrupted(placed.tool_call_id, "get_weather")
        await caller.refused(client.ToolCallOutput(placed.tool_call_id, "sunny"))


async def test_tool_call_that_cannot_be_interrupted() -> None:
    async with call(WEATHER, config(tools=[tool("get_weather", uninterruptible=True)])) as (
        _,
        caller,
    ):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.speak()
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds.count("user_started_speaking") == 1


async def test_tool_that_the_config_lacks() -> None:
    async with call(WEATHER) as (_, caller):
        await caller.speak()
        assert "get_weather" in (await caller.until(server.Warning)).warning.message
        await caller.until(server.AssistantFinishedSpeaking)
        assert "sorry" in caller.text
        assert "tool_call" not in caller.kinds


async def test_tools_can_be_changed() -> None:
    tools = [tool("get_weather", tool_call_output_timeout_ms=10)]
    async with call(WEATHER, config(tools=tools)) as (_, caller):
        await caller.send(client.UpdateToolsSubset([]))
        await caller.speak()
        await caller.until(server.Warning)
        await caller.send(client.UpdateToolsSubset(["get_weather"]))
        await caller.speak()
        assert (await caller.until(server.ToolCallOutputProcessed)).timed_out


async def test_say_while_a_tool_runs() -> None:
    async with call(WEATHER, config(tools=[tool("get_weather")])) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.Say("One moment."))
        await caller.until(server.AssistantFinishedSpeaking)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Let me see.One moment.It is sunny."


# -- what the client asks for ------------------------------------------------------------------


async def test_generate_reply() -> None:
    async with call(Scenario(replies=("First.", "Second."))) as (_, caller):
        for expected in ("First.", "Second.", "You said: Hm"):
            before = len(caller.text)
            await caller.send(client.GenerateReply(user_message="Hm"))
            await caller.until(server.AssistantFinishedSpeaking)
            assert caller.text[before:] == expected
        await caller.send(client.GenerateReply(system_message="Be kind."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert "Be kind" not in caller.text


async def test_say_ends_the_line_that_runs() -> None:
    configured = config(stream_ahead_of_real_time=False, welcome_message=LINE)
    async with call(Scenario(), configured) as (_, caller):
        await caller.until_said("The sea")
        await caller.send(client.Say("No."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert len(caller.text) < len(LINE)
        said = caller.text
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == said + "No."
        assert (
            caller.kinds[-4:]
            == [
                "assistant_started_speaking",
                "assistant_finished_speaking",
            ]
            * 2
        )


async def test_reset_stops_everything_silently() -> None:
    async with call(WEATHER, config(tools=[tool("get_weather")])) as (sim, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        fresh = ConfigOptions(output_format="pcm_16000", stream_ahead_of_real_time=True)
        await caller.send(client.Reset(fresh))
        before = len(caller.heard)
        await caller.refused(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        assert len(caller.heard) == before + 1
        await caller.send(client.Say("Hi."))
        assert len((await caller.until(server.AudioChunk)).audio) == 16000 * 2 // 50
        assert sim.conversations[0].config == fresh


async def test_changes_are_recorded_and_applied() -> None:
    async with call(Scenario()) as (sim, caller):
        changes = (
            client.UpdateSystemPrompt("Be brief."),
            client.SetExternalId("42"),
            client.AddSystemMessage("The user is a sailor."),
        )
        await caller.send(*changes)
        assert await sim.received(client.AddSystemMessage) == changes[-1]
        record = sim.conversations[0]
        assert record.received[1:] == list(changes)
        assert record.config is not None
        assert (record.config.system_prompt, record.config.external_id) == ("Be brief.", "42")


# -- what a turn can do ------------------------------------------------------------------------


async def test_notices_and_digits() -> None:
    problem = server.Problem("careful", "c1")
    scenario = one_turn(warning=problem, error=problem, dtmf="12#", assistant="Done.")
    async with call(scenario) as (_, caller):
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        for message in (server.Warning(problem), server.Error(problem), server.Dtmf("12#")):
            assert message in caller.heard


async def test_backchannel_while_the_caller_speaks() -> None:
    async with call(one_turn(backchannel="Mhm.", assistant="I see.")) as (_, caller):
        await caller.begin_to_speak()
        await caller.until_said("Mhm.")
        assert "assistant_started_speaking" not in caller.kinds
        assert "user_finished_speaking" not in caller.kinds
        await caller.fall_silent()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Mhm.I see."
        assert caller.kinds.count("assistant_started_speaking") == 1


async def test_the_assistant_ends_the_conversation() -> None:
    async with call(one_turn(assistant="Bye.", end=True)) as (_, caller):
        await caller.speak()
        await caller.until(server.AssistantEndedConversation)
        with pytest.raises(ConnectionClosed):
            await caller.until(server.Error)
        assert caller.socket.close_code == 1000


@pytest.mark.parametrize(
    ("action", "code"), [({"close": 4000}, 4000), ({"close": 1012}, 1012), ({"drop": True}, 1006)]
)
async def test_a_turn_that_ends_the_connection(action: dict[str, Any], code: int) -> None:
    async with call(one_turn(assistant="Oh.", **action)) as (_, caller):
        await caller.speak()
        with pytest.raises(ConnectionClosed):
            await caller.until(server.Error)
        assert caller.text == "Oh."
        assert caller.socket.close_code == code


# -- lost connections --------------------------------------------------------------------------


async def lose(sim: PhonicSimulator, caller: Caller) -> str:
    """Lose the connection; the query that resumes the conversation."""
    sim.drop()
    await caller.socket.wait_closed()
    return f"?reconnect_conv_id={sim.conversations[-1].conversation_id}"


@pytest.mark.parametrize("code", [1006, 1012])
async def test_resume(code: int) -> None:
    async with call(Scenario(turns=(Turn(caller="one"), Turn(caller="two")))) as (sim, caller):
        await caller.speak()
        await caller.until(server.AssistantChoseNotToRespond)
        query = f"?reconnect_conv_id={sim.conversations[0].conversation_id}"
        if code == 1006:
            await lose(sim, caller)
        else:
            await sim.close(code)
        async with dial(sim, query) as back:
            await back.until(server.ConversationReconnected)
            await back.speak()
            assert (await back.until(server.InputText)).text == "two"
            assert back.kinds[0] == "conversation_reconnected"
        assert len(sim.conversations) == 1
        assert sim.conversations[0].connections == 2


async def test_resume_takes_over_a_connection_that_seems_alive() -> None:
    async with call(Scenario()) as (sim, caller):
        query = f"?reconnect_conv_id={sim.conversations[0].conversation_id}"
        async with dial(sim, query) as back:
            await back.until(server.ConversationReconnected)
            await caller.socket.wait_closed()
            assert caller.socket.close_code == 1006


async def test_output_of_a_tool_arrives_after_a_resume() -> None:
    async with call(WEATHER, config(tools=[tool("get_weather")])) as (sim, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        async with dial(sim, await lose(sim, caller)) as back:
            await back.until(server.ConversationReconnected)
            await back.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
            await back.until(server.AssistantFinishedSpeaking)
            assert back.text == "It is sunny."


async def refused_resume(sim: PhonicSimulator, query: str) -> None:
    async with dial(sim, query) as back:
        with pytest.raises(ConnectionClosed):
            await back.until(server.ConversationReconnected)
        assert back.socket.close_code == 4800
        assert back.socket.close_reason


async def test_resume_of_an_unknown_conversation_is_refused() -> None:
    async with PhonicSimulator() as sim:
        await refused_resume(sim, "?reconnect_conv_id=conv_unknown")
        assert sim.conversations == []


async def test_resume_after_the_grace_period_is_refused() -> None:
    async with PhonicSimulator(Scenario(), grace_s=0) as sim, dial(sim) as caller:
        await caller.send(config())
        await caller.until(server.ReadyToStartConversation)
        await refused_resume(sim, await lose(sim, caller))


@pytest.mark.parametrize("by_server", [True, False])
async def test_resume_after_a_deliberate_end_is_refused(by_server: bool) -> None:
    async with call(Scenario()) as (sim, caller):
        if by_server:
            await sim.close(4000, "enough")
        else:
            await caller.socket.close()
        query = f"?reconnect_conv_id={sim.conversations[0].conversation_id}"
        await refused_resume(sim, query)


# -- for tests of one's own --------------------------------------------------------------------


async def test_waiting_for_messages() -> None:
    async with PhonicSimulator(Scenario()) as sim, anyio.create_task_group() as tasks:
        got: list[client.Say] = []

        async def wait() -> None:
            got.append(await sim.received(client.Say, nth=2))

        tasks.start_soon(wait)
        async with dial(sim) as caller:
            await caller.send(config(), client.Say("one"), client.Say("two"))
            await sim.wait_for(lambda: bool(got))
            await caller.play(bytes(320))
            await sim.wait_for(lambda: len(sim.conversations[0].audio) == 320)
        assert got == [client.Say("two")]
        with pytest.raises(ValueError, match="audio"):
            await sim.received(client.AudioChunk)


async def test_conversations_are_apart() -> None:
    async with PhonicSimulator(one_turn(assistant="Hi.")) as sim:
        for _ in range(2):
            async with dial(sim) as caller:
                await caller.send(config())
                await caller.speak()
                await caller.until(server.AssistantFinishedSpeaking)
        first, second = sim.conversations
        assert first.conversation_id != second.conversation_id
        assert first.received == second.received


async def test_leaving_closes_open_connections() -> None:
    async with PhonicSimulator("interruption") as sim:
        url = f"{sim.url}/v1/sts/ws"
        caller = Caller(await connect(url, additional_headers={"Authorization": "Bearer key"}))
        await caller.send(config(stream_ahead_of_real_time=False, welcome_message=LINE))
        await caller.until(server.AudioChunk)
    with pytest.raises(ConnectionClosed):
        await caller.until(server.Error)
    assert caller.socket.close_code == 1001
