"""The simulator as a client meets it, over a real socket, and its pure parts on their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace
from support import clock
from support.bare_client import LINE, NOW, RATE, Caller, call, config, dial, lose, tool
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from phonic_fsm._audio import mulaw
from phonic_fsm._wire import client, server
from phonic_fsm._wire.config import BuiltInTool, ConfigOptions, InlineTool, ToolDefinition
from phonic_fsm.simulator import (
    ASSISTANT_PITCH_HZ,
    AgentConfig,
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
from phonic_fsm.simulator._published import BUILT_IN_TOOLS, CONFIG

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is waited for takes a quarter of its time."""
    return clock.backend(speed=4)


@pytest.fixture(autouse=True)
def no_failed_handler(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """websockets logs what a handler raises, and goes on."""
    yield
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


NOISE = {"background_noise": "office", "background_noise_level": 0.125}


def hurried(scenario: Scenario) -> Scenario:
    """The same, but a second of the service takes 50 ms."""
    return replace(scenario, shorten_times_by=20)


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
    assert scenario_names() == (
        "async-tool",
        "demo",
        "interruption",
        "probe",
        "small-talk",
        "tool-call",
        "withdrawn",
    )
    for name in scenario_names():
        scenario = load_scenario(name)
        lines = [scenario.welcome]
        for turn in scenario.turns:
            lines += [turn.caller, *(line for c in turn.calls for line in (c.meanwhile, c.then))]
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
        ('{"turns": [{}, {"cancelled": true, "end": true}]}', "cancelled"),
        ('{"turns": [{}, {"cancelled": true, "end": true}]}', "$.turns[1]"),
        (
            '{"turns": [{"calls": [{"tool": "a", "calls": [{"tool": "b", "during_speech": 1}]}]}]}',
            "$.turns[0].calls[0].calls[0].during_speech",
        ),
        (
            '{"turns": [{"calls": [{"tool": "a", "calls": [{"tool": "b", "during_speech": true'
            "}]}]}]}",
            "`during_speech` - at `$.turns[0].calls[0]`",
        ),
        ('{"poke": ""}', "$.poke"),
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
    document = Path(__file__).parent.parent.parent / "docs" / "scenarios.md"
    path = tmp_path / "example.json"
    path.write_text(document.read_text().split("```json\n")[1].split("```")[0])
    assert len(load_scenario(path).turns) == 4


def test_missing_scenario_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="small-talk"):
        load_scenario("no-such")
    with pytest.raises(ScenarioError, match=r"no\.json"):
        load_scenario(tmp_path / "no.json")


async def test_scenario_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"welcome": "Mine."}))
    async with PhonicSimulator(path) as sim, dial(sim) as caller:
        await caller.send(config(generate_welcome_message=True))
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


async def test_handshake_with_a_session_token() -> None:
    async with PhonicSimulator() as sim:
        socket = await connect(f"{sim.url}/v1/sts/ws?session_token=ph_session_1")
        caller = Caller(socket)
        await caller.send(config())
        await caller.until(server.ReadyToStartConversation)


async def test_shortened_times_are_told(caplog: pytest.LogCaptureFixture) -> None:
    async with PhonicSimulator(Scenario()):
        assert caplog.messages == []
    async with PhonicSimulator(hurried(Scenario())):
        assert caplog.messages == ["the scenario divides the times that the service waits by 20"]


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
        assert {len(chunk.audio or b"") for chunk in chunks} == {RATE * 2 // 50}
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
        said = speak("Hello there", RATE).pcm + bytes(RATE * 2 * 9 // 10)
        await caller.play_mulaw(said)
        await caller.until(server.AssistantFinishedSpeaking)
        assert "user_finished_speaking" in caller.kinds
        chunks = [m.audio or b"" for m in caller.heard if isinstance(m, server.AudioChunk)]
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
        ({"agent": "concierge"}, "The agent's."),
        ({"agent": "concierge", "welcome_message": "Ours."}, "Ours."),
        ({"agent": "concierge", "generate_welcome_message": True}, "Generated."),
        ({"agent": "host"}, "Generated."),
        ({"agent": "host", "generate_welcome_message": False, "welcome_message": "Us."}, "Us."),
        ({"welcome_message": "Ours."}, "Ours."),
        ({"welcome_message": "Ours.", "generate_welcome_message": True}, "Generated."),
    ],
)
async def test_welcome(fields: dict[str, Any], line: str) -> None:
    agents = {
        "concierge": AgentConfig(welcome_message="The agent's."),
        "host": AgentConfig(generate_welcome_message=True),
    }
    scenario = Scenario(welcome="Generated.", agents=agents)
    async with call(scenario, config(**fields)) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == line


async def test_generated_welcome_without_one_in_the_scenario() -> None:
    async with call(Scenario(), config(generate_welcome_message=True)) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"welcome_message": ""},
        {"welcome_message": None},
        {"agent": "somebody", "welcome_message": None},
        {"agent": "nobody"},
    ],
)
async def test_no_welcome_unless_the_config_asks_for_one(fields: dict[str, Any]) -> None:
    agents = {"somebody": AgentConfig(welcome_message="The agent's.")}
    scenario = Scenario(welcome="Hi.", agents=agents)
    async with call(scenario, config(**fields)) as (_, caller):
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
    fields = {"vad_threshold": 0.8, "vad_min_silence_duration_ms": 100}
    async with call(one_turn(assistant="Hi."), config(**fields)) as (_, caller):
        await caller.play((np.frombuffer(speak("Aha", RATE).pcm, "<i2") // 8).tobytes())
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
        await caller.play(bytes(320))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds.count("user_started_speaking") == 1
        assert caller.kinds.count("user_finished_speaking") == 1


async def test_push_to_talk_in_silence_is_no_turn() -> None:
    async with call(one_turn(assistant="Hi."), config(push_to_talk=True)) as (_, caller):
        await caller.send(client.Unmute())
        await caller.play(bytes(RATE // 5))
        await caller.send(client.Mute())
        await caller.speak("Nobody hears this")
        await caller.send(client.Say("Next."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Next."
        assert "user_started_speaking" not in caller.kinds


async def test_an_answer_in_push_to_talk_waits_for_audio() -> None:
    async with call(one_turn(assistant="Hi."), config(push_to_talk=True)) as (_, caller):
        await caller.send(client.Unmute())
        await caller.begin_to_speak()
        await caller.send(client.Mute(), client.SetExternalId(""))
        await caller.until(server.Error)
        assert caller.kinds[-2:] == ["input_text", "error"]
        await caller.play(bytes(320))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Hi."


async def test_a_turn_that_waits_for_audio_is_given_up_for_the_next() -> None:
    turns = (Turn(caller="One", assistant="1."), Turn(caller="Two", assistant="2."))
    async with call(Scenario(turns=turns), config(push_to_talk=True)) as (_, caller):
        for _ in range(2):
            await caller.send(client.Unmute())
            await caller.begin_to_speak()
            await caller.send(client.Mute())
        await caller.play(bytes(320))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "2."


@pytest.mark.parametrize(
    ("date", "warnings"),
    [(UNSET, 1), (None, 1), ("today", 1), (NOW, 0), ("2026-07-01T12:00:00+02:00", 0)],
)
async def test_the_first_chunk_needs_a_date(date: Any, warnings: int) -> None:
    async with call(Scenario()) as (_, caller):
        await caller.send(*[client.AudioChunk(bytes(320), date)] * 2, client.SetExternalId(""))
        await caller.until(server.Error)
        assert caller.kinds.count("warning") == warnings
        for warning in caller.heard:
            if isinstance(warning, server.Warning):
                assert "iso_date_time" in warning.warning.message


async def test_unmute_interrupts_the_assistant() -> None:
    configured = config(push_to_talk=True, stream_ahead_of_real_time=False, welcome_message=LINE)
    async with call(one_turn(assistant="Hi."), configured) as (_, caller):
        await caller.until_said("The sea")
        await caller.send(client.Unmute())
        interrupted = await caller.until(server.InterruptedResponse)
        assert LINE.startswith(interrupted.text)
        await caller.begin_to_speak()
        await caller.send(client.Mute())
        await caller.play(bytes(320))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds[3:] == [
            "interrupted_response",
            "user_started_speaking",
            "user_finished_speaking",
            "input_text",
            "assistant_started_speaking",
            "assistant_finished_speaking",
        ]


async def test_unmute_does_not_interrupt_what_cannot_be_interrupted() -> None:
    configured = config(push_to_talk=True, stream_ahead_of_real_time=False)
    async with call(Scenario(), configured) as (_, caller):
        await caller.send(client.Say("It is the sea.", interruptible=False))
        await caller.until_said("It")
        await caller.send(client.Unmute())
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "It is the sea."
        assert "interrupted_response" not in caller.kinds


async def test_reset_to_push_to_talk_mutes() -> None:
    async with call(one_turn(assistant="Hi.")) as (_, caller):
        await caller.send(client.Reset(config(push_to_talk=True)))
        await caller.speak("Nobody hears this")
        await caller.send(client.Unmute())
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds.count("user_started_speaking") == 1


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
        (client.SetExternalId(" "), "external_id"),
        (client.Reset(ConfigOptions(external_id="")), "config.external_id"),
        ('{"type": "sing"}', "type"),
        (client.UpdateSystemPrompt("You serve {{ guest }}."), "system_prompt"),
        (client.Reset(ConfigOptions(vad_threshold=0.9)), "config.vad_threshold"),
        (client.Reset(ConfigOptions(websocket_timeout_sec=0)), "config.websocket_timeout_sec"),
        (client.Reset(ConfigOptions(min_words_to_interrupt=11)), "config.min_words_to_interrupt"),
        (client.Reset(ConfigOptions(background_noise="rain")), "config.background_noise"),
        (client.Reset(ConfigOptions(multilingual_mode="any")), "config.multilingual_mode"),
        (client.Reset(ConfigOptions(no_input_poke_sec=1.5)), "config.no_input_poke_sec"),
        (client.Reset(ConfigOptions(additional_languages=["en"])), "config.additional_languages"),
        (
            client.Reset(
                ConfigOptions(multilingual_mode="auto", additional_languages=["de", "fr", "it"])
            ),
            "config.additional_languages",
        ),
        (
            client.Reset(ConfigOptions(additional_voice_ids=["sabrina"])),
            "config.additional_voice_ids",
        ),
        (client.Reset(ConfigOptions(mcp_servers=["a", "a"])), "config.mcp_servers"),
        (
            client.Reset(ConfigOptions(external_storage_policy="bucket")),
            "config.external_storage_policy",
        ),
        (
            client.Reset(
                ConfigOptions(pronunciation_dictionary=[{"word": "a", "pronunciation": "b"}] * 2)
            ),
            "config.pronunciation_dictionary",
        ),
    ],
)
async def test_refusal_names_the_field(frame: str | client.ClientMessage, field: str) -> None:
    async with call(Scenario()) as (_, caller):
        error = await caller.refused(frame)
        assert error.error.code
        assert list(error.param_errors or ()) == [field]
        await caller.send(client.Say("The line is still open."))
        await caller.until(server.AssistantFinishedSpeaking)


STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"strict": False}, "strict"),
        ({"strict": None}, "strict"),
        ({"description": None}, "description"),
        ({"parameters": None}, "parameters"),
        ({"parameters": {"type": "object"}}, "parameters.additionalProperties"),
        (
            {
                "parameters": {
                    "type": "object",
                    "properties": {"city": STRING},
                    "additionalProperties": False,
                }
            },
            "parameters.required",
        ),
        (
            {
                "parameters": {
                    "type": "object",
                    "properties": {"call_info": STRING},
                    "required": ["call_info"],
                    "additionalProperties": False,
                }
            },
            "parameters.properties.call_info",
        ),
        (
            {
                "parameters": {
                    "type": "object",
                    "properties": {"cities": {"type": "array", "items": {"type": "object"}}},
                    "required": ["cities"],
                    "additionalProperties": False,
                }
            },
            "parameters.properties.cities.items.additionalProperties",
        ),
    ],
)
async def test_a_tool_must_be_strict_and_closed(changes: dict[str, Any], field: str) -> None:
    schema = tool("look_up").tool_schema
    function = {**schema["function"], **changes}
    refused = InlineTool(tool_schema={**schema, "function": function})
    async with call(Scenario()) as (_, caller):
        error = await caller.refused(client.UpdateToolsSubset([refused]))
        assert list(error.param_errors or ()) == [f"tools[0].tool_schema.function.{field}"]


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (tool("look_up", tool_call_output_timeout_ms=999), "tool_call_output_timeout_ms"),
        (BuiltInTool("sing", {}), "name"),
    ],
)
async def test_other_fields_of_a_tool(refused: ToolDefinition, field: str) -> None:
    async with call(Scenario()) as (_, caller):
        error = await caller.refused(client.UpdateToolsSubset([refused]))
        assert list(error.param_errors or ()) == [f"tools[0].{field}"]


@pytest.mark.parametrize(
    "parameters", [{"properties": 1}, {"properties": [{}], "required": 1}, {"anyOf": 2, "items": 3}]
)
async def test_a_schema_that_is_none_is_refused(parameters: dict[str, Any]) -> None:
    schema = tool("look_up").tool_schema
    function = {**schema["function"], "parameters": {"type": "object", **parameters}}
    async with call(Scenario()) as (_, caller):
        refused = InlineTool(tool_schema={"type": "function", "function": function})
        assert (await caller.refused(client.UpdateToolsSubset([refused]))).param_errors


async def test_what_is_published_as_valid_is_taken() -> None:
    extremes: dict[str, Any] = {}
    for field, rule in CONFIG.items():
        if rule.most is not None:
            extremes[field] = rule.most
        elif rule.choices:
            is_list = isinstance(rule.default, list)
            extremes[field] = list(rule.choices) if is_list else rule.choices[-1]
    built_in = [BuiltInTool(name, {}) for name in BUILT_IN_TOOLS]
    reset = client.Reset(ConfigOptions(**extremes, tools=[*built_in, tool("look_up")]))
    async with call(Scenario()) as (sim, caller):
        await caller.send(reset, client.SetExternalId("42"))
        await sim.received(client.SetExternalId)
        assert "error" not in caller.kinds
        assert sim.conversations[0].config == replace(reset.config, external_id="42")


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


async def test_a_line_that_was_ended_early_does_not_delay_the_next() -> None:
    async with call(Scenario(), config(welcome_message=LINE)) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        await caller.send(client.Say(LINE))
        await caller.until(server.AssistantFinishedSpeaking)
        await caller.begin_to_speak()
        assert (await caller.until(server.InterruptedResponse)).text


async def test_what_was_not_yet_played_was_not_heard() -> None:
    scenario = one_turn(assistant=LINE, calls=(Call(tool="get_weather", then="It is {output}."),))
    async with call(scenario, config(tools=["get_weather"])) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        await caller.until(server.AssistantFinishedSpeaking)
        await caller.begin_to_speak()  # while the first line would still be played
        assert (await caller.until(server.InterruptedResponse)).text == ""


async def test_too_few_words_do_not_interrupt() -> None:
    unsaid = server.Problem("this is not answered")
    turns = (Turn(caller="Mm-hmm", warning=unsaid), Turn(caller="Wait a moment"))
    configured = config(
        stream_ahead_of_real_time=False, welcome_message=LINE, min_words_to_interrupt=2
    )
    async with call(Scenario(turns=turns), configured) as (_, caller):
        await caller.until_said("The sea")
        await caller.speak()
        assert (await caller.until(server.InputText)).text == "Mm-hmm"
        said = caller.text
        await caller.until_said(said + " ")  # it goes on
        await caller.speak()
        interrupted = await caller.until(server.InterruptedResponse)
        assert interrupted.text == caller.text
        await caller.until(server.AssistantChoseNotToRespond)
        assert caller.kinds[3:] == [
            "user_started_speaking",
            "user_finished_speaking",
            "input_text",
            "user_started_speaking",
            "interrupted_response",
            "user_finished_speaking",
            "input_text",
            "assistant_chose_not_to_respond",
        ]


async def test_too_few_words_do_not_interrupt_what_still_plays() -> None:
    scenario = Scenario(turns=(Turn(caller="Mm-hmm"), Turn(caller="Wait a moment")))
    configured = config(welcome_message=LINE, min_words_to_interrupt=2)
    async with call(scenario, configured) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        await caller.speak()
        await caller.until(server.InputText)
        await caller.speak()
        await caller.until(server.AssistantChoseNotToRespond)
        assert caller.kinds[4:] == [
            "user_started_speaking",
            "user_finished_speaking",
            "input_text",
            "user_started_speaking",
            "interrupted_response",
            "user_finished_speaking",
            "input_text",
            "assistant_chose_not_to_respond",
        ]


async def test_few_words_are_answered_when_there_is_nothing_to_interrupt() -> None:
    async with call(one_turn(assistant="Hi."), config(min_words_to_interrupt=9)) as (_, caller):
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Hi."


async def test_a_withdrawn_turn() -> None:
    turns = (Turn(caller="Ahem", cancelled=True), Turn(caller="Hello", assistant="Hi."))
    configured = config(stream_ahead_of_real_time=False, welcome_message=LINE)
    async with call(Scenario(turns=turns), configured) as (_, caller):
        await caller.until_said("The sea")
        await caller.speak()
        await caller.until(server.InputCancelled)
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds[3:] == [
            "user_started_speaking",
            "interrupted_response",
            "input_cancelled",
            "user_started_speaking",
            "user_finished_speaking",
            "input_text",
            "assistant_started_speaking",
            "assistant_finished_speaking",
        ]
        assert server.InputText("Ahem", "en") not in caller.heard


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


async def test_a_reply_cannot_be_asked_for_in_a_turn_that_cannot_be_interrupted() -> None:
    async with call(Scenario(), config(stream_ahead_of_real_time=False)) as (_, caller):
        line = "It is the sea."
        await caller.send(client.Say(line, interruptible=False))
        await caller.until_said("It")
        await caller.send(client.GenerateReply())
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == line
        await caller.send(client.Say("Next."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == line + "Next."


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
    tools = [tool("get_weather", tool_call_output_timeout_ms=1000)]
    async with call(hurried(WEATHER), config(tools=tools)) as (_, caller):
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
    tools = [tool("get_weather", tool_call_output_timeout_ms=1000)]
    async with call(hurried(WEATHER), config(tools=tools)) as (_, caller):
        await caller.send(client.UpdateToolsSubset([]))
        await caller.speak()
        await caller.until(server.Warning)
        await caller.send(client.UpdateToolsSubset(["get_weather"]))
        await caller.speak()
        assert (await caller.until(server.ToolCallOutputProcessed)).timed_out


async def test_timings_count_from_the_end_of_the_callers_speech() -> None:
    async with call(WEATHER, config(tools=[tool("get_weather")])) as (_, caller):
        await caller.speak()
        first = await caller.until(server.AudioChunk)
        assert first.timings is not None
        parts = first.timings["response_ms"] + first.timings["queue_ms"]
        assert first.timings["total_ms"] == pytest.approx(parts, abs=0.01)
        assert 0 < first.timings["response_ms"] < 10_000


@pytest.mark.parametrize(
    ("fields", "turn", "said"),
    [
        ({"require_speech_before_tool_call": True}, {}, "One moment.It is sunny."),
        (
            {"require_speech_before_tool_call": True},
            {"assistant": "Let me see."},
            "Let me see.It is sunny.",
        ),
        ({"forbid_tool_call_after_speech": True}, {}, "It is sunny."),
    ],
)
async def test_speech_before_a_tool_call(
    fields: dict[str, Any], turn: dict[str, Any], said: str
) -> None:
    calls = (Call(tool="get_weather", then="It is {output}."),)
    configured = config(tools=[tool("get_weather", **fields)])
    async with call(one_turn(calls=calls, **turn), configured) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        await caller.until_said("sunny.")
        assert caller.text == said


async def test_a_tool_that_forbids_speech_after_it() -> None:
    tools = [tool("get_weather", forbid_speech_after_tool_call=True)]
    async with call(WEATHER, config(tools=tools)) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        await caller.until(server.ToolCallOutputProcessed)
        await caller.send(client.Say("Next."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Let me see.Next."


async def test_a_tool_that_forbids_a_call_after_speech() -> None:
    tools = [tool("get_weather", forbid_tool_call_after_speech=True)]
    async with call(WEATHER, config(tools=tools)) as (_, caller):
        await caller.speak()
        assert "after speech" in (await caller.until(server.Warning)).warning.message
        await caller.until(server.AssistantFinishedSpeaking)
        assert "tool_call" not in caller.kinds


CHAIN = one_turn(
    calls=(
        Call(
            tool="find_city",
            then="In {output}.",
            calls=(Call(tool="get_weather", then="It is {output}."),),
        ),
    )
)


async def test_chained_calls() -> None:
    tools = [tool("find_city"), "get_weather"]
    async with call(CHAIN, config(tools=tools)) as (_, caller):
        await caller.speak()
        for name, output in (("find_city", "Paris"), ("get_weather", "sunny")):
            placed = await caller.until(server.ToolCall)
            assert placed.tool_name == name
            await caller.send(client.ToolCallOutput(placed.tool_call_id, output))
        await caller.until_said("sunny.")
        assert caller.text == "In Paris.It is sunny."


async def test_a_tool_that_allows_no_chaining() -> None:
    tools = [tool("find_city", allow_tool_chaining=False), "get_weather"]
    async with call(CHAIN, config(tools=tools)) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "Paris"))
        assert "find_city" in (await caller.until(server.Warning)).warning.message
        assert caller.text == "In Paris."


EARLY = one_turn(
    assistant="Well.",
    calls=(Call(tool="get_weather", then="It is {output}.", during_speech=True),),
)


@pytest.mark.parametrize("uninterruptible", [False, True])
async def test_a_call_during_the_callers_speech(uninterruptible: bool) -> None:
    fields = {"can_run_during_user_speech": True, "uninterruptible": uninterruptible}
    async with call(EARLY, config(tools=[tool("get_weather", **fields)])) as (_, caller):
        await caller.begin_to_speak()
        placed = await caller.until(server.ToolCall)
        assert "user_finished_speaking" not in caller.kinds
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        processed = await caller.until(server.ToolCallOutputProcessed)
        assert processed.conversation_item_role == "user"
        await caller.fall_silent()
        await caller.until_said("sunny.")
        assert caller.text == "Well.It is sunny."
        assert caller.kinds.count("tool_call") == 1


async def test_a_call_that_cannot_be_made_during_speech_is_made_after() -> None:
    async with call(EARLY, config(tools=[tool("get_weather")])) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        assert "user_finished_speaking" in caller.kinds
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        processed = await caller.until(server.ToolCallOutputProcessed)
        assert processed.conversation_item_role == "assistant"


# -- async tools -------------------------------------------------------------------------------

ASYNC = Scenario(
    turns=(
        Turn(
            caller="Ask them",
            calls=(Call(tool="ask", meanwhile="I asked.", then="They say {output}."),),
        ),
        Turn(caller="Thanks", assistant="Sure."),
    )
)


def asynchronous(**fields: Any) -> client.Config:
    return config(tools=[tool("ask", execution_mode="async", **fields)])


async def asked(caller: Caller) -> server.ToolCall:
    """The call that the first turn of ASYNC leads to, once the assistant has gone on."""
    await caller.speak()
    placed = await caller.until(server.ToolCall)
    await caller.until(server.AssistantFinishedSpeaking)
    assert caller.text == "I asked."
    return placed


async def test_output_of_an_async_tool_comes_turns_later() -> None:
    async with call(ASYNC, asynchronous(uninterruptible=True)) as (_, caller):
        placed = await asked(caller)
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert "tool_call_interrupted" not in caller.kinds
        before = len(caller.kinds)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "yes"))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds[before:] == [
            "tool_call_output_processed",
            "assistant_started_speaking",
            "assistant_finished_speaking",
        ]
        assert caller.text == "I asked.Sure.They say yes."


async def test_output_of_an_async_tool_is_not_spoken_into_speech() -> None:
    async with call(ASYNC, asynchronous()) as (_, caller):
        placed = await asked(caller)
        await caller.begin_to_speak()
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "yes"))
        await caller.until(server.ToolCallOutputProcessed)
        before = len(caller.kinds)
        await caller.fall_silent()
        await caller.until_said("yes.")
        assert caller.kinds[before:] == [
            "user_finished_speaking",
            "input_text",
            "assistant_started_speaking",
            "assistant_finished_speaking",
            "assistant_started_speaking",
        ]
        assert caller.text == "I asked.Sure.They say yes."


async def test_an_async_tool_that_is_waited_for_is_like_a_sync_one() -> None:
    async with call(ASYNC, asynchronous(wait_for_response=True)) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "yes"))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "They say yes."
        for _ in range(2):
            await caller.speak()
        await caller.until(server.ToolCall)
        await caller.begin_to_speak()
        await caller.until(server.ToolCallInterrupted)


async def test_an_async_tool_times_out() -> None:
    configured = asynchronous(tool_call_output_timeout_ms=1000)
    async with call(hurried(ASYNC), configured) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        assert (await caller.until(server.ToolCallOutputProcessed)).timed_out
        await caller.until_said("sorry")
        await caller.refused(client.ToolCallOutput(placed.tool_call_id, "yes"))


async def test_silence_after_an_async_tool() -> None:
    async with call(ASYNC, asynchronous(forbid_speech_after_tool_call=True)) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "yes"))
        await caller.until(server.ToolCallOutputProcessed)
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Sure."


async def test_output_of_an_async_tool_arrives_after_a_resume() -> None:
    async with call(ASYNC, asynchronous()) as (sim, caller):
        placed = await asked(caller)
        async with dial(sim, await lose(sim, caller)) as back:
            await back.until(server.ConversationReconnected)
            await back.send(client.ToolCallOutput(placed.tool_call_id, "yes"))
            await back.until(server.AssistantFinishedSpeaking)
            assert back.text == "They say yes."


async def test_reset_forgets_an_async_tool() -> None:
    configured = asynchronous(tool_call_output_timeout_ms=6000)
    async with call(hurried(ASYNC), configured) as (_, caller):
        placed = await asked(caller)
        await caller.send(client.Reset(config()))
        await caller.refused(client.ToolCallOutput(placed.tool_call_id, "yes"))
        await caller.send(client.Reset(configured))
        await caller.speak()
        await caller.speak()
        other = await caller.until(server.ToolCall)
        # Its own timeout comes, and that of the forgotten call, which was due sooner, did not.
        processed = await caller.until(server.ToolCallOutputProcessed)
        assert processed.tool_call_id == other.tool_call_id


# -- silence -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"no_input_poke_text": "Hello?"}, "Hello?"),
        ({}, "Are you still there?"),
        ({"agent": "concierge"}, "Sir?"),
        ({"no_input_poke_text": "Hello?", "generate_no_input_poke_text": True}, "Well?"),
    ],
)
async def test_a_silent_caller_is_poked(fields: dict[str, Any], line: str) -> None:
    configured = config(welcome_message="Hi.", no_input_poke_sec=1, **fields)
    agents = {"concierge": AgentConfig(no_input_poke_text="Sir?")}
    async with call(hurried(Scenario(poke="Well?", agents=agents)), configured) as (_, caller):
        await caller.until_said(line)
        assert caller.text == "Hi." + line
        assert caller.kinds[2:] == [
            "assistant_started_speaking",
            "assistant_finished_speaking",
            "assistant_started_speaking",
        ]


async def test_one_poke_in_each_silence() -> None:
    fields = {"no_input_poke_sec": 1, "no_input_end_conversation_sec": 20}
    configured = config(no_input_poke_text="Well?", **fields)
    async with call(hurried(Scenario(turns=(Turn(caller="Hm"),))), configured) as (_, caller):
        await caller.until_said("Well?")
        await caller.speak()
        await caller.until(server.AssistantEndedConversation)
        assert caller.text == "Well?Well?"


async def test_a_poke_does_not_begin_a_new_silence() -> None:
    fields = {"no_input_poke_sec": 1, "no_input_end_conversation_sec": 6}
    configured = config(stream_ahead_of_real_time=False, no_input_poke_text=LINE, **fields)
    async with call(hurried(Scenario()), configured) as (_, caller):
        await caller.until(server.AssistantEndedConversation)
        assert caller.kinds[2:] == ["assistant_started_speaking", "assistant_ended_conversation"]


async def test_a_long_silence_ends_the_conversation() -> None:
    configured = config(no_input_end_conversation_sec=1)
    async with call(hurried(Scenario()), configured) as (_, caller):
        await caller.until(server.AssistantEndedConversation)
        with pytest.raises(ConnectionClosed):
            await caller.until(server.Error)
        assert caller.socket.close_code == 1000


async def test_who_waits_for_a_tool_is_not_silent() -> None:
    tools = [tool("get_weather", tool_call_output_timeout_ms=16_000)]
    configured = config(no_input_poke_sec=10, tools=tools)
    async with call(hurried(WEATHER), configured) as (_, caller):
        await caller.speak()
        await caller.until(server.ToolCallOutputProcessed)
        assert caller.text == "Let me see."


async def test_silence_counts_anew_after_a_reset_and_a_resume() -> None:
    configured = config(no_input_poke_sec=3600)
    async with call(hurried(Scenario()), configured) as (sim, caller):
        fields = {"no_input_poke_sec": 1, "no_input_poke_text": "Well?"}
        await caller.send(client.Reset(config(**fields)))
        await caller.until_said("Well?")
        async with dial(sim, await lose(sim, caller)) as back:
            await back.until_said("Well?")
            assert back.kinds[0] == "conversation_reconnected"


async def test_reset_ends_the_old_watch() -> None:
    poke = {"no_input_poke_text": "Well?"}
    configured = config(no_input_poke_sec=6, **poke)
    async with call(hurried(Scenario()), configured) as (_, caller):
        fresh = config(no_input_poke_sec=8, no_input_end_conversation_sec=12, **poke)
        await caller.send(client.Reset(fresh))
        await caller.until(server.AssistantEndedConversation)
        assert caller.text == "Well?"


async def test_a_poke_can_be_interrupted() -> None:
    fields = {"no_input_poke_sec": 1, "no_input_poke_text": LINE}
    configured = config(stream_ahead_of_real_time=False, **fields)
    async with call(hurried(Scenario()), configured) as (_, caller):
        await caller.until_said("The sea")
        await caller.begin_to_speak()
        assert (await caller.until(server.InterruptedResponse)).text == caller.text


@pytest.mark.parametrize(
    ("fields", "hurry", "seconds"), [({"websocket_timeout_sec": 2}, 4, 0.5), ({}, 100, 0.6)]
)
async def test_a_client_that_sends_no_audio_is_dropped(
    fields: dict[str, Any], hurry: float, seconds: float
) -> None:
    async with call(Scenario(shorten_times_by=hurry), config(**fields)) as (_, caller):
        began = anyio.current_time()
        with pytest.raises(ConnectionClosed):
            await send_again_and_again(caller, client.AddSystemMessage("I am here."))
        assert anyio.current_time() - began > seconds / 2
        assert caller.socket.close_code == 4000
        assert caller.socket.close_reason == f"no audio came for {seconds:g} s"


async def test_audio_keeps_a_connection() -> None:
    configured = config(websocket_timeout_sec=8, no_input_end_conversation_sec=24)
    async with call(hurried(Scenario()), configured) as (_, caller):
        with pytest.raises(ConnectionClosed):
            await send_again_and_again(caller, client.AudioChunk(bytes(320)))
        await caller.until(server.AssistantEndedConversation)


async def send_again_and_again(caller: Caller, message: client.ClientMessage) -> None:
    while True:
        await caller.send(message)
        await anyio.sleep(0.02)


@pytest.mark.parametrize(
    ("scenario", "fields", "silent"),
    [
        (Scenario(background=True), {}, True),
        (Scenario(), {"background_noise": "office"}, True),
        (Scenario(), NOISE, False),
        (Scenario(), {"background_noise": "office", "background_noise_level": 0.0}, True),
        (Scenario(), {**NOISE, "output_format": "mulaw_8000"}, False),
    ],
)
async def test_audio_between_turns(
    scenario: Scenario, fields: dict[str, Any], silent: bool
) -> None:
    configured = config(stream_ahead_of_real_time=False, **fields)
    async with call(scenario, configured) as (_, caller):
        for _ in range(3):
            chunk = await caller.until(server.AudioChunk)
            assert (chunk.text, chunk.timings) == ("", None)
            sound = chunk.audio or b""
            decoded = mulaw.decode(sound) if len(sound) == RATE // 50 else sound
            assert len(decoded) == RATE * 2 // 50
            assert (np.frombuffer(decoded, "<i2").any()) != silent
        await caller.send(client.Say("Hi."))
        await caller.until(server.AssistantStartedSpeaking)
        before = len(caller.heard)
        await caller.until(server.AssistantFinishedSpeaking)
        line = speak("Hi.", RATE, pitch_hz=ASSISTANT_PITCH_HZ)
        assert len(caller.heard) - before - 1 == -(-line.duration_ms // 20)
        await caller.until(server.AudioChunk)  # and on it goes


async def test_audio_between_turns_waits_for_what_still_plays() -> None:
    async with call(Scenario(background=True), config(welcome_message=LINE)) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        before = len(caller.heard)
        await caller.begin_to_speak()
        await caller.until(server.UserStartedSpeaking)
        assert len(caller.heard) == before + 1
        await caller.until(server.AudioChunk)


async def test_no_audio_between_turns_unless_asked_for() -> None:
    configured = config(no_input_end_conversation_sec=2)
    async with call(hurried(Scenario()), configured) as (_, caller):
        await caller.until(server.AssistantEndedConversation)
        assert not [m for m in caller.heard if isinstance(m, server.AudioChunk)]


# -- what the client says at any time ----------------------------------------------------------


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
        assert len((await caller.until(server.AudioChunk)).audio or b"") == 16000 * 2 // 50
        assert sim.conversations[0].config == fresh


async def test_an_external_id_that_was_set_goes_before_a_configs() -> None:
    async with call(Scenario(), config(external_id="41")) as (sim, caller):
        fresh = ConfigOptions(external_id="43", stream_ahead_of_real_time=True)
        await caller.send(client.SetExternalId(" 42 "), client.Reset(fresh), client.Say("Hi."))
        await caller.until(server.AssistantFinishedSpeaking)
        in_force = ConfigOptions(external_id="42", stream_ahead_of_real_time=True)
        assert sim.conversations[0].config == in_force


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
        for message in (server.Warning(problem), server.Error(problem)):
            assert message in caller.heard
        (dialled,) = (m for m in caller.heard if isinstance(m, server.Dtmf))
        assert dialled.digits == "12#"
        assert dialled.timings is not None
        assert list(dialled.timings) == ["total_ms"]


async def test_backchannel_while_the_caller_speaks() -> None:
    configured = config(enable_assistant_backchannel=True)
    async with call(one_turn(backchannel="Mhm.", assistant="I see."), configured) as (_, caller):
        await caller.begin_to_speak()
        await caller.until_said("Mhm.")
        assert "assistant_started_speaking" not in caller.kinds
        assert "user_finished_speaking" not in caller.kinds
        await caller.fall_silent()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "Mhm.I see."
        assert caller.kinds.count("assistant_started_speaking") == 1


@pytest.mark.parametrize("fields", [{}, {"enable_assistant_backchannel": False}])
async def test_no_backchannel_unless_the_config_asks_for_it(fields: dict[str, Any]) -> None:
    scenario = one_turn(backchannel="Mhm.", assistant="I see.")
    async with call(scenario, config(**fields)) as (_, caller):
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "I see."


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
