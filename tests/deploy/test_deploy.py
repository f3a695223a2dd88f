"""The files in deploy/ are what the tools that read them accept."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL

import aiohttp
import anyio
import pytest
from livekit.agents import AgentServer
from livekit.agents.ipc.job_proc_lazy_main import _SESSION_ACLOSE_TIMEOUT
from support.ports import free_port

from phonic_fsm._adapter.moving import AGAIN, ARRIVAL, LONGEST_WAIT
from phonic_fsm.durable._departures import TURN
from phonic_fsm.testing._leash import leashed

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
BUILDERS = ("docker", "podman")


def run(*command: object) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; tox -e deploy has it, or .ci/run installs it")
    return found


def test_the_dockerfile_has_no_finding() -> None:
    run(tool("hadolint"), DEPLOY / "Dockerfile")


def test_the_dockerfile_builds() -> None:
    builder = next(filter(builds, BUILDERS), None)
    if builder is None:
        pytest.skip("neither Docker nor Podman can build here: the Dockerfile is only linted")
    run(builder, "build", "-f", DEPLOY / "Dockerfile", DEPLOY.parent)


def builds(builder: str) -> bool:
    """Whether it is installed, and its daemon runs."""
    found = shutil.which(builder)
    return (
        found is not None
        and subprocess.run([found, "info"], capture_output=True, check=False).returncode == 0
    )


def test_the_dockerfile_copies_what_there_is() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert copied
    for name in copied:
        assert (DEPLOY.parent / name).exists(), name


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_the_manifests_follow_the_published_schemas(manifest: Path) -> None:
    assert "passed" in run(tool("kubernetes-validate"), "--strict", manifest)


def test_a_manifest_with_a_mistake_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((DEPLOY / "kubernetes/worker.yaml").read_text().replace("replicas", "replica"))
    validate = tool("kubernetes-validate")
    assert subprocess.run(
        [validate, "--strict", wrong], capture_output=True, check=False
    ).returncode


def test_files_that_others_name_are_there() -> None:
    texts = [
        path.read_text() for path in DEPLOY.rglob("*") if path.suffix != ".json" and path.is_file()
    ]
    named = {
        name
        for text in texts
        for name in re.findall(r"(?:deploy|examples|docs)/[\w/@-]+\.\w+", text)
    }
    assert named
    for name in sorted(named):
        assert (DEPLOY.parent / name).exists(), name


@pytest.mark.anyio
async def test_the_worker_serves_what_is_probed_scraped_and_scaled_by(tmp_path: Path) -> None:
    """No LiveKit server is needed: a worker that looks for one is healthy at first."""
    worker = (DEPLOY / "kubernetes/worker.yaml").read_text()
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    served = number("Dockerfile", "METRICS_PORT=")
    assert re.search(rf'prometheus.io/port: "{served}"', worker)
    assert number("kubernetes/worker.yaml", "name: metrics, containerPort: ") == served
    probed = number("kubernetes/worker.yaml", "name: health, containerPort: ")
    assert f"EXPOSE {probed} {served}" in dockerfile
    agent = DEPLOY.parent / re.findall(r"COPY (\S+) agent.py", dockerfile)[0]
    assert f'"HEALTH_PORT", "{probed}"' in agent.read_text()
    assert len(re.findall(r"httpGet: {path: /, port: health}", worker)) == worker.count("Probe:")
    scaled_by = re.findall(
        r"metric: {name: (\w+)}", (DEPLOY / "kubernetes/autoscaling.yaml").read_text()
    )
    health, metrics = free_port(), free_port()
    environment = {
        **os.environ,
        "HEALTH_PORT": str(health),
        "METRICS_PORT": str(metrics),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "PHONIC_FSM_JOURNAL": str(tmp_path / "journals"),
        "LIVEKIT_URL": "ws://127.0.0.1:9",
        "LIVEKIT_API_KEY": "any",
        "LIVEKIT_API_SECRET": "any",
    }
    command = leashed(sys.executable, agent, "start")
    async with (
        await anyio.open_process(
            command, env=environment, stdout=DEVNULL, stderr=DEVNULL
        ) as process,
        aiohttp.ClientSession() as client,
    ):
        with anyio.fail_after(60):
            assert await answer(client, health, "") == "OK"
            text = await answer(client, metrics, "metrics")
            while not all(f"\n{name}{{" in text for name in scaled_by):
                await anyio.sleep(0.2)
                text = await answer(client, metrics, "metrics")
        process.kill()


async def answer(client: aiohttp.ClientSession, port: int, path: str) -> str:
    """What is served there, as soon as anything is."""
    while True:
        try:
            async with client.get(f"http://127.0.0.1:{port}/{path}") as response:
                response.raise_for_status()
                return await response.text()
        except aiohttp.ClientConnectionError:
            await anyio.sleep(0.2)


def test_the_manifests_name_only_secrets_of_the_example() -> None:
    secret = (DEPLOY / "kubernetes/secret.example.yaml").read_text()
    wanted = {
        key
        for manifest in MANIFESTS
        for key in re.findall(
            r"secretKeyRef: \{name: phonic-agent, key: ([\w-]+)\}", manifest.read_text()
        )
    }
    assert wanted == set(re.findall(r"^  ([\w-]+): (?!phonic-agent$)", secret, re.M)) - {"name"}


CALLS_A_CORE = 11
"""What docs/capacity.md says that a worker's core can hold at most."""


def test_the_time_to_move_the_time_to_drain_and_the_supervisors_fit_together() -> None:
    """Each is a part of the next. A supervisor that is too quick kills calls that could move."""
    options = inspect.signature(AgentServer.__init__).parameters
    # LiveKit waits 15 s for a job's entrypoint to return.
    end = 15 + _SESSION_ACLOSE_TIMEOUT + options["shutdown_process_timeout"].default
    move = CALLS_A_CORE * TURN + ARRIVAL + LONGEST_WAIT
    again = ARRIVAL + AGAIN
    kubernetes = drain_timeout("Dockerfile"), number("kubernetes/worker.yaml", r"PeriodSeconds: ")
    unit = "systemd/phonic-agent@.service"
    for drains, is_given in (kubernetes, (drain_timeout(unit), number(unit, "TimeoutStopSec="))):
        assert move + again <= drains, "also if the first successor does not come"
        assert drains + end <= is_given < drains + end + 30
    told = (DEPLOY.parent / "docs/production.md").read_text()
    assert f"gives them up to {end:g} s" in told
    assert "| {:,} s | {:,} s |".format(*kubernetes) in told
    assert f"| {drain_timeout(unit):,} s | {number(unit, 'TimeoutStopSec='):,} s |" in told


def drain_timeout(name: str) -> int:
    return number(name, r"--drain-timeout\W+")


def number(name: str, before: str) -> int:
    """The number behind ``before`` in a file of deploy/."""
    [found] = re.findall(rf"{before}(\d+)", (DEPLOY / name).read_text())
    return int(found)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_accepts_the_units(unit: Path, tmp_path: Path) -> None:
    # It checks that the program is there; on this machine another one stands for it.
    local = tmp_path / unit.name
    local.write_text(
        re.sub(r"/opt/phonic-agent/bin/\S+", shutil.which("true") or "", unit.read_text())
    )
    said = run(tool("systemd-analyze"), "verify", local)
    assert local.name not in said, said


PROMETHEUS = DEPLOY / "prometheus"


def test_prometheus_accepts_its_files() -> None:
    run(tool("promtool"), "check", "config", PROMETHEUS / "prometheus.yml")


def test_the_alerts_fire_when_they_should() -> None:
    run(tool("promtool"), "test", "rules", PROMETHEUS / "alerts_test.yml")
