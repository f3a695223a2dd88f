"""Calls whose process is killed, and the process that goes on with them.

The first process is ``support.durable_agent``; the second one is the test's own.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import anyio
import anyio.to_thread
from livekit.agents import AgentSession
from support.durable_agent import RATE, Clerk, agent_session, model
from support.processes import LONGEST, running

from phonic_fsm import Past, RealtimeModel, observe
from phonic_fsm.testing import Playback

TESTS = Path(__file__).parents[1]


class First:
    """A process that is killed."""

    def __init__(self, process: Popen[str], journals: Path) -> None:
        self._process = process
        self._journals = journals

    async def says(self, line: str) -> None:
        """Wait until it has written this line."""
        assert self._process.stdout is not None
        with anyio.fail_after(LONGEST):
            while (
                said := await anyio.to_thread.run_sync(
                    self._process.stdout.readline, abandon_on_cancel=True
                )
            ) != "":
                if said.strip() == line:
                    return
        raise AssertionError(f"it ended before {line!r}")

    def call(self, seconds: float) -> None:
        """Have a caller speak there."""
        self.ask(str(seconds))

    def ask(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    async def has_written(self, words: str, times: int = 1) -> None:
        """Wait until this is in its journal, so many times."""
        [journal] = self._journals.glob("*/journal.jsonl")
        with anyio.fail_after(LONGEST):
            while journal.read_text().count(words) < times:  # noqa: ASYNC110
                await anyio.sleep(0.01)

    async def has_played_a_second(self) -> None:
        """Wait until it has, and until its journal and a heartbeat say so: a successor takes what
        was played before the last heartbeat for heard, and no more."""
        await self.says("a second was played")
        [lock] = self._journals.glob("*/lock")
        beaten = lock.stat().st_mtime_ns
        with anyio.fail_after(LONGEST):
            while lock.stat().st_mtime_ns == beaten:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        await self.has_written('"playback_started"')

    async def killed(self) -> str:
        """Kill it; returns the name of its journal."""
        self._process.kill()
        await anyio.to_thread.run_sync(self._process.wait)
        [folder] = (path for path in self._journals.iterdir() if path.is_dir())
        return folder.name


@contextmanager
def first_process(journals: Path, *arguments: str) -> Iterator[First]:
    with running(
        sys.executable,
        "-m",
        "support.durable_agent",
        journals,
        *arguments,
        cwd=TESTS,
        stdin=PIPE,
        stderr=None,
    ) as process:
        yield First(process, journals)


@dataclass
class Second:
    """The call in this process."""

    past: Past
    model: RealtimeModel
    session: AgentSession[None]
    clerk: Clerk
    heard: anyio.Event
    """Set when the caller hears the agent."""
    journal: Path

    async def is_heard(self) -> None:
        with anyio.fail_after(LONGEST):
            await self.heard.wait()


@asynccontextmanager
async def goes_on(
    journals: Path, name: str, url: str, *, forgets: bool = False, push_to_talk: bool = False
) -> AsyncIterator[Second]:
    used = model(str(journals), url)
    past = await used.recover(name)
    assert past is not None
    session = agent_session(used, push_to_talk=push_to_talk)
    output, heard = Playback(RATE), anyio.Event()
    output.on("playback_started", lambda _: heard.set())
    session.output.audio = output
    clerk = Clerk() if forgets else Clerk(chat_ctx=past.chat_ctx)
    await session.start(clerk)
    observe(session)
    try:
        yield Second(past, used, session, clerk, heard, journals / name / "journal.jsonl")
    finally:
        await session.aclose()
