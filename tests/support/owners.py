"""Processes that own journals, which tests kill and stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from .processes import LONGEST, running

OWNER = Path(__file__).with_name("owner.py")


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


@contextmanager
def owners(place: str) -> Iterator[Callable[..., Owner]]:
    """Starts owners of the journals at a place: ``own("begin", "call", room="room")``."""
    with ExitStack() as stack:

        def own(how: str, name: str, room: str = "room") -> Owner:
            command = (sys.executable, OWNER, place, how, name, room)
            return Owner(stack.enter_context(running(*command, stdin=PIPE)))

        yield own
