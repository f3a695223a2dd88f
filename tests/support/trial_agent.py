"""A worker whose session is set by each dispatch, to try LiveKit's switches.

The dispatch's metadata is JSON: ``model``, ``session`` and ``room`` hold arguments of
``RealtimeModel``, ``AgentSession`` and ``RoomOptions``, ``shutdown`` says whether the job ends with
the session, ``say`` is spoken instead of a greeting and cannot be interrupted, and ``reconnect``
has the agent connect anew when the caller sends a chat message.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, room_io

from phonic_fsm import RealtimeModel


class Trial(Agent):
    def __init__(self, line: str | None) -> None:
        super().__init__(instructions="Be kind.")
        self._line = line

    async def on_enter(self) -> None:
        if self._line is None:
            self.session.generate_reply(instructions="Greet the caller.")
        else:
            self.session.say(self._line, allow_interruptions=False)


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    switches: dict[str, Any] = json.loads(ctx.job.metadata or "{}")
    model = RealtimeModel(**switches.get("model", {}))
    session: AgentSession[None] = AgentSession(llm=model, **switches.get("session", {}))
    if switches.get("shutdown"):
        session.on("close", lambda _: ctx.shutdown("the session has closed"))
    options = room_io.RoomOptions(**switches.get("room", {}))
    asked = asyncio.Event()
    if switches.get("reconnect"):
        options.text_input = room_io.TextInputOptions(text_input_cb=lambda *_: asked.set())
    await session.start(agent=Trial(switches.get("say")), room=ctx.room, room_options=options)
    if switches.get("reconnect"):
        await asked.wait()
        await ctx.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)


if __name__ == "__main__":
    cli.run_app(server)
