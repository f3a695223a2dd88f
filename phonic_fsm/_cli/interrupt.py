"""Ends a command in good order at Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import anyio

from .failure import CommandFailed


def run_until_interrupted(work: Callable[[], Awaitable[None]]) -> bool:
    """Run the work until it is done, or until a signal cancels it; it can clean up then.

    Returns whether a signal came.
    """
    return anyio.run(_run, work)


async def _run(work: Callable[[], Awaitable[None]]) -> bool:
    interrupted = False
    failure: CommandFailed | None = None

    async def wait_for_signal(scope: anyio.CancelScope) -> None:
        nonlocal interrupted
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                interrupted = True
                scope.cancel()
                return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_signal, tasks.cancel_scope)
        try:
            await work()
        except CommandFailed as error:
            # If it left the task group, it would be wrapped in an exception group.
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return interrupted
