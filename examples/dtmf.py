"""A voice agent with a keypad: it dials, and it is told what the other side dials.

Phonic's built-in tool ``keypad_input`` says which digits to dial. The agent publishes them in the
room, and LiveKit's SIP service makes tones of them. The digits that the other side dials come from
the room, and the assistant gets them as if they had been said. Run it as ``examples/agent.py`` is
run::

    LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... PHONIC_API_KEY=... \
        python examples/dtmf.py start
"""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
from livekit.agents.utils import aio

from phonic_fsm import Dtmf, RealtimeModel

CODES = {digit: code for code, digit in enumerate("0123456789*#ABCD")}
"""The events of RFC 4733."""

PAUSE_S = 1.0
"""This long after the last digit, the other side has dialled all of its digits."""


class Caller(Agent):
    def __init__(self, room: rtc.Room) -> None:
        super().__init__(instructions="Call the bank and ask for the opening hours.")
        self._room = room
        self._dialled: asyncio.Queue[str] = asyncio.Queue()
        self._received = ""
        self._pause: asyncio.TimerHandle | None = None

    async def on_enter(self) -> None:
        self.realtime_llm_session.on("dtmf", self._dial)
        self._room.on("sip_dtmf_received", self._receive)
        self._publishing = asyncio.create_task(self._publish())

    async def on_exit(self) -> None:
        self.realtime_llm_session.off("dtmf", self._dial)
        self._room.off("sip_dtmf_received", self._receive)
        if self._pause is not None:
            self._pause.cancel()
        await aio.cancel_and_wait(self._publishing)

    def _dial(self, dialled: Dtmf) -> None:
        for digit in filter(CODES.__contains__, dialled.digits):
            self._dialled.put_nowait(digit)

    async def _publish(self) -> None:
        while True:
            digit = await self._dialled.get()
            await self._room.local_participant.publish_dtmf(code=CODES[digit], digit=digit)

    def _receive(self, dtmf: rtc.SipDTMF) -> None:
        self._received += dtmf.digit
        if self._pause is not None:
            self._pause.cancel()
        self._pause = asyncio.get_running_loop().call_later(PAUSE_S, self._tell)

    def _tell(self) -> None:
        digits, self._received = self._received, ""
        self.session.generate_reply(user_input=f"I pressed {digits} on my keypad.")


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(llm=RealtimeModel(phonic_tools=["keypad_input"]))
    # Otherwise the job stays in the room for 20 s more.
    session.on("close", lambda _: ctx.shutdown("the session has closed"))
    await session.start(agent=Caller(ctx.room), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
