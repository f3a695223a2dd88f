"""How long to wait for another machine's answer, without counting how late this process is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

LATE = 0.05
"""Seconds; a timer that fires later than this was held up by something else in this process."""


@contextmanager
def fail_after(seconds: float) -> Iterator[None]:
    """Cancel what runs inside after so many seconds, as ``anyio.fail_after`` does.

    While the event loop is held up, as when a worker loads its models, the answer may have come
    and not have been read. If the loop is late at the deadline, the deadline is put off by as much,
    once.

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
