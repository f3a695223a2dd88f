"""One caller of a load test, and what they heard."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import anyio
from livekit import rtc
from livekit.rtc.participant import PublishTrackError
from msgspec import Struct

from ..testing import RoomCall
from .plan import QUESTION, Plan

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

INTO_AN_ANSWER = 0.8
"""How much of an answer (s) is heard before its caller speaks or hangs up."""


class Heard(Struct):
    """What one caller has heard so far. It is up to date while the call goes on."""

    goes_on: bool = True
    """Also if it was cut off, because the test was."""
    was_refused: bool = False
    """The room could not be joined, or the caller's voice could not be published there."""
    agent_joined: bool = False
    first_voice: float | None = None
    """From the moment when they called until they heard a voice (s)."""
    latencies: list[float] = []
    """From the end of each question to the first sound of its answer (s)."""
    unanswered: int = 0
    barge_ins: int = 0
    hung_up: bool = False
    """They hung up in the middle of an answer."""


class Caller:
    """Calls, asks as the plan says, and hangs up."""

    def __init__(self, plan: Plan, number: int, call: RoomCall) -> None:
        self.heard = Heard()
        self._plan = plan
        self._number = number
        self._call = call
        self._began = 0.0

    async def talk(self) -> None:
        """Hold the whole call. What goes wrong in it is part of what was heard."""
        self._began = asyncio.get_running_loop().time()
        try:
            async with self._call:
                await self._converse()
        except (rtc.ConnectError, PublishTrackError):
            self.heard.was_refused = True
        finally:
            self._note_first_voice()
            self.heard.agent_joined = any(stay.kind == AGENT for stay in self._call.stays)
        self.heard.goes_on = False

    async def _converse(self) -> None:
        try:
            if self._plan.greets:
                await self._call.until_answer()
                self._note_first_voice()
                await self._call.until_quiet()
            else:
                await self._call.until_agent()
        except TimeoutError:
            if not self._call.ear.stretches:
                return
        for turn in range(self._plan.turns):
            if not await self._ask(turn) or self.heard.hung_up:
                return

    async def _ask(self, turn: int) -> bool:
        """Ask, and hear the answer out. Returns whether the call goes on."""
        if self._call.over:
            return False
        if self._plan.barges_in(self._number, turn) and self._call.ear.hears:
            self.heard.barge_ins += 1
        await self._call.say(QUESTION)
        with suppress(TimeoutError):
            await self._call.until_answer()
        self._note_first_voice()
        latency = self._call.latency
        if latency is None:
            self.heard.unanswered += 1
            return not self._call.over
        self.heard.latencies.append(latency)
        if self._plan.hangs_up(self._number, turn):
            await anyio.sleep(INTO_AN_ANSWER)
            self.heard.hung_up = True
        elif self._plan.barges_in(self._number, turn + 1) and turn + 1 < self._plan.turns:
            await anyio.sleep(INTO_AN_ANSWER)
        else:
            with suppress(TimeoutError):  # it is heard; an agent need not say that it listens
                await self._call.until_quiet()
        return True

    def _note_first_voice(self) -> None:
        stretches = self._call.ear.stretches
        if self.heard.first_voice is None and stretches:
            self.heard.first_voice = stretches[0].began - self._began
