"""``python -m support.measure_moves [--rounds 4] [--place redis]``: what callers hear of a deploy.

A worker with five calls is told to end. Measured are the seconds until it has, and for each call
the seconds from the end of a question, asked as soon as the call has moved, until the answer is
heard; beside them those of the same question in the same call before. It wants a quiet machine.
Run it in ``tests/``.
"""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from phonic_fsm.testing import RoomCall

from .measuring import call_to, main, measured_house, say
from .rooms import ask, greeted
from .takeovers import House

CALLS = 5


async def measure(rounds: int, place: str, folder: Path) -> None:
    emptied: list[float] = []
    before: list[float] = []
    after: list[float] = []
    async with measured_house(place, folder) as (house, phonic):
        await house.employ()
        await house.watch()
        for _ in range(rounds):
            async with AsyncExitStack() as stack:
                calls = [await stack.enter_async_context(call_to(house)) for _ in range(CALLS)]
                for call in calls:
                    await greeted(call)
                    before.append(await time_answer(call))
                await house.employ()
                since = anyio.current_time()
                former = house.worker_of(calls[0])
                former.terminate()
                async with anyio.create_task_group() as tasks:
                    for call in calls:
                        tasks.start_soon(time_answer_once_moved, house, call, after)
                    await former.ended()
                    emptied.append(anyio.current_time() - since)
                house.workers.remove(former)
            say(
                f"empty after {', '.join(f'{s:.1f}' for s in emptied)} s; "
                f"from question to answer: before {_told(before)}, after the move {_told(after)}"
            )
        say(f"{rounds * CALLS} calls, {len(phonic.conversations)} conversations at Phonic")


async def time_answer(call: RoomCall) -> float:
    """Seconds from the end of a question until its answer is heard."""
    await ask(call, "Where can we sit?")
    assert call.latency is not None
    return call.latency


async def time_answer_once_moved(house: House, call: RoomCall, taken: list[float]) -> None:
    await house.until_taken_over(call)
    taken.append(await time_answer(call))


def _told(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s"


if __name__ == "__main__":
    main(measure, __doc__, "rounds", 4)
