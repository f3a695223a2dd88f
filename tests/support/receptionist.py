"""A receptionist with two tools, on the phone with a scripted Phonic."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import anyio
from livekit.agents import Agent, AgentSession, function_tool, llm
from support.scripted import PATIENCE

from phonic_fsm.testing import Playback


class Receptionist(Agent):
    def __init__(self, tools: list[llm.Tool | llm.Toolset] | None = None) -> None:
        super().__init__(instructions="You are a receptionist.", tools=tools)
        self.asked: list[str] = []

    @function_tool
    async def opening_hours(self, day: str) -> str:
        """Look up the opening hours.

        Args:
            day: The day of the week.
        """
        self.asked.append(day)
        return "nine to five"

    @function_tool
    async def transfer(self) -> Agent:
        """Transfer the call to billing."""
        return Billing(self.chat_ctx.copy(exclude_instructions=True))


class Billing(Agent):
    def __init__(self, chat_ctx: llm.ChatContext) -> None:
        super().__init__(instructions="You do the billing.", chat_ctx=chat_ctx)

    @function_tool
    async def balance(self) -> str:
        """Look up the balance."""
        return "zero"


class Seen:
    """An AgentSession's events as futures for the next one of a kind."""

    def __init__(self, session: AgentSession[Any]) -> None:
        self.items: asyncio.Queue[Any] = asyncio.Queue()
        self.closed: asyncio.Queue[Any] = asyncio.Queue()
        session.on("conversation_item_added", lambda event: self.items.put_nowait(event.item))
        session.on("close", self.closed.put_nowait)

    async def message(self, role: str):
        """The next message of a role in the session's history."""
        with anyio.fail_after(PATIENCE):
            while True:
                item = await self.items.get()
                if getattr(item, "role", None) == role:
                    return item

    async def close(self):
        with anyio.fail_after(PATIENCE):
            return await self.closed.get()


@asynccontextmanager
async def call(model, server, agent=None):
    """A started AgentSession, the server's side of it and its events."""
    session = AgentSession(llm=model)
    session.output.audio = Playback(24_000)
    seen = Seen(session)
    await session.start(agent or Receptionist())
    try:
        peer = await server.accept()
        await peer.open_conversation()
        yield session, peer, seen
    finally:
        await session.aclose()
