"""An agent that keeps a journal. As a program it is the process that is killed.

It writes a line for what has happened, so that a test kills it at the right moment, and says on
request what a caller says, and presses and lets go of the button.

Usage: python -m support.durable_agent JOURNALS URL [WELCOME | push-to-talk | after:JOURNAL]
"""

from __future__ import annotations

import asyncio
import sys

from livekit import rtc
from livekit.agents import NOT_GIVEN, Agent, AgentSession, function_tool

from phonic_fsm import RealtimeModel, RealtimeSession, observe
from phonic_fsm.simulator import speak
from phonic_fsm.testing import Playback

RATE = 24_000

PUSH_TO_TALK = "push-to-talk"

AFTER = "after:"
"""Goes on with the journal of this name."""


class Clerk(Agent):
    """Its tools never return in a process that is killed."""

    def __init__(self, *, first: bool = False, **options) -> None:
        super().__init__(instructions="You are a clerk.", **options)
        self.runs: list[str] = []
        self._first = first

    async def _work(self, name: str) -> str:
        self.runs.append(name)
        if self._first:
            asyncio.get_running_loop().call_later(0.3, tell, "a tool runs")
            await asyncio.Event().wait()
        return "table seven"

    @function_tool
    async def find_table(self, guests: int) -> str:
        """Find a free table.

        Args:
            guests: How many people come.
        """
        return await self._work("find_table")

    @function_tool
    async def book_table(self, guests: int) -> str:
        """Book a table.

        Args:
            guests: How many people come.
        """
        return await self._work("book_table")


def tell(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - the test reads it


def model(journals: str, url: str, welcome: str | None = None) -> RealtimeModel:
    return RealtimeModel(
        api_key="test",
        base_url=url,
        journal=journals,
        repeatable_tools=["find_table"],
        welcome_message=welcome,
    )


def agent_session(used: RealtimeModel, *, push_to_talk: bool) -> AgentSession[None]:
    return AgentSession(
        llm=used, turn_handling={"turn_detection": "manual"} if push_to_talk else NOT_GIVEN
    )


async def call(session: RealtimeSession, seconds: float) -> None:
    """Say something for so long, or until Phonic answers."""
    pcm = speak("I would like to book a table for two, please. " * 9, RATE).pcm
    frame_bytes = RATE // 50 * 2
    for start in range(0, int(seconds * 50) * frame_bytes, frame_bytes):
        data = pcm[start : start + frame_bytes]
        session.push_audio(rtc.AudioFrame(data, RATE, 1, len(data) // 2))
        await asyncio.sleep(0.02)
        if start == 75 * frame_bytes:
            tell("the caller has spoken for a while")


async def main(journals: str, url: str, welcome: str | None = None) -> None:
    push_to_talk, goes_on = welcome == PUSH_TO_TALK, (welcome or "").startswith(AFTER)
    used = model(journals, url, None if push_to_talk or goes_on else welcome)
    past = await used.recover((welcome or "").removeprefix(AFTER)) if goes_on else None
    session = agent_session(used, push_to_talk=push_to_talk)
    output = Playback(RATE)
    session.output.audio = output
    loop = asyncio.get_running_loop()
    output.on("playback_started", lambda _: loop.call_later(1.0, tell, "a second was played"))
    session.on("user_state_changed", lambda event: tell(f"the caller is {event.new_state}"))
    clerk = Clerk(first=True, chat_ctx=past.chat_ctx) if past else Clerk(first=True)
    await session.start(clerk)
    observe(session)
    used.remember({"guests": 2})
    phone = clerk.realtime_llm_session
    assert isinstance(phone, RealtimeSession)
    phone.on("state_changed", lambda event: tell(f"state {event.new}"))
    tell("started")
    tell(f"state {phone.state}")
    while command := await asyncio.to_thread(sys.stdin.readline):
        if command == "faster\n":
            used.update_options(audio_speed=1.2)
        elif command == "press\n":
            session.interrupt()
        elif command == "let go\n":
            session.commit_user_turn()
        else:
            await call(phone, float(command))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
