"""A voice agent on Phonic: one tool, a greeting, and a handoff.

Talk to it in the terminal, or let LiveKit dispatch calls to it::

    PHONIC_API_KEY=... python examples/agent.py console
    PHONIC_API_KEY=... LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... \
        python examples/agent.py dev

Without a key, against the simulator (``phonic-fsm simulate`` in another terminal)::

    PHONIC_API_KEY=any PHONIC_BASE_URL=ws://127.0.0.1:8765 python examples/agent.py console
"""

from __future__ import annotations

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, function_tool

from phonic_fsm import RealtimeModel


class Concierge(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are the concierge of a small hotel. Be brief and warm.")

    async def on_enter(self) -> None:
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
        return Bookings(self), "Transferring you to bookings."


class Bookings(Agent):
    def __init__(self, former: Agent) -> None:
        super().__init__(
            instructions="You take room bookings. Ask for the dates first.",
            # What was said so far goes along: Phonic gets it with the new instructions.
            chat_ctx=former.chat_ctx.copy(exclude_instructions=True),
        )

    async def on_enter(self) -> None:
        self.session.generate_reply()


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(llm=RealtimeModel())
    await session.start(agent=Concierge(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
