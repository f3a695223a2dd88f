"""Digits in a room, with ``examples/dtmf.py``: those that the agent dials, and the caller's."""

from __future__ import annotations

import pytest
from support.rooms import said

from phonic_fsm.testing import Scenario, Turn

pytestmark = pytest.mark.anyio


async def test_the_agent_dials(keypad_worker, simulate, call):
    await simulate(
        Scenario(turns=(Turn(caller="For hours, press 2.", dtmf="2#", assistant="Thank you."),))
    )
    bank = await call(agent_name="keypad")
    await bank.until_agent()
    await bank.say("For hours, press 2.")
    await bank.until(lambda: bank.digits == "2#", "the digits")
    await bank.until_answer()
    await bank.until_quiet()
    assert bank.digits == "2#"


async def test_the_agent_is_told_what_the_caller_dials(keypad_worker, simulate, call):
    await simulate(Scenario(replies=("You want extension 42.",)))
    bank = await call(agent_name="keypad")
    await bank.until_agent()
    await bank.until(lambda: bank.agent_state == "listening", "the agent's session")
    await bank.dial("42#")
    await bank.until_answer()
    await bank.until_quiet()
    assert said(bank)[-1] == ("agent", "You want extension 42.")
