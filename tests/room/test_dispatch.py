"""Which calls a worker is sent: every room's, or those that ask for it by name."""

from __future__ import annotations

import pytest
from support.rooms import ask, greeted, said

from phonic_fsm.testing import Scenario, Turn

pytestmark = pytest.mark.anyio

SCENARIO = Scenario(
    replies=("Welcome!",), turns=(Turn(caller="Are you there?", assistant="Yes, I am."),)
)


async def test_a_worker_without_a_name_takes_every_room(worker, simulate, call):
    await simulate(SCENARIO)
    guest = await call()
    await greeted(guest)
    assert guest.room.name in worker.jobs


async def test_a_worker_with_a_name_takes_only_rooms_that_ask_for_it(
    worker, keypad_worker, simulate, call
):
    phonic = await simulate(SCENARIO)
    guest = await call(agent_name="keypad")
    await guest.until_agent()
    assert guest.room.name in keypad_worker.jobs
    await call()
    await phonic.wait_for(lambda: len(phonic.conversations) == 2)
    assert [stay.identity for stay in guest.stays] == [guest.agent.identity], "and no other agent"
    assert len(keypad_worker.jobs) == 1


async def test_a_second_call_in_the_same_worker_is_another_conversation(worker, simulate, call):
    phonic = await simulate(SCENARIO)
    for _ in range(2):
        guest = await call()
        await greeted(guest)
        await ask(guest, "Are you there?")
        assert said(guest)[-1] == ("agent", "Yes, I am.")
        await guest.hang_up()
    first, second = phonic.conversations
    assert first.conversation_id != second.conversation_id


async def test_two_calls_at_once_do_not_hear_each_other(worker, simulate, call):
    phonic = await simulate(SCENARIO)
    one, other = await call(), await call(identity="other")
    await greeted(one)
    await greeted(other)
    await ask(one, "Are you there?")
    assert said(other) == [("agent", "Welcome!")]
    assert len(phonic.conversations) == 2
