"""``python -m support.measure_takeovers [--kills 20] [--place redis]``: how long a call is silent.

Calls in a real room are killed in mid-sentence, each way in turn, and the seconds are measured from
the kill until the caller hears the successor. It wants a quiet machine. Run it in ``tests/``.
"""

from __future__ import annotations

import argparse
import signal
import socket
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from phonic_fsm.testing import LiveKitServer, PhonicSimulator, RoomCall

from .redis_server import RedisServer
from .rooms import PATIENCE, greeted
from .takeovers import SCENARIO, House, heard_again

WAYS = ("a job", "a worker", "a job that stands still")


async def measure(kills: int, place: str, folder: Path) -> None:
    taken: dict[str, list[float]] = defaultdict(list)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with (
        LiveKitServer() as livekit,
        PhonicSimulator(SCENARIO, port=port) as phonic,
        House(livekit, place, folder, port) as house,
    ):
        await house.open()
        for _ in range(kills):
            for way in WAYS:
                async with RoomCall(
                    livekit.url, **livekit.credentials, agent_name="clerk", patience=PATIENCE
                ) as call:
                    taken[way].append(await one(house, call, way))
                if way == "a worker":
                    await house.employ()
                _print(taken)
        conversations = len(phonic.conversations)
        _say(f"{kills * len(WAYS)} calls, {conversations} conversations at Phonic")


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
    _say(
        "; ".join(
            f"{way} ({len(seconds)}): median {statistics.median(seconds):.2f} s, "
            f"worst {max(seconds):.2f} s"
            for way, seconds in taken.items()
        )
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def place_of(kind: str, folder: Path) -> Iterator[str]:
    if kind == "directory":
        yield str(folder / "journals")
        return
    with RedisServer(folder / "redis") as redis:
        yield redis.url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--place", choices=("directory", "redis"), default="directory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, place_of(options.place, Path(name)) as place:
        anyio.run(measure, options.kills, place, Path(name))


if __name__ == "__main__":
    main()
