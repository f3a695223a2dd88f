"""Every variant of every open question, as a client meets it over a real socket."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest
from support import clock
from support.bare_client import LINE, RATE, Caller, call, config, dial, lose, tool
from websockets.exceptions import ConnectionClosed

from phonic_fsm._wire import client, server
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.simulator import DOUBTS, AgentConfig, Call, DoubtError, Doubts, Scenario, Turn

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is waited for takes an eighth of its time."""
    return clock.backend(speed=8)


TALK = Scenario(turns=(Turn(caller="Hello", assistant="Hi."), Turn(caller="And?", assistant=LINE)))
WEATHER = Call(tool="get_weather", parameters={"city": "Paris"}, then="It is {output}.")
ASK = Scenario(turns=(Turn(caller="Hello", calls=(WEATHER,)), Turn(caller="And?", assistant="So.")))
TOOLS = [tool("get_weather")]


def paced(**fields: Any) -> client.Config:
    """A conversation in which the assistant speaks in real time, and so can be interrupted."""
    return config(stream_ahead_of_real_time=False, **fields)


tested: set[str] = set()
"""The doubts that a test plays in every variant."""


def variants(*choices: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("doubts", [Doubts.read([choice]) for choice in choices])


def both(name: str, results: dict[str, Any]) -> pytest.MarkDecorator:
    """Every variant of a doubt, each with what is expected of it."""
    (doubt,) = (doubt for doubt in DOUBTS if doubt.name == name)
    assert set(results) == set(doubt.variants), "a variant is not tested"
    tested.add(name)
    parameters = [
        pytest.param(Doubts.read([f"{name}={variant}"]), expected, id=variant)
        for variant, expected in results.items()
    ]
    return pytest.mark.parametrize(("doubts", "expected"), parameters)


# -- the table -------------------------------------------------------------------------------------


def test_the_default_is_the_first_variant() -> None:
    for doubt in DOUBTS:
        assert getattr(Doubts(), doubt.name) == doubt.default
        assert len(set(doubt.variants)) > 1
        assert doubt.question.endswith("?")
        assert doubt.source.endswith((".", "”"))
        assert doubt.handled.endswith(".")


def test_choices_are_read_from_text() -> None:
    assert Doubts.read([]) == Doubts()
    everything = Doubts.read(["all=other", "error=leaves_open"])
    assert len(everything.differences()) == len(DOUBTS) - 1
    assert "error=closes" not in everything.differences()
    assert Doubts.read(["opening=ready_first"], everything) == Doubts.read(
        ["all=other", "error=leaves_open"]
    )


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ("sing", "no doubt is named 'sing'; there are opening, "),
        ("error=maybe", "error is one of leaves_open, closes, not 'maybe'"),
        ("error", "error is one of leaves_open, closes, not ''"),
    ],
)
def test_a_wrong_choice_is_told(choice: str, problem: str) -> None:
    with pytest.raises(DoubtError) as caught:
        Doubts.read([choice])
    assert str(caught.value).startswith(problem)


def test_each_variant_is_played_once() -> None:
    expected = [f"{d.name}={variant}" for d in DOUBTS for variant in d.variants[1:]]
    assert [doubts.differences() for doubts in Doubts.each_variant()] == [(e,) for e in expected]
    assert Doubts.at_random(7) == Doubts.at_random(7)
    assert len({Doubts.at_random(seed) for seed in range(10)}) == 10


async def test_a_scenario_has_doubts_of_its_own() -> None:
    scenario = Scenario(doubts=Doubts(opening="ready_first"))
    async with call(scenario) as (sim, caller):
        assert sim.doubts == scenario.doubts
        await caller.until(server.ConversationCreated)
        assert caller.kinds == ["ready_to_start_conversation", "conversation_created"]


# -- at the start ----------------------------------------------------------------------------------


@both(
    "opening",
    {
        "created_first": ["conversation_created", "ready_to_start_conversation"],
        "ready_first": ["ready_to_start_conversation", "conversation_created"],
    },
)
async def test_opening(doubts: Doubts, expected: list[str]) -> None:
    async with call(Scenario(), config(welcome_message="Hi."), doubts=doubts) as (_, caller):
        await caller.until(server.AssistantStartedSpeaking)
        assert caller.kinds[:2] == expected


@both("null_welcome", {"silences": "Next.", "keeps_agents": "Hi."})
async def test_null_welcome(doubts: Doubts, expected: str) -> None:
    scenario = Scenario(agents={"concierge": AgentConfig(welcome_message="Hi.")})
    configured = config(agent="concierge", welcome_message=None)
    async with call(scenario, configured, doubts=doubts) as (_, caller):
        if doubts.null_welcome == "silences":
            await caller.send(client.Say("Next."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == expected


# -- push to talk ----------------------------------------------------------------------------------


@both("push_to_talk_begins", {"muted": 0, "listening": 1})
async def test_push_to_talk_begins(doubts: Doubts, expected: int) -> None:
    async with call(TALK, config(push_to_talk=True), doubts=doubts) as (_, caller):
        await caller.begin_to_speak()
        await caller.send(client.SetExternalId(""))
        await caller.until(server.Error)
        assert caller.kinds.count("user_started_speaking") == expected


@both("unmute_starts_speech", {"no": [], "yes": ["user_started_speaking", "input_cancelled"]})
async def test_unmute_in_silence(doubts: Doubts, expected: list[str]) -> None:
    async with call(TALK, config(push_to_talk=True), doubts=doubts) as (_, caller):
        await caller.send(client.Unmute())
        await caller.play(bytes(RATE // 5))
        await caller.send(client.Mute(), client.SetExternalId(""))
        await caller.until(server.Error)
        assert caller.kinds[2:-1] == expected


@variants("unmute_starts_speech=no", "unmute_starts_speech=yes")
async def test_unmute_and_speech_are_one_turn(doubts: Doubts) -> None:
    async with call(TALK, config(push_to_talk=True), doubts=doubts) as (_, caller):
        await caller.send(client.Unmute())
        await caller.begin_to_speak()
        await caller.send(client.Mute())
        await caller.play(bytes(320))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds[2:] == [
            "user_started_speaking",
            "user_finished_speaking",
            "input_text",
            "assistant_started_speaking",
            "assistant_finished_speaking",
        ]


@both("push_to_talk_pauses", {"end_turns": 2, "are_ignored": 1})
async def test_a_pause_in_push_to_talk(doubts: Doubts, expected: int) -> None:
    async with call(TALK, config(push_to_talk=True), doubts=doubts) as (_, caller):
        await caller.send(client.Unmute())
        await caller.speak()
        await caller.speak()
        await caller.send(client.Mute())
        for _ in range(expected):
            await caller.until(server.UserFinishedSpeaking)
        await caller.send(client.SetExternalId(""))
        await caller.until(server.Error)
        assert caller.kinds.count("user_finished_speaking") == expected


# -- turns -----------------------------------------------------------------------------------------


@both(
    "transcript",
    {
        "before_answer": ["input_text", "assistant_started_speaking"],
        "after_answer_begins": ["assistant_started_speaking", "input_text"],
    },
)
async def test_transcript(doubts: Doubts, expected: list[str]) -> None:
    async with call(TALK, doubts=doubts) as (_, caller):
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.kinds[4:-1] == expected


@pytest.mark.parametrize(
    ("turn", "answer"),
    [
        (Turn(caller="Hello", calls=(WEATHER,)), server.ToolCall),
        (Turn(caller="Hello", dtmf="1"), server.Dtmf),
        (Turn(caller="Hello"), server.AssistantChoseNotToRespond),
        (Turn(caller="Hello", end=True), server.AssistantEndedConversation),
    ],
)
async def test_transcript_after_an_answer_without_words(turn: Turn, answer: type) -> None:
    doubts = Doubts(transcript="after_answer_begins")
    async with call(Scenario(turns=(turn,)), config(tools=TOOLS), doubts=doubts) as (_, caller):
        await caller.speak()
        await caller.until(answer)
        assert await caller.until(server.InputText) == server.InputText("Hello", "en")


async def test_transcript_of_a_turn_that_is_not_answered_comes_with_the_next() -> None:
    turns = (Turn(caller="One", warning=server.Problem("busy")), Turn(caller="Two"))
    doubts = Doubts(transcript="after_answer_begins")
    async with call(Scenario(turns=turns), doubts=doubts) as (_, caller):
        await caller.speak()
        await caller.until(server.Warning)
        await caller.speak()
        await caller.until(server.AssistantChoseNotToRespond)
        assert caller.kinds[4:7] == ["warning", "input_text", "user_started_speaking"]


async def interrupted(caller: Caller) -> list[str]:
    """What comes after the caller has begun to speak into a line, to the end of their turn."""
    await caller.until_said("The sea")
    before = len(caller.kinds)
    await caller.speak()
    await caller.until(server.InputText)
    return caller.kinds[before:]


@both(
    "interrupted_response",
    {
        "at_once": ["interrupted_response", "user_finished_speaking"],
        "after_the_turn": ["user_finished_speaking", "interrupted_response"],
        "never": ["user_finished_speaking"],
    },
)
async def test_interrupted_response(doubts: Doubts, expected: list[str]) -> None:
    async with call(TALK, paced(welcome_message=LINE), doubts=doubts) as (_, caller):
        kinds = await interrupted(caller)
        assert kinds == ["user_started_speaking", *expected, "input_text"]


async def test_interrupted_response_after_a_withdrawn_turn() -> None:
    scenario = Scenario(turns=(Turn(caller="Ahem", cancelled=True),))
    doubts = Doubts(interrupted_response="after_the_turn")
    async with call(scenario, paced(welcome_message=LINE), doubts=doubts) as (_, caller):
        await caller.until_said("The sea")
        await caller.speak()
        await caller.until(server.InterruptedResponse)
        assert caller.kinds[-2:] == ["input_cancelled", "interrupted_response"]


@both("interrupted_turn_finishes", {"no": 0, "yes": 1})
async def test_interrupted_turn_finishes(doubts: Doubts, expected: int) -> None:
    async with call(TALK, paced(welcome_message=LINE), doubts=doubts) as (_, caller):
        assert (await interrupted(caller)).count("assistant_finished_speaking") == expected


# -- requests --------------------------------------------------------------------------------------


@both("user_message", {"echoed": [server.InputText("Well?", "en")], "silent": []})
async def test_user_message(doubts: Doubts, expected: list[server.InputText]) -> None:
    async with call(Scenario(replies=("Well.",)), doubts=doubts) as (_, caller):
        await caller.send(client.GenerateReply(user_message="Well?"))
        await caller.until(server.AssistantFinishedSpeaking)
        assert [m for m in caller.heard if isinstance(m, server.InputText)] == expected


@both("request_in_turn", {"cuts_in": "", "waits": f"{LINE}Next.", "is_dropped": LINE})
@pytest.mark.parametrize("request_", [client.Say("Next."), client.GenerateReply()])
async def test_request_in_turn(
    doubts: Doubts, expected: str, request_: client.Say | client.GenerateReply
) -> None:
    scenario = Scenario(replies=("Next.",))
    async with call(scenario, paced(welcome_message=LINE), doubts=doubts) as (_, caller):
        await caller.until_said("The sea")
        await caller.send(request_)
        await caller.until(server.AssistantFinishedSpeaking)
        if doubts.request_in_turn != "is_dropped":
            await caller.until(server.AssistantFinishedSpeaking)
        if doubts.request_in_turn == "cuts_in":
            assert caller.text.endswith("Next.")
            assert not caller.text.startswith(LINE)
        else:
            assert caller.text == expected


# -- tools -----------------------------------------------------------------------------------------


@both(
    "async_output",
    {"at_once": "It is sunny.So.", "next_turn": "So.It is sunny."},
)
async def test_async_output(doubts: Doubts, expected: str) -> None:
    configured = config(tools=[tool("get_weather", execution_mode="async")])
    async with call(ASK, configured, doubts=doubts) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        await caller.until(server.ToolCallOutputProcessed)
        if doubts.async_output == "at_once":
            await caller.until(server.AssistantFinishedSpeaking)
        await caller.speak()
        while len(caller.text) < len(expected):
            await caller.until(server.AudioChunk)
        assert caller.text == expected


async def test_an_output_is_all_that_a_turn_without_an_answer_is_about() -> None:
    scenario = Scenario(turns=(ASK.turns[0], Turn(caller="Well?")))
    configured = config(tools=[tool("get_weather", execution_mode="async")])
    async with call(scenario, configured, doubts=Doubts(async_output="next_turn")) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        await caller.until(server.ToolCallOutputProcessed)
        await caller.speak()
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == "It is sunny."
        assert "assistant_chose_not_to_respond" not in caller.kinds


@both(
    "repeated_output",
    {"refused": server.Error, "acknowledged": server.ToolCallOutputProcessed},
)
async def test_repeated_output(doubts: Doubts, expected: type) -> None:
    async with call(ASK, config(tools=TOOLS), doubts=doubts) as (sim, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        output = client.ToolCallOutput(placed.tool_call_id, "sunny")
        await caller.send(output)
        await caller.until(server.ToolCallOutputProcessed)
        async with dial(sim, await lose(sim, caller)) as back:
            await back.send(output)
            await back.until(expected)


# -- reset -----------------------------------------------------------------------------------------


async def reset(caller: Caller, fresh: ConfigOptions) -> None:
    """Reset, and hear everything that comes of it."""
    await caller.send(client.Reset(fresh), client.SetExternalId(""))
    await caller.until(server.Error)


@both("reset_turn", {"ends_silently": [], "finishes": ["assistant_finished_speaking"]})
async def test_reset_turn(doubts: Doubts, expected: list[str]) -> None:
    async with call(Scenario(), paced(welcome_message=LINE), doubts=doubts) as (_, caller):
        await caller.until_said("The sea")
        await reset(caller, paced())
        assert caller.kinds[3:-1] == expected


@both("reset_chunks", {"stop": 0, "arrive": 5})
async def test_reset_chunks(doubts: Doubts, expected: int) -> None:
    async with call(Scenario(), paced(welcome_message=LINE), doubts=doubts) as (_, caller):
        await caller.until_said("The sea")
        before = len(caller.heard)
        await reset(caller, paced())
        chunks = [m for m in caller.heard[before:] if isinstance(m, server.AudioChunk)]
        # One or two of the line may have been on their way in either case.
        assert len(chunks) >= expected


@both("reset_calls", {"forgotten": server.Error, "kept": server.ToolCallOutputProcessed})
async def test_reset_calls(doubts: Doubts, expected: type) -> None:
    async with call(ASK, config(tools=TOOLS), doubts=doubts) as (_, caller):
        await caller.speak()
        placed = await caller.until(server.ToolCall)
        await caller.send(client.Reset(config(tools=TOOLS)))
        await caller.send(client.ToolCallOutput(placed.tool_call_id, "sunny"))
        await caller.until(expected)
        if doubts.reset_calls == "kept":
            await caller.until(server.AssistantFinishedSpeaking)
            assert caller.text == "It is sunny."


@both("reset_mute", {"as_at_first": 0, "kept": 1})
async def test_reset_mute(doubts: Doubts, expected: int) -> None:
    async with call(TALK, config(push_to_talk=True), doubts=doubts) as (_, caller):
        await caller.send(client.Unmute(), client.Reset(config(push_to_talk=True)))
        await caller.begin_to_speak()
        await caller.send(client.SetExternalId(""))
        await caller.until(server.Error)
        assert caller.kinds.count("user_started_speaking") == expected


@both("reset_welcome", {"is_silent": "Next.", "is_said": "Hi."})
async def test_reset_welcome(doubts: Doubts, expected: str) -> None:
    greeted = config(welcome_message="Hi.")
    async with call(Scenario(), greeted, doubts=doubts) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
        await caller.send(client.Reset(greeted))
        if doubts.reset_welcome == "is_silent":
            await caller.send(client.Say("Next."))
        await caller.until(server.AssistantFinishedSpeaking)
        assert caller.text == f"Hi.{expected}"


# -- settings and errors ---------------------------------------------------------------------------


@both(
    "update_system_prompt",
    {"taken": None, "warned": server.Warning, "refused": server.Error},
)
async def test_update_system_prompt(doubts: Doubts, expected: type | None) -> None:
    async with call(Scenario(), config(system_prompt="Old."), doubts=doubts) as (sim, caller):
        await caller.send(client.UpdateSystemPrompt("New."))
        if expected is None:
            await sim.received(client.UpdateSystemPrompt)
        else:
            problem = await caller.until(expected)
            assert "update_system_prompt" in repr(problem)
        in_force = sim.conversations[0].config
        assert in_force is not None
        assert in_force.system_prompt == ("New." if expected is None else "Old.")


@both("error", {"leaves_open": None, "closes": 1011})
async def test_error(doubts: Doubts, expected: int | None) -> None:
    scenario = Scenario(turns=(Turn(caller="Hello", error=server.Problem("no")),))
    async with call(scenario, doubts=doubts) as (_, caller):
        await caller.speak()
        await caller.until(server.Error)
        if expected is None:
            await caller.send(client.Say("Well."))
            await caller.until(server.AssistantFinishedSpeaking)
        else:
            await closed(caller, expected)


async def test_an_error_before_the_start_leaves_the_connection_open() -> None:
    doubts = Doubts(error="closes")
    async with call(Scenario(), doubts=doubts) as (sim, _), dial(sim) as other:
        await other.refused(client.Say("Too early."))
        await other.send(config())
        await other.until(server.ReadyToStartConversation)


async def closed(caller: Caller, code: int) -> None:
    with pytest.raises(ConnectionClosed):
        await caller.until(server.ConversationReconnected)
    assert caller.socket.close_code == code


@both("audio_bursts", {"taken": 0, "refused": 100})
async def test_audio_bursts(doubts: Doubts, expected: int) -> None:
    async with call(Scenario(), doubts=doubts) as (_, caller):
        await caller.play(bytes(RATE * 2 * 10))
        await caller.send(client.SetExternalId(""))
        while "external_id" not in ((await caller.until(server.Error)).param_errors or {}):
            pass
        refused = caller.kinds.count("error") - 1
        assert refused >= expected
        assert bool(refused) == bool(expected)


@both("idle_close", {"4000": 4000, "1000": 1000, "1001": 1001, "1011": 1011, "drop": 1006})
async def test_idle_close(doubts: Doubts, expected: int) -> None:
    async with call(Scenario(), config(websocket_timeout_sec=1), doubts=doubts) as (_, caller):
        await closed(caller, expected)


@both("longest_session", {"unlimited": None, "an_hour": 1000})
async def test_longest_session(
    doubts: Doubts, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phonic_fsm.simulator._conversation._AN_HOUR", 0.1)
    async with call(Scenario(), doubts=doubts) as (_, caller):
        if expected is not None:
            await closed(caller, expected)
            return
        with anyio.move_on_after(0.3):
            await caller.until(server.Error)
        assert caller.socket.close_code is None


# -- losing a connection ---------------------------------------------------------------------------


@both("early_resume", {"taken": 0, "refused_once": 1, "refused": math.inf})
async def test_early_resume(doubts: Doubts, expected: float) -> None:
    async with call(Scenario(), doubts=doubts) as (sim, caller):
        for _ in range(2):  # after each loss anew
            query = await lose(sim, caller)
            for _ in range(int(min(expected, 2))):
                async with dial(sim, query) as early:
                    await closed(early, 4801)
            if expected == math.inf:
                return
            async with dial(sim, query) as caller:  # noqa: PLW2901
                await caller.until(server.ConversationReconnected)
                sim.drop()


@variants("early_resume=refused_once", "early_resume=refused")
async def test_a_loss_that_was_announced_is_known_to_the_service(doubts: Doubts) -> None:
    async with call(Scenario(), doubts=doubts) as (sim, _):
        await sim.close(1012)
        query = f"?reconnect_conv_id={sim.conversations[0].conversation_id}"
        async with dial(sim, query) as back:
            await back.until(server.ConversationReconnected)


@both("resumed_turn", {"is_lost": "", "goes_on": "the rest"})
async def test_resumed_turn(doubts: Doubts, expected: str) -> None:
    scenario = Scenario(turns=(Turn(caller="Hello", assistant=LINE),))
    async with call(scenario, paced(), doubts=doubts) as (sim, caller):
        await caller.speak()
        await caller.until_said("The sea")
        async with dial(sim, await lose(sim, caller)) as back:
            await back.until(server.ConversationReconnected)
            if not expected:
                await back.send(client.Say("Next."))
                await back.until(server.AssistantFinishedSpeaking)
                assert back.text == "Next."
                return
            await back.until(server.AssistantFinishedSpeaking)
            assert LINE.endswith(back.text)
            assert len(caller.text) + len(back.text) <= len(LINE)


async def test_a_resumed_turn_makes_its_calls() -> None:
    turn = Turn(caller="Hello", assistant=LINE, calls=(WEATHER,))
    configured = paced(tools=TOOLS)
    doubts = Doubts(resumed_turn="goes_on")
    async with call(Scenario(turns=(turn,)), configured, doubts=doubts) as (sim, caller):
        await caller.speak()
        await caller.until_said("The sea")
        async with dial(sim, await lose(sim, caller)) as back:
            await back.until(server.ToolCall)
            assert back.kinds[:3] == [
                "conversation_reconnected",
                "assistant_started_speaking",
                "assistant_finished_speaking",
            ]


@both("closed_by_client", {"is_over": 4800, "can_be_resumed": None})
async def test_closed_by_client(doubts: Doubts, expected: int | None) -> None:
    async with call(Scenario(), doubts=doubts) as (sim, caller):
        await caller.socket.close()
        query = f"?reconnect_conv_id={sim.conversations[0].conversation_id}"
        async with dial(sim, query) as back:
            if expected is None:
                await back.until(server.ConversationReconnected)
            else:
                await closed(back, expected)


async def test_a_close_by_the_server_is_final_whoever_may_come_back() -> None:
    async with call(Scenario(), doubts=Doubts(closed_by_client="can_be_resumed")) as (sim, _):
        await sim.close(1000)
        query = f"?reconnect_conv_id={sim.conversations[0].conversation_id}"
        async with dial(sim, query) as back:
            await closed(back, 4800)


# -- and all -----------------------------------------------------------------------------------


def test_every_doubt_is_tested_here() -> None:
    assert {doubt.name for doubt in DOUBTS} == tested
