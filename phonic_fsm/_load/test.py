"""The whole test: callers, figures, and rooms that are removed."""

from __future__ import annotations

import secrets
from typing import NamedTuple

import aiohttp
import anyio
from anyio import to_thread
from livekit import api

from ..testing import RoomCall
from .caller import Caller, Heard
from .figures import Figures, figures
from .plan import Plan
from .usage import Usage

PAUSE = 0.5
"""Seconds between two looks at the worker's processes and at this program's own lateness."""

CLEARING_UP = 10.0
"""How long (s) the removal of rooms may take, once the callers have left."""

ON_THEIR_WAY = 3.0
"""For how long (s) a room is looked for again that had no agent yet: one that joins it now makes it
anew."""

LOOK = 0.25
"""Seconds between two such looks."""

NOT_FOUND = api.TwirpErrorCode.NOT_FOUND

ROOM_FAILURES = (api.TwirpError, aiohttp.ClientError, TimeoutError)
"""How LiveKit's API fails."""


class LiveKit(NamedTuple):
    """The user's server."""

    url: str
    api_key: str
    api_secret: str

    def api(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(
            self.url, self.api_key, self.api_secret, timeout=aiohttp.ClientTimeout(CLEARING_UP)
        )


class LoadTest:
    """Can be asked for its figures while it runs, and afterwards."""

    def __init__(
        self, plan: Plan, livekit: LiveKit, agent_name: str | None, usage: Usage | None
    ) -> None:
        self._plan = plan
        self._livekit = livekit
        self._usage = usage
        self._lateness: list[float] = []
        run = secrets.token_hex(4)
        self.rooms = [f"load-{run}-{number}" for number in range(plan.rooms)]
        self._agent_name = agent_name
        self._callers: list[Caller] = []
        self.not_removed: set[str] = set()
        """Rooms that the server may still have, once the test is over."""

    @property
    def going_on(self) -> int:
        """How many calls go on."""
        return sum(caller.heard.goes_on for caller in self._callers)

    @property
    def calls(self) -> list[Heard]:
        """What each caller has heard so far, of those who have called."""
        return [caller.heard for caller in self._callers]

    def figures(self) -> Figures:
        """What the callers have heard so far."""
        usage = self._usage
        return figures(
            self.calls,
            self._lateness,
            None if usage is None else usage.cpu,
            None if usage is None else usage.megabytes,
        )

    async def run(self) -> None:
        """Hold all calls. If it is cancelled, all callers leave first, and no room stays."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._measure)
                await self._hold_calls()
                tasks.cancel_scope.cancel()
        finally:
            self.not_removed.update(self.rooms[: len(self._callers)])
            with anyio.move_on_after(CLEARING_UP, shield=True):
                await self._remove_rooms()

    async def _hold_calls(self) -> None:
        began = anyio.current_time()
        async with anyio.create_task_group() as calls:
            for number, room in enumerate(self.rooms):
                await anyio.sleep_until(began + self._plan.calls_at(number))
                call = RoomCall(
                    self._livekit.url,
                    api_key=self._livekit.api_key,
                    api_secret=self._livekit.api_secret,
                    room=room,
                    agent_name=self._agent_name,
                    patience=self._plan.patience,
                )
                caller = Caller(self._plan, number, call)
                self._callers.append(caller)
                calls.start_soon(caller.talk)

    async def _measure(self) -> None:
        while True:
            due = anyio.current_time() + PAUSE
            await anyio.sleep_until(due)
            self._lateness.append(anyio.current_time() - due)
            if self._usage is not None:
                await to_thread.run_sync(self._usage.look, self.going_on)

    async def _remove_rooms(self) -> None:
        async with self._livekit.api() as server:
            await self._remove_all(server)
            waiting = [
                room
                for room, heard in zip(self.rooms, self.calls, strict=False)  # not all have called
                if not (heard.was_refused or heard.agent_joined)
            ]
            until = anyio.current_time() + ON_THEIR_WAY
            while waiting and anyio.current_time() < until:
                await anyio.sleep(LOOK)
                self.not_removed.update(await _those_there(server, waiting))
                await self._remove_all(server)

    async def _remove_all(self, server: api.LiveKitAPI) -> None:
        async with anyio.create_task_group() as removals:
            for room in tuple(self.not_removed):
                removals.start_soon(self._remove, server, room)

    async def _remove(self, server: api.LiveKitAPI, room: str) -> None:
        try:
            await server.room.delete_room(api.DeleteRoomRequest(room=room))
        except ROOM_FAILURES as error:
            is_gone = isinstance(error, api.TwirpError) and error.code == NOT_FOUND
            if not is_gone:
                return
        self.not_removed.discard(room)


async def _those_there(server: api.LiveKitAPI, rooms: list[str]) -> list[str]:
    """Those of the rooms that the server has."""
    try:
        found = await server.room.list_rooms(api.ListRoomsRequest(names=rooms))
    except ROOM_FAILURES:
        return []
    return [room.name for room in found.rooms]
