"""Which calls of a worker that drains are to move or be left now. Times are in s, by a clock that
only grows.

A call that waits for its turn goes on with its old process, and its caller notices nothing. If many
successors start at once, they take the processors from each other and from the calls that have
moved already, and the workers have a process ready for the first of them only.

LiveKit would end the calls that have not moved when the worker's time is over. So they are left
before that: their callers hear the pause of a takeover, until a worker takes the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ._store import Status

TURN = 5.0
"""How long (s) a call that moves keeps another one from it: its successor may not come, or its
caller speaks."""

LAST = 5.0
"""So many seconds before a worker ends the calls that it still has, they are to be left: a guard
looks, the next heartbeat learns of it, and the job closes its session."""


class Worker(Protocol):
    """What is to be known of LiveKit's ``AgentServer``."""

    _drain_timeout: int
    """How long (s) it waits for its jobs; 0: as long as they take. ``start --drain-timeout`` sets
    it after the worker was made."""

    @property
    def draining(self) -> bool:
        """Whether it takes no more jobs, and waits for those that it has."""

    @property
    def active_jobs(self) -> list[Any]:
        """Its jobs."""


class Departures:
    """The calls of one worker."""

    def __init__(self, worker: Worker, at_once: int) -> None:
        """So many calls may be about to move at the same time."""
        self._worker = worker
        self._at_once = at_once
        self._asked: dict[tuple[str, int], float] = {}
        """When each was asked to move, by its journal's name and its lease's number."""
        self._drains_since: float | None = None

    def due(self, statuses: Sequence[Status], now: float) -> list[Status]:
        """Those that are to be asked now. Each is named once."""
        here = self._here(statuses)
        moving = sum(now - at < TURN for call, at in self._asked.items() if call in here)
        waiting = [call for call in here if call not in self._asked]
        due = waiting[: max(self._at_once - moving, 0)]
        self._asked.update(dict.fromkeys(due, now))
        return [here[call] for call in due]

    def overdue(self, statuses: Sequence[Status], now: float) -> list[Status]:
        """Those that are to be left now, without a successor. Each is named until it was left."""
        here = self._here(statuses)
        if self._drains_since is None and self._worker.draining:
            self._drains_since = now
        whole = self._worker._drain_timeout
        if self._drains_since is None or not whole or now < self._drains_since + whole - LAST:
            return []
        return list(here.values())

    def _here(self, statuses: Sequence[Status]) -> dict[tuple[str, int], Status]:
        """The calls of this worker that it is to get rid of."""
        if not self._worker.draining:
            return {}
        jobs = {running.job.id for running in self._worker.active_jobs}
        return {
            (status.name, status.number): status
            for status in statuses
            if status.held == "held" and status.holder.job in jobs
        }
