"""A participant whose connection to LiveKit is made anew in mid-call."""

from __future__ import annotations

import pytest
from support.rooms import ask, greeted, said

from phonic_fsm.testing import Scenario, Turn

pytestmark = pytest.mark.anyio

SCENARIO = Scenario(
    replies=("Welcome!",),
    turns=(Turn(caller="Are you there?", assistant="Yes, I am here."),),
)
CALL_GOES_ON = [
    ("agent", "Welcome!"),
    ("caller", "Are you there?"),
    ("agent", "Yes, I am here."),
]


async def test_the_callers_full_reconnect(worker, simulate, call):
    phonic = await simulate(SCENARIO)
    guest = await call()
    await greeted(guest)
    await guest.reconnect()
    await guest.until_agent()
    await ask(guest, "Are you there?")
    assert said(guest) == CALL_GOES_ON
    assert len(phonic.conversations) == 1


async def test_the_agents_full_reconnect(trial, simulate):
    phonic = await simulate(SCENARIO)
    guest = await trial(reconnect=True)
    await greeted(guest)
    await guest.write("Connect anew!")
    await guest.until(lambda: len(guest.stays) > 1, "the agent's return")
    await guest.until_agent()
    await ask(guest, "Are you there?")
    assert said(guest) == CALL_GOES_ON
    assert len(phonic.conversations) == 1
