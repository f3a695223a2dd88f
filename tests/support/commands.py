"""The command line, run in this process, or as one that a terminal or a pipe belongs to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from phonic_fsm._cli import main


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
            main()
        except SystemExit as end:
            return Result(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main() always exits")


def run_process(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same as ``run``, in a process of its own that has ended."""
    return subprocess.run(
        [sys.executable, "-m", "phonic_fsm", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"},
        timeout=50,
        check=False,
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    """The same as ``run``, in a process of its own that is still running."""
    return subprocess.Popen(
        [sys.executable, "-m", "phonic_fsm", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"},
    )


def assert_is_one_line_and_exit_2(
    result: Result | subprocess.CompletedProcess[str], *, says: str
) -> None:
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert says in result.stderr
