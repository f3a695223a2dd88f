"""A worker for many calls that move and die: its tools take a moment, and note in which call and
process they ran.

``PHONIC_FSM_JOURNAL`` says where the journals are, ``RUNS`` which file the notes go to.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, RunContext, cli
from livekit.agents import function_tool as tool

from phonic_fsm import CallTakenOver, RealtimeModel
from phonic_fsm.durable import guard

PAUSE_MS = 1500
"""How long a caller must be silent for the turn to end. On a busy machine audio comes in pieces,
and a question is one all the same."""

WORK = 1.5
"""How long (s) a tool takes."""


def note(line: str) -> None:
    with Path(os.environ["RUNS"]).open("a") as runs:
        runs.write(f"{line}\n")


class Clerk(Agent):
    def __init__(self, room: str, *, is_new: bool, **options) -> None:
        super().__init__(instructions=f"You are a clerk. The call's room is {room}.", **options)
        self._is_new = is_new

    async def on_enter(self) -> None:
        if self._is_new:
            self.session.generate_reply(instructions="Greet the caller.")

    @tool
    async def book_table(self, context: RunContext[None], guests: int) -> str:
        """Book a table.

        Args:
            guests: How many people come.
        """
        return await self._work(context)

    @tool
    async def find_table(self, context: RunContext[None], guests: int) -> str:
        """Find a free table.

        Args:
            guests: How many people come.
        """
        return await self._work(context)

    async def _work(self, context: RunContext[None]) -> str:
        note(f"{context.function_call.name} {context.function_call.call_id} {os.getpid()}")
        await asyncio.sleep(WORK)
        return "table seven"


server = AgentServer()
server.once("worker_started", lambda: guard(os.environ["PHONIC_FSM_JOURNAL"], server))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    model = RealtimeModel(
        repeatable_tools=["find_table"],
        journal_lifetime=300,
        vad_min_silence_duration_ms=PAUSE_MS,
    )
    try:
        past = await model.recover(ctx)
    except CallTakenOver:
        return
    session: AgentSession[None] = AgentSession(llm=model)
    session.on("close", lambda _: ctx.shutdown("the session has closed"))
    chat = past.chat_ctx if past else None
    clerk = Clerk(ctx.job.room.name, is_new=past is None, chat_ctx=chat)
    await session.start(agent=clerk, room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
