"""A worker whose session is set by each dispatch, to try LiveKit's switches.

The dispatch's metadata is JSON: ``model``, ``session`` and ``room`` hold arguments of
``RealtimeModel``, ``AgentSession`` and ``RoomOptions``, ``shutdown`` says whether the job ends with
the session, ``say`` is spoken instead of a greeting and cannot be interrupted, ``reconnect`` has
the agent connect anew when the caller sends a chat message, ``retries`` is how often it tries to
reach Phonic, once a second, and ``outage`` has a file to play while it does, and at the end.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    cli,
    room_io,
)

from phonic_fsm import Outage, RealtimeModel, SpokenLine


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
    given = switches.get("model", {})
    if "retries" in switches:
        given["conn_options"] = APIConnectOptions(switches["retries"], retry_interval=1.0)
    if "outage" in switches:
        given["outage"] = Outage(
            holding_line=SpokenLine(switches["outage"], "One moment, please."),
            after=1.0,
            goodbye=SpokenLine(switches["outage"], "Please call again."),
        )
    model = RealtimeModel(**given)
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
