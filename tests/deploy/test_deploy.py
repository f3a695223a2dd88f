"""The files in deploy/ are what the tools that read them accept."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

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
