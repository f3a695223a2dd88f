"""How many callers there are, when each calls, and what each does."""

from __future__ import annotations

from math import floor

from msgspec import Struct

from ..simulator import Scenario, Turn

QUESTION = "Could you tell me when you are open, please?"

SCENARIO = Scenario(
    description="A load test: every question is answered alike.",
    turns=(
        Turn(
            caller=QUESTION,
            assistant="We are open from nine to five on every day of the week. You are welcome.",
        ),
    ),
)
"""What the simulated Phonic plays to all callers."""


class Plan(Struct, frozen=True, kw_only=True):
    """A load test.

    Shares are spread evenly: with a share of 0.25, every fourth caller or question has its part.
    So two tests with one plan put the same load on a worker.
    """

    rooms: int
    """Callers, each in a room of their own."""
    ramp: float
    """The time (s) over which they call, one after the other."""
    turns: int
    """Questions that each asks."""
    barge_in: float
    """The share of questions that are asked while the answer before is heard."""
    hang_up: float
    """The share of callers who hang up in the middle of an answer."""
    patience: float
    """How long (s) a caller waits for a voice."""
    greets: bool
    """Whether the agent speaks first."""

    def calls_at(self, caller: int) -> float:
        """When this caller calls (s after the test began); they are counted from 0."""
        return self.ramp * caller / self.rooms

    def barges_in(self, caller: int, turn: int) -> bool:
        """Whether this caller begins this turn before the answer to the one before has ended."""
        return turn > 0 and _falls_to(self.barge_in, caller * (self.turns - 1) + turn - 1)

    def hangs_up(self, caller: int, turn: int) -> bool:
        """Whether this caller hangs up while the answer of this turn is heard."""
        return turn == self.turns // 2 and _falls_to(self.hang_up, caller)


def _falls_to(share: float, number: int) -> bool:
    return floor((number + 1) * share) > floor(number * share)
