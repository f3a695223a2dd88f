"""A worker whose calls outlive their processes. It notes in a file which tools ran, and where.

``PHONIC_FSM_JOURNAL`` says where the journals are, ``RUNS`` which file that is.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    cli,
    function_tool,
    room_io,
)

from phonic_fsm import RealtimeModel


def note(line: str) -> None:
    with Path(os.environ["RUNS"]).open("a") as runs:
        runs.write(f"{line}\n")


class Clerk(Agent):
    def __init__(self, *, is_new: bool, **options) -> None:
        super().__init__(instructions="You are a clerk.", **options)
        self._is_new = is_new

    async def on_enter(self) -> None:
        if self._is_new:
            self.session.generate_reply(instructions="Greet the caller.")

    @function_tool
    async def book_table(self, guests: int) -> str:
        """Book a table.

        Args:
            guests: How many people come.
        """
        return await self._work("book_table")

    @function_tool
    async def find_table(self, guests: int) -> str:
        """Find a free table.

        Args:
            guests: How many people come.
        """
        return await self._work("find_table")

    async def _work(self, name: str) -> str:
        note(f"{name} {os.getpid()}")
        if self._is_new:
            await asyncio.sleep(3600)  # until the process is killed
        return "table seven"


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    model = RealtimeModel(repeatable_tools=["find_table"])
    past = await model.recover(ctx)
    session: AgentSession[None] = AgentSession(llm=model)
    session.on("close", lambda _: ctx.shutdown("the session has closed"))
    clerk = Clerk(is_new=past is None, chat_ctx=past.chat_ctx if past else None)
    await session.start(
        agent=clerk, room=ctx.room, room_options=room_io.RoomOptions(close_on_disconnect=False)
    )


if __name__ == "__main__":
    cli.run_app(server)
