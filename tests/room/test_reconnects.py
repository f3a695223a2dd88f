"""A participant whose connection to LiveKit is made anew in mid-call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
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


async def test_after_the_agents_full_reconnect_it_answers_or_its_job_has_ended(
    trial, trial_worker, simulate
):
    """LiveKit's server sees the agent leave, and tells the worker to end the job: not every time,
    but no agent is left that is deaf."""
    await simulate(SCENARIO)
    guest = await trial(reconnect=True)
    await greeted(guest)
    room = guest.room.name
    await guest.write("Connect anew!")
    await guest.until(lambda: guest.stays[0].left is not None, "the agent's leave")

    async def answered() -> None:
        await guest.until_agent()
        await ask(guest, "Are you there?")
        assert said(guest) == CALL_GOES_ON

    await whichever_is_first(answered, lambda: trial_worker.call_ended(room))


async def whichever_is_first(*waits: Callable[[], Awaitable[None]]) -> None:
    async with anyio.create_task_group() as tasks:

        async def wait(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            tasks.cancel_scope.cancel()

        for one in waits:
            tasks.start_soon(wait, one)
