"""The concierge of agent.py on the phone: barge-in, a tool that fails, an outage. No key needed.

::

    python -m pytest examples/test_agent.py

The caller speaks in real time to the agent's own ``AgentSession``, and that to a simulator of
Phonic's server, which ``RealtimeModel()`` finds by itself while ``phonic_simulator`` runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from agent import Concierge
from livekit.agents import AgentSession, llm, mock_tools

from phonic_fsm import RealtimeModel
from phonic_fsm.testing import Call, PhoneCall, Scenario, Turn, assert_replays

pytestmark = pytest.mark.anyio  # or pytest.mark.asyncio, with pytest-asyncio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


ASK = Turn(
    caller="How is the weather in Paris?",
    calls=(Call(tool="get_weather", parameters={"city": "Paris"}, then="I hear: {output}"),),
)


def said(call: PhoneCall, role: str) -> list[tuple[str | None, bool]]:
    """What was heard of one side, message by message, and whether it was cut off."""
    messages = [item for item in call.phonic.chat_ctx.items if isinstance(item, llm.ChatMessage)]
    return [(m.text_content, m.interrupted) for m in messages if m.role == role]


async def test_a_caller_who_barges_in_is_listened_to(phonic_simulator):
    sights = "Begin at the river, walk along its left bank, then cross over to the island."
    scenario = Scenario(
        replies=("Welcome!",),
        turns=(
            Turn(caller="What is there to see?", assistant=sights, interrupt_after_ms=1000),
            Turn(caller="No, to eat.", assistant="The market hall."),
        ),
    )
    async with phonic_simulator(scenario) as simulator:
        session = AgentSession(llm=RealtimeModel())
        async with PhoneCall(session, Concierge()) as call:
            await call.play(simulator.scenario)

    welcome, (heard, cut_off), last = said(call, "assistant")
    assert welcome == ("Welcome!", False)
    assert cut_off
    assert heard
    assert sights.startswith(heard)
    assert heard != sights
    assert last == ("The market hall.", False)
    assert said(call, "user")[-1] == ("No, to eat.", False)


async def test_a_tool_that_fails_is_told_to_the_assistant(phonic_simulator):
    async def fail(city: str) -> str:
        raise llm.ToolError(f"no weather station in {city} answers")

    async with phonic_simulator(Scenario(replies=("Welcome!",), turns=(ASK,))) as simulator:
        session = AgentSession(llm=RealtimeModel())
        with mock_tools(Concierge, {"get_weather": fail}):
            async with PhoneCall(session, Concierge()) as call:
                await call.play(simulator.scenario)

    [output] = [item for item in session.history.items if item.type == "function_call_output"]
    assert output.is_error
    assert said(call, "assistant")[-1] == ("I hear: no weather station in Paris answers", False)


async def test_an_outage_does_not_end_the_call(phonic_simulator, tmp_path: Path):
    scenario = Scenario(
        replies=("Welcome!",),
        turns=(
            Turn(caller="Are you there?", assistant="I am.", drop=True),
            Turn(caller="Still?", assistant="Of course."),
        ),
    )
    async with phonic_simulator(scenario) as simulator:
        session = AgentSession(llm=RealtimeModel(trace=tmp_path / "outage.jsonl"))
        async with PhoneCall(session, Concierge()) as call:
            await call.play(simulator.scenario)
        [conversation] = simulator.conversations

    assert conversation.connections == 2, "the same conversation went on, on a new connection"
    assert said(call, "assistant")[-1] == ("Of course.", False)
    # Kept in a directory, the trace is a test for every later version:
    # pytest --phonic-traces DIR
    assert_replays(tmp_path / "outage.jsonl")
