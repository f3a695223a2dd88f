"""A voice agent on Phonic: one tool, a greeting, and a handoff.

As a worker that takes calls from a LiveKit server::

    LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... PHONIC_API_KEY=... \
        python examples/agent.py start

Without a key of Phonic's, against the simulator (run ``phonic-fsm simulate`` in another terminal),
set ``PHONIC_API_KEY=any PHONIC_BASE_URL=ws://127.0.0.1:8765`` instead. In place of ``start``,
``console`` takes no calls: you talk to the agent in the terminal.
"""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobRequest,
    cli,
    function_tool,
    room_io,
)

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


AWAY_S = 10.0
"""How long a caller may be away. One whose connection was lost is back within seconds."""


def end_when_the_caller_has_left(ctx: JobContext) -> None:
    """Shut the job down when nobody else has been in the room for ``AWAY_S``."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def check(_: rtc.RemoteParticipant) -> None:
        nonlocal timer
        if timer is not None:
            timer.cancel()
        away = not ctx.room.remote_participants
        timer = loop.call_later(AWAY_S, ctx.shutdown, "the caller has left") if away else None

    ctx.room.on("participant_connected", check)
    ctx.room.on("participant_disconnected", check)


server = AgentServer()


async def accept_a_room_once(request: JobRequest) -> None:
    """Refuse the room of a call that runs.

    A LiveKit server that was restarted has forgotten its rooms. It asks for an agent for each, but
    the agents that are in them come back by themselves.
    """
    rooms = [running.job.room.name for running in server.active_jobs]
    if request.room.name in rooms:
        await request.reject()
    else:
        await request.accept()


RETURNS_S = 15.0
"""How long an agent may take to be back in the room after its LiveKit server was restarted."""


def another_agent_has_the_call(ctx: JobContext) -> bool:
    """Whether an agent is in the room already. If one comes back to it later, shut this job down.

    ``accept_a_room_once`` knows only the calls of its own worker. This finds those of the others.
    """
    waits_for_none = asyncio.Event()

    def is_agent(participant: rtc.RemoteParticipant) -> bool:
        return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

    def check(participant: rtc.RemoteParticipant) -> None:
        if is_agent(participant) and not waits_for_none.is_set():
            ctx.shutdown("another agent has this call")

    ctx.room.on("participant_connected", check)
    # An agent that loses its own connection was here before: it comes back and goes on.
    ctx.room.on("reconnecting", waits_for_none.set)
    asyncio.get_running_loop().call_later(RETURNS_S, waits_for_none.set)
    return any(map(is_agent, ctx.room.remote_participants.values()))


@server.rtc_session(on_request=accept_a_room_once)
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    if another_agent_has_the_call(ctx):
        ctx.shutdown("another agent has this call")
        return
    # On a phone or with a headset, add aec_warmup_duration=0: otherwise the agent does not hear a
    # caller who talks over its first 3 s (LiveKit gives the echo canceller time to learn).
    session: AgentSession[None] = AgentSession(llm=RealtimeModel())
    # Otherwise the job stays in the room for 20 s more.
    session.on("close", lambda _: ctx.shutdown("the session has closed"))
    end_when_the_caller_has_left(ctx)
    await session.start(
        agent=Concierge(),
        room=ctx.room,
        # Otherwise a caller whose connection is made anew comes back to an agent that is deaf:
        # LiveKit takes that for hanging up, and closes the session.
        room_options=room_io.RoomOptions(close_on_disconnect=False),
    )


if __name__ == "__main__":
    cli.run_app(server)
