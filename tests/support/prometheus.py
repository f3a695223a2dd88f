"""A real Prometheus, with the files of ``deploy/``, which scrapes one address twice a second."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from phonic_fsm.testing._leash import leashed

from .ports import free_port
from .rooms import PATIENCE

DEPLOY = Path(__file__).parents[2] / "deploy"

DASHBOARD = [
    target["expr"].replace("$__rate_interval", "1m")
    for panel in json.loads((DEPLOY / "grafana/phonic-calls.json").read_text())["panels"]
    for target in panel["targets"]
]
"""Its queries."""


class NotReady(Exception):
    """It listens, but has not read its storage yet."""


class Prometheus:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def query(self, expression: str) -> list[dict[str, Any]]:
        url = f"{self._url}/api/v1/query"
        async with self._http.get(url, params={"query": expression}) as got:
            if got.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise NotReady
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
                except (aiohttp.ClientConnectionError, NotReady):
                    pass  # it is not up yet
                await anyio.sleep(0.2)


@asynccontextmanager
async def prometheus(scraped: int, place: Path) -> AsyncIterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no Prometheus is installed; .ci/run installs Debian's")
    config = (DEPLOY / "prometheus/prometheus.yml").read_text()
    config = re.sub("targets: .*", f'targets: ["127.0.0.1:{scraped}"]', config)
    (place / "prometheus.yml").write_text(config.replace("interval: 15s", "interval: 500ms"))
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
