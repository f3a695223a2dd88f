"""A voice agent that finds its way through phone menus: what it dials goes into the room.

Phonic's built-in tool ``keypad_input`` says which digits to dial; LiveKit's SIP side makes tones
of those that are published. Run it as ``examples/agent.py`` is run::

    PHONIC_API_KEY=... LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... \
        python examples/dtmf.py dev
"""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
from livekit.agents.utils import aio

from phonic_fsm import Dtmf, RealtimeModel

CODES = {digit: code for code, digit in enumerate("0123456789*#ABCD")}
"""The events of RFC 4733."""


class Caller(Agent):
    def __init__(self, room: rtc.Room) -> None:
        super().__init__(instructions="Call the bank and ask for the opening hours.")
        self._room = room
        self._dialled: asyncio.Queue[str] = asyncio.Queue()

    async def on_enter(self) -> None:
        self.realtime_llm_session.on("dtmf", self._dial)
        self._publishing = asyncio.create_task(self._publish())

    async def on_exit(self) -> None:
        self.realtime_llm_session.off("dtmf", self._dial)
        await aio.cancel_and_wait(self._publishing)

    def _dial(self, dialled: Dtmf) -> None:
        for digit in filter(CODES.__contains__, dialled.digits):
            self._dialled.put_nowait(digit)

    async def _publish(self) -> None:
        while True:
            digit = await self._dialled.get()
            await self._room.local_participant.publish_dtmf(code=CODES[digit], digit=digit)


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(llm=RealtimeModel(phonic_tools=["keypad_input"]))
    await session.start(agent=Caller(ctx.room), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
