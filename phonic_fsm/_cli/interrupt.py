"""Ends a command in good order at Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import anyio


def run_until_interrupted(work: Callable[[], Awaitable[None]]) -> bool:
    """Run the work until it is done, or until a signal cancels it; it can clean up then.

    Returns whether a signal came. A second one does what it would do without this.
    """
    return anyio.run(_run, work)


async def _run(work: Callable[[], Awaitable[None]]) -> bool:
    interrupted = False
    loop = asyncio.get_running_loop()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        restore()
        loop.call_soon_threadsafe(scope.cancel)

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    with anyio.CancelScope() as scope:
        # If other threads have given the loop very much to do, asyncio's own handlers lose signals.
        for each in before:
            signal.signal(each, interrupt)
        try:
            await work()
        finally:
            restore()
    return interrupted
