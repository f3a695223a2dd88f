"""A worker's figures at a real Prometheus, and each query of the dashboard and the alerts there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from support import commands
from support.ports import free_port
from support.rooms import PATIENCE, ask, greeted

from phonic_fsm.durable import journals
from phonic_fsm.testing import AgentWorker, Scenario
from phonic_fsm.testing._leash import leashed

pytestmark = pytest.mark.anyio

AGENT = Path(__file__).parents[1] / "support/metered_agent.py"
DEPLOY = Path(__file__).parents[2] / "deploy"
QUIET = {"phonic_tool_call", "phonic_errors", "phonic_reply_failures", "phonic_bound"}
"""Nothing of the kind happens in these calls, so there is no series yet."""


class Prometheus:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def query(self, expression: str) -> list[dict[str, Any]]:
        async with self._http.get(f"{self._url}/api/v1/query", params={"query": expression}) as got:
            answer = await got.json()
        assert answer["status"] == "success", (expression, answer)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def until(self, expression: str) -> list[dict[str, Any]]:
        """Wait until it has a result. Prometheus tells nobody what it has scraped."""
        with anyio.fail_after(PATIENCE):
            while True:
                try:
                    if found := await self.query(expression):
                        return found
                except aiohttp.ClientConnectionError:
                    pass  # it is not up yet
                await anyio.sleep(0.2)


@asynccontextmanager
async def prometheus(scraped: int, place: Path) -> AsyncIterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no Prometheus is installed; .ci/run installs Debian's")
    config = (DEPLOY / "prometheus/prometheus.yml").read_text()
    (place / "prometheus.yml").write_text(
        config.replace("9100", str(scraped)).replace("interval: 15s", "interval: 500ms")
    )
    shutil.copy(DEPLOY / "prometheus/alerts.yml", place)
    port = free_port()
    process = await anyio.open_process(
        leashed(
            program,
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as http:
            yield Prometheus(http, f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        await process.wait()
        await process.aclose()


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

        dashboard = json.loads((DEPLOY / "grafana/phonic-calls.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$__rate_interval", "1m")
                if any(name in query for name in QUIET):
                    await prom.query(query)
                else:
                    # A rate needs two scrapes.
                    await prom.until(query)
