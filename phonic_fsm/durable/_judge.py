"""What a guard decides about the calls whose owners have died. Times are in s, by a clock that only
grows; nothing is asked and nothing is done here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ._store import STILL_SECONDS, Status

POISONOUS = 3
"""So many owners in a row that died early: the call itself is what kills them."""

AWAY = 10.0
"""Seconds after which a caller who is not in the room has left. One whose connection was lost is
back within seconds."""

ARRIVAL = 5.0
"""How long (s) a successor may take to have the journal. Then another one is sent."""

LATEST_ARRIVAL = 15.0
"""How long (s) a later successor may take at most."""

AGAIN = 0.5
"""Seconds until a call is looked at again that had no successor."""

LOST_BEATS = 1.0
"""If the last heartbeat is by more than so many seconds older than it can be by now, the store has
lost heartbeats, or its clock was set."""

Verdict = Literal["send", "wait", "end"]
"""Send a successor, wait for the caller to come back, or end the call: the caller has left."""


class Judge:
    """Remembers what one guard needs to know from one look at the journals to the next."""

    def __init__(self) -> None:
        self._due: dict[tuple[str, int], float] = {}
        """When a call is looked at again, by its journal's name and its lease's number: the death
        of a successor is another one."""
        self._alone_since: dict[str, float] = {}
        """Since when no caller was seen in the room of a call."""
        self._listens_since: float | None = None
        """Since when heartbeats would have been seen; ``None`` until the store answers."""
        self._looked = 0.0
        """When the store has last answered."""
        self._ages: dict[tuple[str, int], float] = {}
        """How old each owner's last heartbeat was then (s)."""

    def look_in_vain(self) -> None:
        """The store does not answer. Where this guard does not reach it, owners may not either."""
        self._listens_since = None
        self._forget_all_but([])

    def due(self, statuses: Sequence[Status], now: float) -> list[Status]:
        """The calls without an owner that are to be looked at now. Others are forgotten.

        An owner that is silent is given time to beat again, once the store is back.
        """
        self._listen(statuses, now)
        assert self._listens_since is not None
        believes_silence = now - self._listens_since >= STILL_SECONDS
        dead = [
            status
            for status in statuses
            if status.held in ("dead", "still")
            and not status.handed_over
            and (believes_silence or not status.is_silent)
        ]
        self._forget_all_but(dead)
        found = []
        for status in dead:
            if now >= self._due.get((status.name, status.number), 0.0):
                self._due[status.name, status.number] = now + AGAIN
                found.append(status)
        return found

    def verdict(self, status: Status, has_caller: bool, now: float) -> Verdict:
        """What is to be done about a call, once it is known whether its room has a caller."""
        if has_caller:
            self._alone_since.pop(status.name, None)
            return "send"
        since = self._alone_since.setdefault(status.name, now)
        return "end" if now - since >= AWAY else "wait"

    def _listen(self, statuses: Sequence[Status], now: float) -> None:
        passed, self._looked = now - self._looked, now
        before = self._ages
        self._ages = {(one.name, one.number): one.beat_age for one in statuses}
        has_lost_beats = any(
            age > before.get(key, age) + passed + LOST_BEATS for key, age in self._ages.items()
        )
        if self._listens_since is None or has_lost_beats:
            self._listens_since = now

    def _forget_all_but(self, dead: list[Status]) -> None:
        for key in self._due.keys() - {(status.name, status.number) for status in dead}:
            del self._due[key]
        for name in self._alone_since.keys() - {status.name for status in dead}:
            del self._alone_since[name]


def patience(status: Status) -> float:
    """How long (s) a successor that is sent now may take, until another one is sent.

    Where the first ones are late, so is the next: it is given as long as the call has been without
    an owner. Otherwise a busy host would be asked for ever more successors of the same call.
    """
    return max(ARRIVAL, min(status.beat_age, LATEST_ARRIVAL))


def is_poisonous(status: Status) -> bool:
    """Whether nobody is to go on with the call, as that is what its owners die of."""
    return status.crashes >= POISONOUS
