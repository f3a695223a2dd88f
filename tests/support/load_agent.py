"""An agent whose processes take their time to start, as one that loads a model does."""

from __future__ import annotations

import os
import time

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobProcess, cli

from phonic_fsm import RealtimeModel

START_S = 2.0


def load_a_model(_: JobProcess) -> None:
    time.sleep(START_S)


server = AgentServer(
    num_idle_processes=int(os.environ.get("IDLE_PROCESSES", "0")), setup_fnc=load_a_model
)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(llm=RealtimeModel(), aec_warmup_duration=0)
    session.on("close", lambda _: ctx.shutdown("the session has closed"))
    await session.start(Agent(instructions="You are a friendly guide."), room=ctx.room)
    session.generate_reply(instructions="Greet the caller.")


if __name__ == "__main__":
    cli.run_app(server)
