"""A worker that is told to end: it finishes its calls, and new ones go to the other worker."""

from __future__ import annotations

import pytest
from support.rooms import EXAMPLES, PATIENCE, ask, greeted, said

from phonic_fsm.testing import AgentWorker, LiveKitServer, RoomCall, Scenario, Turn

pytestmark = pytest.mark.anyio


async def test_a_worker_drains(livekit, environment, simulate):
    await simulate(
        Scenario(
            replies=("Welcome!",),
            turns=(Turn(caller="Are you there?", assistant="Yes, I am here."),),
        )
    )
    example = EXAMPLES / "agent.py"
    async with (
        LiveKitServer() as own,
        AgentWorker(example, own, environment, patience=PATIENCE) as one,
        AgentWorker(example, own, environment, patience=PATIENCE) as other,
        RoomCall(own.url, **own.credentials, patience=PATIENCE) as guest,
    ):
        await greeted(guest)
        busy, idle = (one, other) if one.jobs else (other, one)
        busy.terminate()
        await busy.until_logged("draining worker")
        async with RoomCall(own.url, **own.credentials, patience=PATIENCE) as second:
            await greeted(second)
            assert second.room.name in idle.jobs
        await ask(guest, "Are you there?")
        assert said(guest)[-1] == ("agent", "Yes, I am here.")
        await guest.hang_up()
        assert await busy.ended() == 0
