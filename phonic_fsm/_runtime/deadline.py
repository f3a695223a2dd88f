"""Waits for another machine's answer, and does not count the time that this process was held up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

LATE = 0.05
"""A timer that fires later than this (s) was held up by something else in this process."""


@contextmanager
def fail_after(seconds: float) -> Iterator[None]:
    """Cancel what runs inside after this many seconds, as ``anyio.fail_after`` does.

    When something holds up the event loop, such as a worker that loads its models, the answer may
    have arrived without being read. So if the loop is late at the deadline, the deadline is
    postponed by as much, once.

    Raises:
        TimeoutError: the time is over.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    timer: asyncio.TimerHandle
    with anyio.CancelScope() as scope:

        def expire() -> None:
            nonlocal timer
            late = loop.time() - due
            if late > LATE:
                timer = loop.call_later(late, scope.cancel)
            else:
                scope.cancel()

        timer = loop.call_at(due, expire)
        try:
            yield
        finally:
            timer.cancel()
    if scope.cancelled_caught:
        raise TimeoutError
