"""A worker's figures, those of its jobs included, at a real Prometheus."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import anyio
import pytest
from support import commands
from support.ports import free_port
from support.prometheus import DASHBOARD, prometheus
from support.rooms import PATIENCE, ask, greeted

from phonic_fsm.durable import journals
from phonic_fsm.testing import AgentWorker, Scenario

pytestmark = pytest.mark.anyio

AGENT = Path(__file__).parents[1] / "support/metered_agent.py"


async def test_a_worker_with_job_processes_is_scraped(
    livekit, environment, simulate, call, tmp_path
):
    port = free_port()
    environment = {
        **environment,
        "LIVEKIT_AGENT_NAME": "metered",
        "METRICS_PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "processes"),
        "PHONIC_FSM_JOURNAL": str(tmp_path / "journals"),
    }
    async with (
        AgentWorker(AGENT, livekit, environment, patience=PATIENCE),
        prometheus(port, tmp_path) as prom,
    ):
        await simulate(Scenario(replies=("Here I am.", "Quite so.")))
        calls = await asyncio.gather(*(call(agent_name="metered") for _ in range(2)))
        # On a busy machine, a guard may take a call over once more.
        for caller in calls:
            await greeted(caller)
        await prom.until("sum(phonic_session_active) == 2")
        for caller in calls:
            await ask(caller, "Is it you?")
        await prom.until("sum(phonic_response_latency_seconds_count) >= 2")
        [spoken] = await prom.query("sum(phonic_usage_spoken_seconds_total)")
        assert float(spoken["value"][1]) > 1

        one, other = journals(tmp_path / "journals").statuses()
        os.kill(one.holder.pid, signal.SIGKILL)
        await prom.until(
            'sum(phonic_takeover_gap_seconds_count{phonic_takeover_cause="death"}) >= 1'
        )
        moved = await anyio.to_thread.run_sync(
            commands.run, "move", other.holder.room, tmp_path / "journals"
        )
        assert moved.returncode == 0, moved.stderr
        await prom.until(
            'sum(phonic_takeover_gap_seconds_count{phonic_takeover_cause="move"}) >= 1'
        )
        await prom.until('sum(phonic_moves_total{phonic_outcome="moved"}) >= 1')
        await prom.until(
            'sum(phonic_conversation_starts_total{phonic_conversation_start="resumed"}) >= 2'
        )
        # What a killed process had counted is gone with it, and the others agree.
        await prom.until("sum(phonic_session_active) == 2")

        # The others are in tests/session/test_meters.py, where all happens that they show.
        [load] = [query for query in DASHBOARD if "lk_agents" in query]
        await prom.until(load)
