"""A conversation in a room: the agent greets, answers, uses a tool and yields."""

from __future__ import annotations

import pytest

from phonic_fsm.testing import Call, Scenario, Turn

pytestmark = pytest.mark.anyio

WEATHER = Call(tool="get_weather", parameters={"city": "Paris"}, then="I hear: {output}")


def said(call) -> list[tuple[str, str]]:
    return [(t.identity.split("-")[0], t.text) for t in call.transcripts]


async def test_the_agent_greets_and_answers_with_a_tool(worker, simulate, call):
    scenario = Scenario(
        replies=("Welcome to the hotel!",),
        turns=(Turn(caller="How is the weather in Paris?", calls=(WEATHER,)),),
    )
    await simulate(scenario)
    guest = await call()
    await guest.until_answer()
    await guest.play(scenario)
    assert said(guest) == [
        ("agent", "Welcome to the hotel!"),
        ("caller", "How is the weather in Paris?"),
        ("agent", "I hear: sunny and 21 degrees in Paris"),
    ]
    assert all(transcript.final for transcript in guest.transcripts)
