"""The command line, run in this process, or as one that a terminal or a pipe belongs to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import AbstractContextManager, redirect_stderr, redirect_stdout
from contextvars import Context
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest.mock import patch

import typer.main
from support import processes

from phonic_fsm._cli import main

# To make the commands of the app takes longer than most of them do, and they can be used again.
typer.main.get_command = cache(typer.main.get_command)


@dataclass(frozen=True)
class Result:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, columns: int = 80, **environment: str) -> Result:
    """What ``phonic-fsm ARGUMENTS`` prints into pipes, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["phonic-fsm", *map(str, arguments)]),
        patch.dict(os.environ, {"COLUMNS": str(columns), **environment}),
    ):
        try:
            # As in a process of its own: while an async fixture lives, anyio's plugin says in the
            # context that an event loop runs.
            Context().run(main)
        except SystemExit as end:
            return Result(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main() always exits")


PHONIC_FSM = (sys.executable, "-m", "phonic_fsm")


def run_process(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same as ``run``, in a process of its own that has ended."""
    return processes.run(*PHONIC_FSM, *arguments, cwd=cwd, env={"COLUMNS": "80"})


def start(
    *arguments: object, cwd: Path | None = None
) -> AbstractContextManager[subprocess.Popen[str]]:
    """The same as ``run``, in a process of its own that runs, and ends with the block."""
    return processes.running(
        *PHONIC_FSM, *arguments, cwd=cwd, env={"COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
    )


def assert_is_one_line_and_exit_2(
    result: Result | subprocess.CompletedProcess[str], *, says: str
) -> None:
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert says in result.stderr
