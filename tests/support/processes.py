"""The processes that tests start. None outlives its test, nor the suite if that is killed.

However the suite was started, they take Ctrl-C: a shell's background job ignores it, and what it
starts would too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

LONGEST = 120
"""Seconds until a process that does not end has hung; on a busy machine one needs ten times as
long as on an idle one."""

_LEASH = """
import ctypes, os, signal, sys
starter, *command = sys.argv[1:]
signal.signal(signal.SIGINT, signal.SIG_DFL)
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(starter):
        sys.exit("whoever started this is gone")
os.execvp(command[0], command)
"""
"""Becomes the command, after what only the process itself can ask for."""

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
        _leashed(command),
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
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def _leashed(command: Sequence[object]) -> list[str]:
    return [sys.executable, "-E", "-S", "-c", _LEASH, *map(str, (os.getpid(), *command))]


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})}
