"""Watches the journals, and asks LiveKit for a successor where an owner has died.

Several guards can watch the same place. Each decides by what is there, and of those that would
dispatch at the same time, the store lets one do it. So a guard that is killed leaves nothing
undone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import NamedTuple, TypeVar

import aiohttp
import anyio
import anyio.to_thread
from livekit import api

from ._departures import Departures, Worker
from ._dispatch import LONGEST_ANSWER, dispatch
from ._judge import Judge, is_poisonous, patience
from ._place import journals
from ._store import Ended, JournalError, Journals, OwnershipLost, Status, StoreFailed, Wish

logger = logging.getLogger("phonic_fsm")

T = TypeVar("T")

CLEARING = 60.0
"""Seconds between two removals of journals whose lifetime is over."""

ASKED_AT_ONCE = 20
"""How many calls LiveKit is asked about at a time. The others wait: thousands may die together, and
LiveKit's server is needed for the calls that live."""

_NO_CALLERS = (api.ParticipantInfo.Kind.AGENT, api.ParticipantInfo.Kind.EGRESS)


class Guard:
    """Watches one place."""

    def __init__(
        self, store: Journals, livekit: api.LiveKitAPI, departures: Departures | None = None
    ) -> None:
        """``departures`` are those of the worker in whose process the guard is."""
        self._store = store
        self._livekit = livekit
        self._judge = Judge()
        self._departures = departures
        self._problems: dict[str, str] = {}
        """What does not work at present, and has been told: by what it is about."""

    async def watch(self) -> None:
        """Watch until cancelled."""
        clear_at = 0.0
        while True:
            if time.monotonic() >= clear_at:
                await self._ask_store(self._store.remove_expired)
                clear_at = time.monotonic() + CLEARING
            await self.look()
            await anyio.sleep(self._store.look_every)

    async def look(self) -> None:
        """Look at every journal once, and do what there is to do."""
        statuses = await self._ask_store(self._store.statuses)
        if statuses is None:
            self._judge.look_in_vain()
            return
        if self._departures is not None:
            now = time.monotonic()
            for status in self._departures.due(statuses, now):
                await self._ask_store(partial(_ask_owner, self._store, status, "move"))
            for status in self._departures.overdue(statuses, now):
                await self._ask_store(partial(_ask_owner, self._store, status, "leave"))
        limiter = anyio.CapacityLimiter(ASKED_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for status in self._judge.due(statuses, time.monotonic()):
                tasks.start_soon(self._help_in_turn, limiter, status)

    async def _help_in_turn(self, limiter: anyio.CapacityLimiter, status: Status) -> None:
        async with limiter:
            await self._help(status)

    async def _help(self, status: Status) -> None:
        if is_poisonous(status):
            await self._end(status, f"{status.crashes} processes in a row have died of it")
            return
        try:
            with anyio.fail_after(LONGEST_ANSWER):
                has_caller = await self._has_caller(status.holder.room)
                verdict = self._judge.verdict(status, has_caller, time.monotonic())
                if verdict == "end":
                    await self._end(status, "the caller has left")
                elif verdict == "send" and await self._ask_store(
                    self._store.may_dispatch, status.name, status.number, patience(status)
                ):
                    await self._dispatch(status)
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
            self._tell("livekit", f"LiveKit's server cannot be asked: {_in_words(error)}")
        else:
            self._tell("livekit", None)

    async def _has_caller(self, room: str) -> bool:
        """Whether somebody is in the room who is no agent and no recorder."""
        try:
            found = await self._livekit.room.list_participants(
                api.ListParticipantsRequest(room=room)
            )
        except api.TwirpError as error:
            if error.code == api.TwirpErrorCode.NOT_FOUND:
                return False  # the room has been closed
            raise
        return any(participant.kind not in _NO_CALLERS for participant in found.participants)

    async def _dispatch(self, status: Status) -> None:
        holder = status.holder
        await dispatch(self._livekit, status.name, holder, moves=False)
        logger.warning(
            "the process of the call in room %s %s: asking for a successor (journal %s, owner %d)",
            holder.room,
            "stands still" if status.held == "still" else "is gone",
            status.name,
            status.number,
        )

    async def _end(self, status: Status, why: str) -> None:
        """End a call that nobody is to go on with."""
        if await self._ask_store(self._take_over_and_end, status):
            logger.log(
                logging.ERROR if is_poisonous(status) else logging.INFO,
                "the call in room %s is given up: %s (journal %s)",
                status.holder.room,
                why,
                status.name,
            )

    def _take_over_and_end(self, status: Status) -> bool:
        """Returns whether it was this guard that ended it."""
        try:
            # The journal goes on to say which process had the call, and in which room.
            self._store.take_over(status.name, status.holder).end()
        except StoreFailed:
            raise
        except JournalError:
            return False  # another guard or a successor was faster
        return True

    async def _ask_store(self, question: Callable[..., T], *arguments: object) -> T | None:
        """What the store says; ``None`` if it does not work."""
        try:
            answer = await anyio.to_thread.run_sync(question, *arguments)
        except StoreFailed as error:
            self._tell("store", f"the journals cannot be watched: {error}")
            return None
        self._tell("store", None)
        return answer

    def _tell(self, about: str, problem: str | None) -> None:
        """Tell a problem once, until it is over."""
        told = self._problems.pop(about, None)
        if problem is not None:
            self._problems[about] = problem
            if told is None:
                logger.warning("%s", problem)
        elif told is not None:
            logger.info("over: %s", told)


class Access(NamedTuple):
    """How LiveKit's server is reached."""

    url: str
    api_key: str
    api_secret: str


async def watch(store: Journals, livekit: Access, departures: Departures | None = None) -> None:
    """Watch until cancelled."""
    logger.info("watching the journals in %s", store.place)
    async with api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as client:
        await Guard(store, client, departures).watch()


def access(
    url: str | None = None, api_key: str | None = None, api_secret: str | None = None
) -> Access:
    """What is given, or else stands in the environment.

    Raises:
        ValueError: something is missing, or the address cannot be used; the message says what.
    """
    found = Access(
        url or os.environ.get("LIVEKIT_URL", ""),
        api_key or os.environ.get("LIVEKIT_API_KEY", ""),
        api_secret or os.environ.get("LIVEKIT_API_SECRET", ""),
    )
    variables = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    missing = [name for name, value in zip(variables, found, strict=True) if not value]
    if missing:
        raise ValueError(f"a guard asks LiveKit's server: set {', '.join(missing)}")
    if "@" in found.url:
        raise ValueError("LIVEKIT_URL must hold no credentials: these go into LIVEKIT_API_KEY")
    return found


def guard(
    place: str | os.PathLike[str],
    server: Worker | None = None,
    *,
    url: str | None = None,
    api_key: str | None = None,
    api_secret: str | None = None,
) -> None:
    """Watch the journals at a place as long as this process lives, in a thread of its own.

    Call it in a worker's main process, and in no job::

        if __name__ == "__main__":
            guard("journals/", server)
            cli.run_app(server)

    If a job's process dies or stands still, LiveKit is asked to dispatch its call again. This guard
    dies with its own process. Where other workers have none, ``phonic-fsm guard`` watches over that
    one, too.

    Args:
        place: A directory, or Redis's address, as for ``RealtimeModel(journal=...)``.
        server: The worker's ``AgentServer``. When it drains, on SIGTERM, its calls move to other
            workers, as many at a time as the host has processors. Those that have not moved 5 s
            before its ``drain_timeout`` are left to whoever comes. Without ``server``, it waits for
            all of them to end.
        url: LiveKit's server. Default: ``LIVEKIT_URL``.
        api_key: LiveKit's API key. Default: ``LIVEKIT_API_KEY``.
        api_secret: Its secret. Default: ``LIVEKIT_API_SECRET``.

    Raises:
        ValueError: the place cannot be used, or what LiveKit's server is asked with is missing.
    """
    store, livekit = journals(place), access(url, api_key, api_secret)
    departures = None
    if server is not None:
        # Only a worker's process has loaded LiveKit Agents, which takes a second.
        drain = import_module("._drain", __package__)
        drain.let_drains_end()
        departures = Departures(server, drain.moves_at_once())

    def run() -> None:
        while True:
            try:
                asyncio.run(watch(store, livekit, departures))
            except Exception:  # whatever it was: calls must not be left without a guard
                logger.exception("the guard has failed, and begins anew")
                time.sleep(1)

    threading.Thread(target=run, name="phonic-guard", daemon=True).start()


def _ask_owner(store: Journals, status: Status, wish: Wish) -> None:
    with suppress(Ended, OwnershipLost):
        store.ask(status.name, status.number, wish)


def _in_words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
