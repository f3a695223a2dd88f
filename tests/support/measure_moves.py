"""``python -m support.measure_moves [--rounds 4] [--place redis]``: what callers hear of a deploy.

A worker with five calls is told to end. Measured are the seconds until it has, and for each call
the seconds from the end of a question, asked as soon as the call has moved, until the answer is
heard; beside them those of the same question in the same call before. It wants a quiet machine.
Run it in ``tests/``.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from phonic_fsm.testing import LiveKitServer, PhonicSimulator, RoomCall

from .measure_takeovers import place_of
from .rooms import PATIENCE, greeted
from .takeovers import SCENARIO, House

CALLS = 5


async def measure(rounds: int, place: str, folder: Path) -> None:
    emptied: list[float] = []
    before: list[float] = []
    after: list[float] = []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with (
        LiveKitServer() as livekit,
        PhonicSimulator(SCENARIO, port=port) as phonic,
        House(livekit, place, folder, port) as house,
    ):
        await house.employ()
        await house.watch()
        for _ in range(rounds):
            async with AsyncExitStack() as stack:
                calls = [
                    await stack.enter_async_context(
                        RoomCall(
                            livekit.url,
                            **livekit.credentials,
                            agent_name="clerk",
                            patience=PATIENCE,
                        )
                    )
                    for _ in range(CALLS)
                ]
                for call in calls:
                    await greeted(call)
                    before.append(await ask(call))
                await house.employ()
                since = anyio.current_time()
                former = house.worker_of(calls[0])
                former.terminate()
                async with anyio.create_task_group() as tasks:
                    for call in calls:
                        tasks.start_soon(ask_once_moved, house, call, after)
                    await former.ended()
                    emptied.append(anyio.current_time() - since)
            _say(
                f"empty after {', '.join(f'{s:.1f}' for s in emptied)} s; "
                f"from question to answer: before {_told(before)}, after the move {_told(after)}"
            )
        _say(f"{rounds * CALLS} calls, {len(phonic.conversations)} conversations at Phonic")


async def ask(call: RoomCall) -> float:
    """Seconds from the end of the question until the answer is heard."""
    await call.say("Where can we sit?")
    await call.until_answer()
    assert call.latency is not None
    taken = call.latency
    await call.until_quiet()
    return taken


async def ask_once_moved(house: House, call: RoomCall, taken: list[float]) -> None:
    await house.until_taken_over(call)
    taken.append(await ask(call))


def _told(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--place", choices=("directory", "redis"), default="directory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, place_of(options.place, Path(name)) as place:
        anyio.run(measure, options.rounds, place, Path(name))


if __name__ == "__main__":
    main()
