"""What the tests of calls in rooms share: who said what, and a Phonic that can be killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

import anyio
import msgspec
from anyio.abc import Process

from phonic_fsm.testing import RoomCall, Scenario

TRIAL = Path(__file__).parent / "trial_agent.py"


def said(call: RoomCall) -> list[tuple[str, str]]:
    """The transcripts in the room: ``agent`` or ``caller``, and the words."""
    return [(t.identity.split("-")[0], t.text) for t in call.transcripts]


async def greeted(call: RoomCall) -> None:
    """Wait until the agent has spoken and listens."""
    await call.until_answer()
    await call.until_quiet()


async def ask(call: RoomCall, words: str) -> None:
    """Say ``words``, and hear the whole answer."""
    await call.say(words)
    await call.until_answer()
    await call.until_quiet()


class PhonicProcess:
    """The simulator as a process, for a crash: it sends no close frame and forgets everything."""

    def __init__(self, scenario: Scenario, port: int, folder: Path) -> None:
        self._port = port
        self._scenario = folder / "scenario.json"
        self._scenario.write_bytes(msgspec.json.encode(scenario))
        self._process: Process

    async def __aenter__(self) -> PhonicProcess:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it, and return when it listens."""
        arguments = ["simulate", "--port", str(self._port), "--scenario", str(self._scenario)]
        self._process = await anyio.open_process(
            [sys.executable, "-m", "phonic_fsm", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with anyio.fail_after(30):
            while True:
                try:
                    async with await anyio.connect_tcp("127.0.0.1", self._port):
                        return
                except OSError:
                    await anyio.sleep(0.05)

    async def kill(self) -> None:
        with anyio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            await self._process.aclose()
