"""Where the ten states stand when the machine is drawn, and how its arrows run.

One fixed layout, so that every drawing of the machine looks the same. Units are pixels, ``y``
grows downwards.
"""

from __future__ import annotations

from typing import NamedTuple

from .._core.states import State

CONVERSING_BOX = "conversing"
"""The name of the box around the four states of an open conversation."""

WIDTH, HEIGHT = 700, 860


class Point(NamedTuple):
    x: float
    y: float


class Box(NamedTuple):
    """By its centre."""

    x: float
    y: float
    width: float
    height: float


class Route(NamedTuple):
    """A quadratic Bézier curve from one box's edge to another's."""

    start: Point
    control: Point
    end: Point

    @property
    def path(self) -> str:
        """As SVG's ``d``."""
        start, control, end = (f"{x:.1f} {y:.1f}" for x, y in self)
        return f"M{start} Q{control} {end}"

    @property
    def label(self) -> Point:
        """Where a label goes: nearer to the start, so that those of two ways stand apart."""
        t = 0.36
        return Point(
            *(
                (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
                for a, b, c in zip(self.start, self.control, self.end, strict=True)
            )
        )


BOXES: dict[str, Box] = {
    State.connecting.value: Box(115, 50, 170, 50),
    State.reconnecting.value: Box(560, 50, 190, 50),
    State.awaiting_inputs.value: Box(150, 345, 136, 72),
    State.config_sent.value: Box(330, 190, 110, 72),
    CONVERSING_BOX: Box(460, 535, 460, 490),
    State.ready.value: Box(305, 530, 100, 50),
    State.listening.value: Box(460, 350, 150, 50),
    State.speaking.value: Box(612, 530, 140, 50),
    State.tool_pending.value: Box(460, 705, 130, 72),
    State.last_words.value: Box(400, 825, 140, 50),
    State.closed.value: Box(110, 825, 120, 50),
    "settle": Box(460, 530, 96, 44),
    "configure": Box(132, 185, 110, 44),
}
"""The states, the box that four of them stand in, and the choices. A state's name fits into its
box in large letters on two lines, for a drawing that is shown small."""

_BEND = 0.13
"""How far an arrow leaves the straight line, to its left, as a share of its length: so that
arrows there and back stand apart."""

_BENDS = {
    (State.awaiting_inputs.value, State.connecting.value): 0.37,
    (State.awaiting_inputs.value, State.reconnecting.value): -0.28,
    (State.config_sent.value, State.closed.value): 0.05,
    (State.config_sent.value, State.last_words.value): 0.0,
    (State.config_sent.value, State.speaking.value): 0.33,
    (State.config_sent.value, State.tool_pending.value): -0.09,
    (State.config_sent.value, "settle"): -0.09,
    (State.connecting.value, State.closed.value): -0.24,
    (State.listening.value, State.last_words.value): -0.22,
    (State.ready.value, State.speaking.value): 0.2,
    (State.reconnecting.value, State.closed.value): -0.11,
    (State.reconnecting.value, State.last_words.value): 0.6,
    (State.reconnecting.value, State.ready.value): -0.13,
    (State.reconnecting.value, "settle"): 0.22,
    (State.speaking.value, State.last_words.value): 0.27,
    (State.tool_pending.value, State.listening.value): 0.28,
}
"""Of arrows that would run through a box."""


def route(source: str, target: str) -> Route:
    """The arrow between two states, or from the box of the conversing ones.

    Raises:
        KeyError: there is no such state.
    """
    one, other = BOXES[source], BOXES[target]
    if source == CONVERSING_BOX:
        start = _edge(one, Point(other.x, other.y))
        end = _edge(other, start)
        return Route(start, Point((start.x + end.x) / 2, (start.y + end.y) / 2), end)
    bend = _BENDS.get((source, target), _BEND)
    control = Point(
        (one.x + other.x) / 2 + bend * (other.y - one.y),
        (one.y + other.y) / 2 - bend * (other.x - one.x),
    )
    return Route(_edge(one, control), control, _edge(other, control))


def _edge(box: Box, towards: Point) -> Point:
    """Where the line from the box's centre to a point leaves the box."""
    x, y = towards.x - box.x, towards.y - box.y
    shares = [
        half / abs(length)
        for half, length in ((box.width / 2, x), (box.height / 2, y))
        if abs(length) > half
    ]
    share = min(shares, default=1.0)
    return Point(box.x + share * x, box.y + share * y)
