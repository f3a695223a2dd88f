"""An agent whose calls outlive its process: a tool, a handoff, and what it remembers of both.

Run it as a worker, with a directory for the journals::

    PHONIC_FSM_JOURNAL=journals/ LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... \
        PHONIC_API_KEY=... python examples/durable_agent.py start

If the process of a call is killed, the worker's guard has LiveKit dispatch the agent to its room
again, and the call goes on there. When the worker ends, its calls move to other workers. A worker
needs a name for that: a guard dispatches it by its name.
"""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, function_tool, llm
from opentelemetry import metrics

from phonic_fsm import CallTakenOver, Past, RealtimeModel
from phonic_fsm.durable import guard
from phonic_fsm.prometheus import PrometheusMeters


class Concierge(Agent):
    def __init__(self, model: RealtimeModel, past: Past | None = None) -> None:
        super().__init__(
            instructions="You are the concierge of a small hotel. Be brief and warm.",
            chat_ctx=past.chat_ctx if past else None,
        )
        self._model = model
        self._is_new = past is None

    async def on_enter(self) -> None:
        # A call that goes on has been greeted, and Phonic is asked for what the guest is owed.
        if self._is_new:
            self.session.generate_reply(instructions="Greet the guest.")

    @function_tool
    async def get_weather(self, city: str) -> str:
        """Look up today's weather.

        Args:
            city: The city to look up.
        """
        return f"sunny and 21 degrees in {city}"

    @function_tool
    async def transfer_to_bookings(self) -> tuple[Agent, str]:
        """Transfer the guest to bookings, for anything about rooms and dates."""
        self._model.remember({"agent": "bookings"})
        return Bookings(self.chat_ctx.copy(exclude_instructions=True)), "Transferring you."


class Bookings(Agent):
    def __init__(self, chat_ctx: llm.ChatContext, *, is_new: bool = True) -> None:
        super().__init__(
            instructions="You take room bookings. Ask for the dates first.",
            chat_ctx=chat_ctx,
        )
        self._is_new = is_new

    async def on_enter(self) -> None:
        if self._is_new:
            self.session.generate_reply()


def agent_for(model: RealtimeModel, past: Past | None) -> Agent:
    """The agent that was active when the process died, or the first one."""
    if past is not None and past.state == {"agent": "bookings"}:
        return Bookings(past.chat_ctx, is_new=False)
    return Concierge(model, past)


METRICS_PORT = int(os.environ.get("METRICS_PORT", "0"))
if METRICS_PORT:
    metrics.set_meter_provider(PrometheusMeters())

# Two workers on one host need two of each port.
server = AgentServer(
    port=int(os.environ.get("HEALTH_PORT", "8081")), prometheus_port=METRICS_PORT or None
)
server.once("worker_started", lambda: guard(os.environ["PHONIC_FSM_JOURNAL"], server))


@server.rtc_session(agent_name="concierge")
async def entrypoint(ctx: JobContext) -> None:
    # To look something up twice does no harm.
    model = RealtimeModel(repeatable_tools=["get_weather"])
    try:
        past = await model.recover(ctx)
    except CallTakenOver:
        return  # Another process has this call, and a second agent would talk over it.
    session: AgentSession[None] = AgentSession(llm=model)
    await session.start(agent_for(model, past), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
