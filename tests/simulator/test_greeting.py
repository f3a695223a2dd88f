"""An agent in an ``AgentSession`` is heard to greet once, whatever becomes of the connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, llm
from support import clock

from phonic_fsm import RealtimeModel
from phonic_fsm._wire import server
from phonic_fsm.simulator import AgentConfig, ConversationRecord, PhonicSimulator, Scenario, Turn
from phonic_fsm.testing import PhoneCall

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is waited for takes an eighth of its time."""
    return clock.backend(speed=8)


EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def turns_in(conversation: ConversationRecord) -> int:
    """How often the assistant spoke."""
    return sum(isinstance(m, server.AssistantStartedSpeaking) for m in conversation.sent)


async def test_the_example_greets_once_and_is_heard_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from agent import Concierge

    async with PhonicSimulator("small-talk") as simulator:
        session = AgentSession(llm=RealtimeModel(api_key="any", base_url=simulator.url))
        async with PhoneCall(session, Concierge()) as call:
            await call.until_answer()
            await call.until_quiet()
            [greeting] = [i for i in session.history.items if isinstance(i, llm.ChatMessage)]
            [reply] = simulator.scenario.replies
            assert (greeting.text_content, greeting.interrupted) == (reply, False)
            assert turns_in(simulator.conversations[0]) == 1


@pytest.mark.parametrize(
    "options", [{"welcome_message": "Hello."}, {"phonic_agent": "host"}], ids=["config", "agent"]
)
async def test_a_fresh_conversation_does_not_greet_again(options: dict[str, Any]) -> None:
    scenario = Scenario(
        agents={"host": AgentConfig(welcome_message="Hello.")},
        turns=(Turn(caller="Hi.", assistant="Yes?"),),
    )
    async with PhonicSimulator(scenario, grace_s=0) as simulator:
        model = RealtimeModel(api_key="any", base_url=simulator.url, **options)
        session = AgentSession(llm=model)
        async with PhoneCall(session, Agent(instructions="Be kind.")) as call:
            await call.until_answer()
            await call.until_quiet()
            simulator.drop()
            await simulator.wait_for(lambda: len(simulator.conversations) == 2)
            await call.until_quiet()
            await call.say("Hi.")
            await call.until_answer()
            assert [turns_in(c) for c in simulator.conversations] == [1, 1]
