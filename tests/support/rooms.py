"""What the tests of calls in rooms share: who said what, and a Phonic that can be killed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import anyio
import msgspec
from anyio.abc import Process

from phonic_fsm.testing import RoomCall, Scenario
from phonic_fsm.testing._leash import leashed

EXAMPLES = Path(__file__).parents[2] / "examples"
TRIAL = Path(__file__).parent / "trial_agent.py"

PATIENCE = 60.0
"""How long (s) a call or a worker waits before its test has failed."""


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


@asynccontextmanager
async def phonic_process(scenario: Scenario, port: int, folder: Path) -> AsyncIterator[Process]:
    """The simulator as a process, to be killed: it sends no close frame and forgets everything."""
    path = folder / "scenario.json"
    path.write_bytes(msgspec.json.encode(scenario))
    arguments = ["simulate", "--port", str(port), "--scenario", str(path)]
    async with await anyio.open_process(
        leashed(sys.executable, "-m", "phonic_fsm", *arguments), stdin=DEVNULL, stdout=DEVNULL
    ) as process:
        try:
            with anyio.fail_after(PATIENCE):
                # A process does not tell when it listens.
                while not await _listens(port):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def _listens(port: int) -> bool:
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return True
    except OSError:
        return False
