"""Ctrl-C ends a command in good order, whatever its event loop has to do."""

from __future__ import annotations

import asyncio
import os
import signal

import anyio
import anyio.lowlevel
import pytest

from phonic_fsm._cli.interrupt import run_until_interrupted

ENOUGH = 20_000
"""So many calls from other threads leave no room in the socket that wakes the loop up."""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("calls", [0, ENOUGH])
def test_a_signal_ends_the_work(how, calls):
    before = signal.getsignal(how)
    ended = []

    async def work():
        loop = asyncio.get_running_loop()
        for _ in range(calls):
            loop.call_soon_threadsafe(int)
        os.kill(os.getpid(), how)
        try:
            with anyio.move_on_after(10):
                await anyio.sleep_forever()
        finally:
            ended.append("in good order")

    assert run_until_interrupted(work)
    assert ended
    assert signal.getsignal(how) == before


def test_work_that_ends_was_not_interrupted():
    assert not run_until_interrupted(anyio.lowlevel.checkpoint)
