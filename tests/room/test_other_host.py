"""A process on another host takes the call of one that stands still, which then wakes up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import anyio
import psutil
import pytest
from livekit import rtc
from support.redis_server import RedisServer
from support.rooms import greeted, said
from support.takeovers import SCENARIO, House, heard_again, no_two_at_once

pytestmark = pytest.mark.anyio

ELSEWHERE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""Processes of another PID namespace cannot be killed from here, as those of another host."""


@pytest.fixture
def elsewhere():
    if shutil.which("unshare") is None or subprocess.call([*ELSEWHERE, "true"]):
        pytest.skip("this user may not make a PID namespace")
    return ELSEWHERE


async def test_a_process_that_wakes_up_after_the_takeover_neither_sends_nor_speaks(
    livekit, phonic_port, simulate, call, *, tmp_path, elsewhere
):
    phonic = await simulate(SCENARIO)
    with RedisServer(tmp_path / "redis") as redis:
        async with House(livekit, redis.url, tmp_path, phonic_port) as house:
            first = await house.employ()
            guest = await call(agent_name="clerk")
            await greeted(guest)
            former = guest.agent.identity
            await house.employ(elsewhere)
            await house.watch(elsewhere)
            await guest.say("Where can we sit?")
            await guest.until_answer()
            since = anyio.current_time()
            stopped = house.kill(guest, signal.SIGSTOP)
            first.kill()  # it would get the call again, and it may kill the job
            await heard_again(guest, since)
            await guest.until_quiet()
            spoken = len(guest.ears[former].stretches)
            os.kill(stopped, signal.SIGCONT)
            with anyio.fail_after(60):
                while psutil.pid_exists(stopped):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            await guest.say("Where can we sit?")
            await guest.until_answer()
            await guest.until_quiet()
            assert len(guest.ears[former].stretches) == spoken
            no_two_at_once(guest)
            assert [s.reason for s in guest.stays if s.identity == former] == [
                rtc.DisconnectReason.PARTICIPANT_REMOVED
            ], "it has never come back"
            assert len(phonic.conversations) == 1, "and has not ended the conversation"
            assert said(guest)[-1][0] == "agent"
            assert house.status(guest).number == 2
            house.replays(guest, tmp_path)
