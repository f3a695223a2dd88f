"""An agent's worker as a process of its own, as it runs in production."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import msgspec
from anyio.abc import Process

from ._leash import leashed
from ._livekit import LiveKitServer


class AgentWorker:
    """An agent's file as a worker of a LiveKit server: what ``python agent.py start`` runs.

    Entering it starts the worker and waits until it is registered; leaving it kills the worker and
    its jobs, if they still run::

        async with LiveKitServer() as livekit, PhonicSimulator("tool-call") as phonic:
            environment = {"PHONIC_BASE_URL": phonic.url, "PHONIC_API_KEY": "any"}
            async with AgentWorker("agent.py", livekit, environment):
                async with RoomCall(livekit.url, **livekit.credentials) as call:
                    await call.until_answer()

    The worker differs in two ways from one that you start by hand: it takes calls however busy the
    machine is, and it has no health check, whose port two workers could not share.
    """

    def __init__(
        self,
        script: str | Path,
        livekit: LiveKitServer,
        environment: Mapping[str, str] | None = None,
        *,
        patience: float = 30.0,
    ) -> None:
        """Prepare a worker; ``async with`` starts it.

        Args:
            script: The agent's file, which has its ``AgentServer`` at module level.
            livekit: The server that the worker registers with.
            environment: Variables for the worker, beside those of this process.
            patience: How long each wait may take (s).
        """
        self._command = [sys.executable, "-m", "phonic_fsm.testing._start_worker", str(script)]
        self._environment = {
            **os.environ,
            "LIVEKIT_URL": livekit.url,
            "LIVEKIT_API_KEY": livekit.api_key,
            "LIVEKIT_API_SECRET": livekit.api_secret,
            **(environment or {}),
        }
        self._patience = patience
        self._log = tempfile.NamedTemporaryFile(prefix="worker-", suffix=".log")  # noqa: SIM115
        self._process: Process

    async def __aenter__(self) -> AgentWorker:
        """Start the worker, and return when it is registered.

        Raises:
            RuntimeError: it ended. The message has its log.
            TimeoutError: it was not registered within ``patience``. The message has its log.
        """
        self._process = await anyio.open_process(
            leashed(*self._command),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # its jobs can be killed together with it
        )
        try:
            await self.until_logged("registered worker")
        except BaseException:
            await self._clear_away()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._clear_away()

    async def _clear_away(self) -> None:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            await self._process.aclose()
            self._log.close()

    @property
    def pid(self) -> int:
        """The worker's own process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """All that the worker and its jobs have written so far."""
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    async def until_logged(self, text: str, times: int = 1) -> None:
        """Wait until ``text`` is in the log so many ``times``.

        Raises:
            RuntimeError: the worker ended before. The message has its log.
            TimeoutError: it was not there within ``patience``. The message has the log.
        """
        try:
            with anyio.fail_after(self._patience):
                while self.log.count(text) < times:
                    if self._process.returncode is not None:
                        code = self._process.returncode
                        raise RuntimeError(f"the worker ended with {code}:\n{self.log}")
                    await anyio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"no {text!r} in the worker's log:\n{self.log}") from None

    @property
    def jobs(self) -> dict[str, int]:
        """The running calls: the name of the room → the id of the process that has the call.

        With LiveKit's thread executor a call has no process of its own and is not listed.
        """
        logged = {
            record["room"]: record["pid"]
            for record in self._records()
            if "room" in record and record.get("pid", self.pid) != self.pid
        }
        return {room: pid for room, pid in logged.items() if _runs(pid)}

    async def call_ended(self, room: str) -> None:
        """Wait until no job has the call in the room of this name.

        Raises:
            TimeoutError: one still has after ``patience``. The message has the log.
        """
        try:
            with anyio.fail_after(self._patience):
                # Processes end without telling this one.
                while room in self.jobs:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"the call in {room} goes on:\n{self.log}") from None

    def terminate(self) -> None:
        """Send SIGTERM: the worker takes no more calls, and ends when the running ones have."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the worker's own process, and none to its jobs."""
        self._process.kill()

    async def ended(self) -> int:
        """Wait until the worker has ended, and return its exit code (-9 after SIGKILL).

        Raises:
            TimeoutError: it still runs after ``patience``. The message has its log.
        """
        try:
            with anyio.fail_after(self._patience):
                return await self._process.wait()
        except TimeoutError:
            raise TimeoutError(f"the worker still runs:\n{self.log}") from None

    def _records(self) -> Iterator[dict[str, Any]]:
        for line in self.log.splitlines():
            if line.startswith("{"):
                with suppress(msgspec.DecodeError):  # its last line may be half written
                    yield msgspec.json.decode(line, type=dict[str, Any])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
