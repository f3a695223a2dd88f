"""A load test of a worker: what callers hear, how it is told, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest
from livekit import api
from support.load_agent import START_S
from support.ports import free_port
from support.rooms import PATIENCE

from phonic_fsm.testing import AgentWorker, LiveKitServer
from phonic_fsm.testing._leash import leashed

pytestmark = pytest.mark.anyio

AGENT = Path(__file__).parents[1] / "support/load_agent.py"


@asynccontextmanager
async def serving(idle: int):
    """A LiveKit server, a worker with so many idle processes, and the command that tests it."""
    port = free_port()
    environment = {
        "PHONIC_BASE_URL": f"ws://127.0.0.1:{port}",
        "PHONIC_API_KEY": "any",
        "IDLE_PROCESSES": str(idle),
    }
    async with (
        LiveKitServer() as own,
        AgentWorker(AGENT, own, environment, patience=PATIENCE) as worker,
    ):
        if idle:
            await worker.until_logged("process initialized", times=idle)
        command = leashed(
            *(sys.executable, "-m", "phonic_fsm", "load", "--phonic-port", port),
            *("--url", own.url, "--patience", PATIENCE, "--ramp", 0),
        )
        yield own, worker, command


def key_of(server: LiveKitServer) -> dict[str, str]:
    return {
        **os.environ,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
    }


async def rooms(server: LiveKitServer) -> list[str]:
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as server_api:
        found = await server_api.room.list_rooms(api.ListRoomsRequest())
        return [room.name for room in found.rooms]


async def until_rooms(server: LiveKitServer, are: Callable[[list[str]], bool]) -> list[str]:
    """Wait until the server's rooms are so; returns them."""
    with anyio.fail_after(PATIENCE):
        while not are(found := await rooms(server)):  # noqa: ASYNC110 - rooms tell nobody
            await anyio.sleep(0.05)
    return found


async def agents(server: LiveKitServer) -> int:
    """How many agents are in the server's rooms."""
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as server_api:
        found = [
            await server_api.room.list_participants(api.ListParticipantsRequest(room=room))
            for room in await rooms(server)
        ]
    return sum(one.kind == api.ParticipantInfo.AGENT for each in found for one in each.participants)


async def figures(idle: int, *options: object) -> tuple[int, dict[str, Any]]:
    async with serving(idle) as (own, worker, command):
        done = await anyio.run_process(
            [*command, "--json", "--worker-pid", str(worker.pid), *map(str, options)],
            env=key_of(own),
            check=False,
        )
        assert done.stdout, done.stderr
        assert await rooms(own) == []
        return done.returncode, json.loads(done.stdout)


async def test_a_worker_with_too_few_idle_processes_lets_callers_wait(livekit):
    limits = ("--fail-on", f"first_voice.p50={START_S}", "--fail-on", "never_heard=0")
    code, few = await figures(0, "--rooms", 3, "--turns", 1, "--hang-up", 0, *limits)
    assert code == 1
    assert "first_voice.p50" in few["broken"][0]
    talk = ("--turns", 2, "--barge-in", 1, "--hang-up", 0.34)
    code, enough = await figures(3, "--rooms", 3, *talk, "--fail-on", "never_heard=0")
    assert (code, enough["broken"]) == (0, [])
    slow, fast = (found["figures"]["first_voice.p50"] for found in (few, enough))
    assert slow > START_S, "every caller waits for a process to start"
    assert fast < slow
    found = enough["figures"]
    assert found["rooms"] == found["first_voice.count"] == 3
    assert (found["refused"], found["never_heard"]) == (0, 0)
    assert found["hang_ups"] == 1
    assert found["barge_ins"] > 0
    assert found["asked"] == found["latency.count"] + found["unanswered"] == 3 * 2
    assert 0 < found["latency.p50"] <= found["latency.p95"] <= found["latency.max"]
    assert found["worker.cpu"] > 0
    assert found["worker.mb"] > 0


@pytest.mark.parametrize("how", ["to the end", "until Ctrl-C"])
async def test_a_server_without_a_worker_is_named(livekit, how):
    async with LiveKitServer() as own:
        command = leashed(
            *(sys.executable, "-m", "phonic_fsm", "load", "--url", own.url, "--phonic-port", 0),
            *("--rooms", 10, "--ramp", 0, "--patience", 1 if how == "to the end" else PATIENCE),
        )
        async with await anyio.open_process(
            command, env=key_of(own), stdout=PIPE, stderr=PIPE
        ) as process:
            if how == "until Ctrl-C":
                await until_rooms(own, bool)
                process.send_signal(signal.SIGINT)  # some callers are about to join
            assert process.stderr is not None
            told = b"".join([piece async for piece in process.stderr]).decode()
            assert await process.wait() == (0 if how == "to the end" else 130)
        assert f"no agent joined any room: is a worker connected to {own.url}" in told
        assert await rooms(own) == []


async def test_a_room_that_comes_back_is_removed_too(livekit):
    async with LiveKitServer() as own:
        command = leashed(
            *(sys.executable, "-m", "phonic_fsm", "load", "--url", own.url, "--phonic-port", 0),
            *("--rooms", 1, "--patience", PATIENCE),
        )
        async with await anyio.open_process(command, env=key_of(own)) as process:
            [name] = await until_rooms(own, bool)
            process.send_signal(signal.SIGINT)
            await until_rooms(own, lambda found: not found)
            # An agent that was on its way does so by joining.
            async with api.LiveKitAPI(own.url, own.api_key, own.api_secret) as server_api:
                await server_api.room.create_room(api.CreateRoomRequest(name=name))
            assert await process.wait() == 130
        assert await rooms(own) == []


async def test_ctrl_c_prints_the_table_so_far_and_leaves_no_room(livekit):
    async with serving(2) as (own, _, command):
        options = ["--rooms", "2", "--turns", "50"]
        async with await anyio.open_process(
            [*command, *options], env=key_of(own), stdout=PIPE, stderr=PIPE
        ) as process:
            with anyio.fail_after(PATIENCE):
                while await agents(own) < 2:  # noqa: ASYNC110 - rooms tell nobody
                    await anyio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None
            shown = b"".join([piece async for piece in process.stdout]).decode()
            assert await process.wait() == 130
        assert "time to first voice (s)" in shown
        assert re.search(r"never heard a voice +0$", shown, re.MULTILINE), "none waited to the end"
        assert await rooms(own) == []
