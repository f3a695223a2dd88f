"""``python -m support.measure_takeovers [--kills 20] [--place redis]``: how long a call is silent.

Calls in a real room are killed in mid-sentence, each way in turn, and the seconds are measured from
the kill until the caller hears the successor. It wants a quiet machine. Run it in ``tests/``.
"""

from __future__ import annotations

import signal
import statistics
from collections import defaultdict
from pathlib import Path

import anyio

from phonic_fsm.testing import RoomCall

from .measuring import call_to, main, measured_house, say
from .rooms import greeted
from .takeovers import House, heard_again

WAYS = ("a job", "a worker", "a job that stands still")


async def measure(kills: int, place: str, folder: Path) -> None:
    taken: dict[str, list[float]] = defaultdict(list)
    async with measured_house(place, folder) as (house, phonic):
        await house.open()
        for _ in range(kills):
            for way in WAYS:
                async with call_to(house) as call:
                    taken[way].append(await one(house, call, way))
                if way == "a worker":
                    await house.employ()
                _print(taken)
        conversations = len(phonic.conversations)
        say(f"{kills * len(WAYS)} calls, {conversations} conversations at Phonic")


async def one(house: House, call: RoomCall, way: str) -> float:
    await greeted(call)
    await call.say("Where can we sit?")
    await call.until_answer()
    await anyio.sleep(1.0)
    since = anyio.current_time()
    if way == "a worker":
        house.worker_of(call).kill()
    house.kill(call, signal.SIGSTOP if way == "a job that stands still" else signal.SIGKILL)
    return await heard_again(call, since)


def _print(taken: dict[str, list[float]]) -> None:
    say(
        "; ".join(
            f"{way} ({len(seconds)}): median {statistics.median(seconds):.2f} s, "
            f"worst {max(seconds):.2f} s"
            for way, seconds in taken.items()
        )
    )


if __name__ == "__main__":
    main(measure, __doc__, "kills", 20)
