"""A caller who cannot hear the agent yet, and speaks or leaves meanwhile."""

from __future__ import annotations

import pytest

from phonic_fsm._wire import server
from phonic_fsm.testing import PhonicSimulator, Scenario, Turn

pytestmark = pytest.mark.anyio

SCENARIO = Scenario(
    replies=("Welcome to the hotel, and do make yourself at home: how may I help you today?",),
    turns=(
        Turn(caller="Is there a room?", assistant="There is one left."),
        Turn(caller="I take it.", assistant="It is yours."),
    ),
)


def has_said(simulator: PhonicSimulator, kind: type) -> bool:
    return any(isinstance(m, kind) for c in simulator.conversations for m in c.sent)


async def test_a_caller_who_speaks_before_they_hear_the_agent_is_answered(worker, simulate, call):
    simulator = await simulate(SCENARIO)
    guest = await call(subscribe=False)
    await guest.until_agent()
    await simulator.wait_for(lambda: has_said(simulator, server.AssistantStartedSpeaking))
    await guest.say("Is there a room?")
    assert has_said(simulator, server.UserStartedSpeaking), "the greeting was not interrupted"
    await guest.subscribe()
    await guest.until_answer()
    await guest.until_quiet()
    await guest.say("I take it.")
    await guest.until_answer()
    await guest.until_quiet()
    said = [t.text for t in guest.transcripts if t.identity != "caller"]
    assert said[-2:] == ["There is one left.", "It is yours."]


async def test_a_caller_who_leaves_before_they_hear_the_agent_keeps_no_job(worker, simulate, call):
    simulator = await simulate(SCENARIO)
    guest = await call(subscribe=False)
    await guest.until_agent()
    await simulator.wait_for(lambda: has_said(simulator, server.AssistantStartedSpeaking))
    room = guest.room.name
    assert room in worker.jobs
    await guest.hang_up()
    await worker.call_ended(room)
