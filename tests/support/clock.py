"""The event loop of the tests, whose clock does not run while the machine is busy with others.

A timeout of a session, of the simulator or of a test says how long to wait for something that may
never come. On a busy machine it must not say how fast that machine is. So this clock counts the
time for which the loop has waited, and next to nothing for the time in which the process works, or
would. On an idle machine a test takes as long as by the wall's clock.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from functools import partial
from typing import Any

LONGEST_TURN = 0.001
"""Seconds that a turn of the loop may count for, however long it takes."""


class PatientLoop(asyncio.SelectorEventLoop):
    """Counts the seconds that it has waited.

    If ``speed`` is 10, it waits a tenth of each second that it counts. What all sides of a call do
    by this clock keeps its order and its pace then; what goes by another clock does not.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._clock = _Waiting(speed)
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now()


def backend(speed: float = 1.0) -> tuple[str, dict[str, Any]]:
    """What the fixture ``anyio_backend`` returns for tests in such a loop."""
    return "asyncio", {"loop_factory": partial(PatientLoop, speed=speed)}


class _Waiting(selectors.DefaultSelector):
    """Where the loop waits; it knows for how long."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed
        self._counted = 0.0
        self._turn_began = time.monotonic()

    def now(self) -> float:
        return self._counted + min(time.monotonic() - self._turn_began, LONGEST_TURN)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._counted = self.now()
        began = time.monotonic()
        ready = super().select(None if timeout is None else timeout / self._speed)
        self._turn_began = time.monotonic()
        # A loop that was to wait 20 ms and wakes up after 300 has not waited for longer than 20.
        waited = (self._turn_began - began) * self._speed
        self._counted += waited if timeout is None else min(waited, max(timeout, 0))
        return ready
