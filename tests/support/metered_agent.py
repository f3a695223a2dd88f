"""An agent in a worker whose figures Prometheus can scrape, as docs/metrics.md shows it."""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
from opentelemetry import metrics

from phonic_fsm import RealtimeModel
from phonic_fsm.prometheus import PrometheusMeters

metrics.set_meter_provider(PrometheusMeters())

server = AgentServer(prometheus_port=int(os.environ["METRICS_PORT"]))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(llm=RealtimeModel())
    session.on("close", lambda _: ctx.shutdown("the session has closed"))
    await session.start(Agent(instructions="You are a friendly guide."), room=ctx.room)
    session.generate_reply(instructions="Greet the caller.")


if __name__ == "__main__":
    cli.run_app(server)
