"""A worker whose calls outlive their processes. It notes in a file which tools ran, and where.

A chat message has the agent's connection to the room break, in the way that it names: LiveKit's
``SimulateScenarioKind``. If the dispatch's metadata is ``push-to-talk``, the messages ``PRESS`` and
``LET_GO`` are the caller's button.

``PHONIC_FSM_JOURNAL`` says where the journals are, ``RUNS`` which file that is.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from livekit import rtc
from livekit.agents import (
    NOT_GIVEN,
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    cli,
    function_tool,
    room_io,
)

from phonic_fsm import CallTakenOver, RealtimeModel
from phonic_fsm.durable import guard

PUSH_TO_TALK = "push-to-talk"


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


server = AgentServer(drain_timeout=int(os.environ.get("DRAIN_TIMEOUT", "3600")))
server.once("worker_started", lambda: guard(os.environ["PHONIC_FSM_JOURNAL"], server))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    model = RealtimeModel(repeatable_tools=["find_table"])
    try:
        past = await model.recover(ctx)
    except CallTakenOver:
        return
    metadata = ctx.job.metadata if past is None else past.metadata
    session: AgentSession[None] = AgentSession(
        llm=model,
        turn_handling={"turn_detection": "manual"} if metadata == PUSH_TO_TALK else NOT_GIVEN,
    )
    session.on("close", lambda _: ctx.shutdown("the session has closed"))
    clerk = Clerk(is_new=past is None, chat_ctx=past.chat_ctx if past else None)
    asked: asyncio.Queue[str] = asyncio.Queue()
    options = room_io.RoomOptions(
        close_on_disconnect=False,
        text_input=room_io.TextInputOptions(
            text_input_cb=lambda _, message: asked.put_nowait(message.text)
        ),
    )
    await session.start(agent=clerk, room=ctx.room, room_options=options)

    async def do_what_is_asked() -> None:
        while True:
            message = await asked.get()
            if message == "PRESS":
                await session.interrupt()
            elif message == "LET_GO":
                session.commit_user_turn()
            else:
                kind = rtc.SimulateScenarioKind.Value(message)
                await ctx.room.simulate_scenario(kind)

    doing = asyncio.create_task(do_what_is_asked())

    async def stop(_: str) -> None:
        doing.cancel()

    ctx.add_shutdown_callback(stop)


if __name__ == "__main__":
    cli.run_app(server)
