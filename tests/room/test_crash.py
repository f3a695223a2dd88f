"""A job or a worker that is killed in mid-call: what LiveKit makes of it by itself."""

from __future__ import annotations

import os
import signal

import anyio
import pytest
from livekit import rtc
from support.rooms import EXAMPLES, PATIENCE, greeted

from phonic_fsm.testing import AgentWorker, Scenario

pytestmark = pytest.mark.anyio


async def test_a_killed_agent_stays_in_the_room_and_nobody_takes_over(
    livekit, environment, simulate, call
):
    await simulate(Scenario(replies=("Welcome!", "Welcome!")))
    named = {**environment, "LIVEKIT_AGENT_NAME": "doomed"}
    example = EXAMPLES / "agent.py"
    async with (
        AgentWorker(example, livekit, named, patience=PATIENCE) as one,
        AgentWorker(example, livekit, named, patience=PATIENCE) as other,
    ):
        first, second = await call(agent_name="doomed"), await call(agent_name="doomed")
        await greeted(first)
        await greeted(second)
        jobs = {**one.jobs, **other.jobs}
        os.kill(jobs[first.room.name], signal.SIGKILL)
        busy = one if second.room.name in one.jobs else other
        busy.kill()
        since = anyio.current_time()
        for caller in (first, second):
            await caller.until_alone()
            assert anyio.current_time() - since > 15, "LiveKit waits for the agent's return"
            [stay] = caller.stays
            assert stay.reason == rtc.DisconnectReason.CONNECTION_TIMEOUT
