"""Stores of journals, and processes that own them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from support.processes import LONGEST, running
from support.redis_server import RedisServer

from phonic_fsm.durable import Journals, journals

OWNER = Path(__file__).parents[1] / "support" / "owner.py"


class Owner:
    """A process that owns a journal, or has failed to."""

    def __init__(self, process: Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def said(self) -> str:
        """What it says next; first the number of its lease, or the error."""
        return self._process.stdout.readline().strip()

    def ask(self, command: str) -> None:
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def do(self, command: str) -> str:
        self.ask(command)
        return self.said()

    def stop(self) -> None:
        """Stop it, as SIGSTOP does; returns when it stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, and return when it is dead. Nobody has waited for it: it is a zombie."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def until_dead(self) -> int:
        return self._process.wait(LONGEST)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests that leave it as it is."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "journals")


@pytest.fixture
def redis(redis_server: RedisServer) -> str:
    """The address of an empty Redis."""
    redis_server.client().flushall()
    return redis_server.url


@pytest.fixture(params=["directory", "redis"])
def place(request: pytest.FixtureRequest) -> str:
    """Where the journals are: in each of the stores."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def store(place: str) -> Journals:
    return journals(place)


@pytest.fixture
def own(place: str) -> Iterator[Callable[..., Owner]]:
    """Starts a process: ``own("begin", "call")``."""
    with ExitStack() as stack:

        def own(how: str, name: str) -> Owner:
            command = (sys.executable, OWNER, place, how, name)
            return Owner(stack.enter_context(running(*command, stdin=PIPE)))

        yield own
