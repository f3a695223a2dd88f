"""What is particular to LiveKit's worker when it drains: what others like it can take, and a fault.

``AgentServer.drain`` (livekit-agents 1.8.9) waits for one job after the other, then asks which
still run. Where a second job has ended in the same turn of the event loop as the one waited for,
that one is still listed, and there is nothing left to wait for: the loop never gets another turn.
The worker stays for ever and keeps a core busy, as its ``drain_timeout`` needs the same loop. Calls
that move away together end together, so that happens in some deploys.
"""

from __future__ import annotations

import asyncio
import math
from functools import wraps

from livekit.agents.ipc.supervised_proc import SupervisedProc
from livekit.agents.utils.hw import get_cpu_monitor


def let_drains_end() -> None:
    """Have each wait for the end of a job's process give the event loop a turn."""
    join = SupervisedProc.join
    if hasattr(join, "__wrapped__"):
        return

    @wraps(join)
    async def join_and_give_a_turn(process: SupervisedProc) -> None:
        await join(process)
        await asyncio.sleep(0)

    SupervisedProc.join = join_and_give_a_turn  # type: ignore[method-assign, assignment]


def moves_at_once() -> int:
    """For so many jobs a worker has processes ready, if its host is as large as this one."""
    return math.ceil(get_cpu_monitor().cpu_count())
