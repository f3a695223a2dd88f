"""A process that records a call, told to it step by step on its stdin; it may be killed.

Each line on stdin is a JSON list of the fields of an event, its type first, as in
``["user_started_speaking"]``; or ``fork``, after which a child lives on with what it inherited.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from support import processes

from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import Event
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace._format import event_from
from phonic_fsm.trace._recorder import TraceRecorder
from phonic_fsm.trace._recording import checked_recording


class RecordingProcess:
    """Takes a call's events; each is in the trace's file when ``take`` returns."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def take(self, *happens: Event) -> None:
        for event in happens:
            self._say(msgspec.json.encode(event).decode())

    def fork(self) -> None:
        self._say("fork")

    def kill(self) -> None:
        # Not the child that lives on.
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait(processes.LONGEST)

    def close(self) -> None:
        """End the recording, and the process."""
        self._process.stdin.close()
        self._process.wait(processes.LONGEST)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _say(self, line: str) -> None:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "taken\n"


@contextmanager
def recording(path: Path) -> Iterator[RecordingProcess]:
    command = (sys.executable, "-W", "ignore", "-m", "support.recording_process", path)
    tests = str(Path(__file__).parent.parent)
    with processes.running(
        *command, stdin=subprocess.PIPE, stderr=None, env={"PYTHONPATH": tests}
    ) as process:
        yield RecordingProcess(process)


def main(path: str) -> None:
    settings = Settings(id_seed="recorded", config=ConfigOptions(output_format="pcm_24000"))
    machine = SessionMachine(settings)
    recorder = TraceRecorder(checked_recording(path), settings, Secrets())
    steps = 0
    for line in sys.stdin:
        if line == "fork\n":
            begun, begins = os.pipe()
            if os.fork() == 0:
                os.write(begins, b"x")
                time.sleep(processes.LONGEST)
                os._exit(0)
            os.read(begun, 1)
        else:
            recorder.record(machine.step(event_from(msgspec.json.decode(line))))
            steps += 1
            while len(Path(path).read_bytes().splitlines() if Path(path).exists() else ()) <= steps:
                time.sleep(0.01)
        print("taken", flush=True)  # noqa: T201
    recorder.close()
    recorder._written.result(processes.LONGEST)


if __name__ == "__main__":
    main(sys.argv[1])
