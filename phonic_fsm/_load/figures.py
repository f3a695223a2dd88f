"""What all calls come to, as figures with a name each, and what was allowed."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan

from msgspec import Struct

from ..trace._stats import percentile
from .caller import Heard

PERCENTILES = (50, 95, 99)

DISTRIBUTIONS = {
    "first_voice": "time to first voice (s)",
    "latency": "latency (s)",
    "lateness": "this program's lateness (s)",
}
"""Each has the figures ``NAME.count``, ``NAME.p50``, ``.p95``, ``.p99`` and ``.max``."""

COUNTS = {
    "rooms": "calls",
    "refused": "rooms that could not be joined",
    "no_agent": "calls that no agent joined",
    "never_heard": "calls that never heard a voice",
    "asked": "questions",
    "unanswered": "questions without an answer",
    "barge_ins": "barge-ins",
    "hang_ups": "hang-ups in an answer",
    "worker.cpu": "worker: % of a core per call",
    "worker.mb": "worker: MB per call",
}

Figures = dict[str, float | None]
"""By name; ``None`` if it could not be measured."""

NAMES = (
    *(f"{name}.{part}" for name in DISTRIBUTIONS for part in ("count", "p50", "p95", "p99", "max")),
    *COUNTS,
)


def figures(
    calls: Sequence[Heard],
    lateness: Sequence[float] = (),
    cpu: float | None = None,
    megabytes: float | None = None,
) -> Figures:
    """The figures of these calls. A call that goes on counts with what it has heard so far."""
    latencies = [latency for call in calls for latency in call.latencies]
    unanswered = sum(call.unanswered for call in calls)
    ended = [call for call in calls if not call.goes_on and not call.was_refused]
    return {
        **_distribution("first_voice", [c.first_voice for c in calls if c.first_voice is not None]),
        **_distribution("latency", latencies),
        **_distribution("lateness", lateness),
        "rooms": len(calls),
        "refused": sum(call.was_refused for call in calls),
        "no_agent": sum(not call.agent_joined for call in ended),
        "never_heard": sum(call.first_voice is None for call in ended),
        "asked": len(latencies) + unanswered,
        "unanswered": unanswered,
        "barge_ins": sum(call.barge_ins for call in calls),
        "hang_ups": sum(call.hung_up for call in calls),
        "worker.cpu": cpu,
        "worker.mb": megabytes,
    }


def _distribution(name: str, values: Sequence[float]) -> Figures:
    return {
        f"{name}.count": len(values),
        **{f"{name}.p{percent}": percentile(values, percent) for percent in PERCENTILES},
        f"{name}.max": max(values, default=None),
    }


class Limit(Struct, frozen=True):
    """The most that a figure may be."""

    name: str
    most: float

    @classmethod
    def read(cls, written: str) -> Limit:
        """From ``latency.p95=1.5``.

        Raises:
            ValueError: there is no such figure, or no number. The message is one line.
        """
        name, _, most = written.partition("=")
        if name not in NAMES:
            raise ValueError(f"no figure is named {name!r}; there are {', '.join(NAMES)}")
        try:
            number = float(most)
        except ValueError:
            number = nan
        if isnan(number):
            raise ValueError(f"{written!r} has no number: write {name}=1.5")
        return cls(name, number)

    def broken_by(self, found: Figures) -> str:
        """How the figures break it, in a sentence; empty if they do not.

        A figure that could not be measured breaks it: nobody was heard, for instance.
        """
        value = found[self.name]
        if value is None:
            return f"{self.name} could not be measured, and may be {self.most:g} at most"
        if value > self.most:
            return f"{self.name} is {value:.3g}, and may be {self.most:g} at most"
        return ""
