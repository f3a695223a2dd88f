"""What must hold at every step, and what is counted.

``broken`` names every breach with the call it concerns, so that its trace can be written.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field

LONGEST_CALL = 300.0
"""Seconds after which a call and its journal must be over, whatever has happened to it."""

HERD = 0.7
"""The most of the calls that are cut off together that may knock at Phonic in one second, once each
has tried at once: who was turned away must not come back together."""


@dataclass
class Outage:
    """One call without a conversation."""

    began: float
    owed: bool
    """Whether the assistant owed the caller an answer when it began."""
    ended: float | None = None
    how: str = ""


@dataclass
class Ledger:
    """Follows all calls."""

    limit: int
    """Connections that Phonic takes in a second."""
    calls: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Each a call's name and what has been broken in it."""
    outages: dict[str, list[Outage]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    peak: int = 0
    """The most connections that were asked for in one second, since ``forget``."""
    first_peak: int = 0
    """The same, of the time before."""
    _knocks: deque[float] = field(default_factory=deque)

    def breach(self, call: str, what: str) -> None:
        self.broken.append((call, what))

    def knock(self, now: float) -> None:
        """Somebody asks Phonic, which is there, for a connection."""
        self.counts["connections asked for"] += 1
        self._knocks.append(now)
        while self._knocks[0] <= now - 1.0:
            self._knocks.popleft()
        self.peak = max(self.peak, len(self._knocks))

    def lose(self, call: str, now: float, *, owed: bool = False) -> None:
        """A call has no conversation any more."""
        outages = self.outages.setdefault(call, [])
        if not outages or outages[-1].how:
            outages.append(Outage(now, owed))

    def regain(self, call: str, now: float, how: str) -> None:
        """A call has a conversation again (``resumed`` or ``afresh``), or never will (``lost``)."""
        outages = self.outages.get(call)
        if outages and not outages[-1].how:
            outages[-1].ended, outages[-1].how = now, how

    def forget(self) -> None:
        self.first_peak, self.peak = self.peak, 0
        self._knocks.clear()

    def judge_herd(self) -> None:
        """Called when all is over; ``peak`` is that of the time when all knew of the fault."""
        calls = len(self.outages)
        # So few are crowded by chance at times.
        most = max(4 * self.limit, math.ceil(HERD * calls + 3 * math.sqrt(calls)))
        if self.peak > most:
            self.breach(
                "", f"a herd: {self.peak} connections asked for in one second, {most} may be"
            )

    def figures(self) -> dict[str, float]:
        """What became of the calls that were without a conversation."""
        every = [outage for outages in self.outages.values() for outage in outages]
        ends = Counter(outage.how or "open" for outage in every)
        total = max(1, len(every))
        back = _times(every)
        owed = _times([outage for outage in every if outage.owed])
        return {
            "outages": len(every),
            **{f"{how} %": round(100 * ends[how] / total, 2) for how in ENDS},
            "median s": _median(back),
            "median s where an answer was owed": _median(owed),
            "worst s": back[-1] if back else 0.0,
            "peak/s at first": self.first_peak,
            "peak/s": self.peak,
            **dict(sorted(self.counts.items())),
        }


def _times(outages: list[Outage]) -> list[float]:
    """How long they lasted (s), of those after which the call went on, in order."""
    return sorted(
        round(outage.ended - outage.began, 2)
        for outage in outages
        if outage.ended is not None and outage.how in ("resumed", "afresh")
    )


def _median(times: list[float]) -> float:
    return times[len(times) // 2] if times else 0.0


ENDS = ("resumed", "afresh", "lost", "hung up")
"""How an outage may end; ``lost``: the session gave the call up."""
