"""The suite holds still beside busy processes, and leaves none of its own behind."""

from __future__ import annotations

import signal
import sys
import time

import anyio
import pytest
from support import processes
from support.processes import LONGEST

STARTS_ANOTHER = """
import sys, time
from support import processes

with processes.running(sys.executable, "-c", "import time; time.sleep(600)", stdout=None):
    print("started", flush=True)
    time.sleep(600)
"""

ENDS_ON_CTRL_C = """
import time
try:
    print("running", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process may outlive its parent")
def test_a_process_ends_with_whoever_started_it_even_when_that_is_killed():
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    with processes.running(sys.executable, "-c", STARTS_ANOTHER, env=path) as parent:
        assert parent.stdout.readline() == "started\n"
        parent.kill()
        # Both write there: it ends when both have ended.
        assert parent.communicate(timeout=LONGEST)[0] == ""


def test_a_process_takes_ctrl_c_in_a_suite_that_ignores_it():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with processes.running(sys.executable, "-c", ENDS_ON_CTRL_C) as process:
            assert process.stdout.readline() == "running\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=LONGEST)[0] == "interrupted\n"
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.anyio
async def test_a_timeout_does_not_count_the_time_in_which_the_process_was_held_up():
    with anyio.move_on_after(0.2) as patience:
        time.sleep(0.4)  # noqa: ASYNC251 - as if the machine were somebody else's meanwhile
        await anyio.sleep(0.1)
    assert not patience.cancelled_caught


@pytest.mark.anyio
async def test_a_timeout_comes_by_itself():
    began = time.monotonic()
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        await anyio.sleep_forever()
    assert time.monotonic() - began >= 0.05
