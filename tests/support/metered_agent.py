"""An agent in a worker whose figures Prometheus can scrape, as docs/metrics.md shows it, and whose
calls outlive their processes."""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
from opentelemetry import metrics

from phonic_fsm import RealtimeModel
from phonic_fsm.durable import guard
from phonic_fsm.prometheus import PrometheusMeters

metrics.set_meter_provider(PrometheusMeters())

server = AgentServer(prometheus_port=int(os.environ["METRICS_PORT"]))
server.once("worker_started", lambda: guard(os.environ["PHONIC_FSM_JOURNAL"], server))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    model = RealtimeModel()
    past = await model.recover(ctx)
    session: AgentSession[None] = AgentSession(llm=model)
    session.on("close", lambda _: ctx.shutdown("the session has closed"))
    history = past.chat_ctx if past is not None else None
    agent = Agent(instructions="You are a friendly guide.", chat_ctx=history)
    await session.start(agent, room=ctx.room)
    if past is None:
        session.generate_reply(instructions="Greet the caller.")


if __name__ == "__main__":
    cli.run_app(server)
