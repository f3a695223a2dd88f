"""The processes that tests start: none outlives its test, nor the suite if that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from phonic_fsm.testing._leash import leashed

LONGEST = 120
"""Seconds until a process that does not end has hung; on a busy machine one needs ten times as
long as on an idle one."""

Stream = int | IO[bytes] | None


@contextmanager
def running(
    *command: object,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = None,
    stdout: Stream = subprocess.PIPE,
    stderr: Stream = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """A process, in a group of its own that is killed when the block ends.

    Start it from a test's main thread: with the thread that started it, a process ends.
    """
    with subprocess.Popen(
        leashed(*command),
        cwd=cwd,
        env=_environment(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def run(
    *command: object,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stderr: Stream = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """A process that has ended, and what it wrote."""
    with running(*command, cwd=cwd, env=env, stderr=stderr) as process:
        out, err = process.communicate(timeout=LONGEST)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})}
