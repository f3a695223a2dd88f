"""What is shared by the commands that measure calls in real rooms: the house, and the options."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from phonic_fsm.testing import LiveKitServer, PhonicSimulator, RoomCall

from .ports import free_port
from .redis_server import RedisServer
from .rooms import PATIENCE
from .takeovers import SCENARIO, House


@asynccontextmanager
async def measured_house(place: str, folder: Path) -> AsyncIterator[tuple[House, PhonicSimulator]]:
    """A house without workers, beside a LiveKit server and a Phonic of its own."""
    port = free_port()
    async with (
        LiveKitServer() as livekit,
        PhonicSimulator(SCENARIO, port=port) as phonic,
        House(livekit, place, folder, port) as house,
    ):
        yield house, phonic


def call_to(house: House) -> RoomCall:
    """A call that a worker of the house takes."""
    livekit = house.livekit
    return RoomCall(livekit.url, **livekit.credentials, agent_name="clerk", patience=PATIENCE)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(
    measure: Callable[[int, str, Path], Awaitable[None]], doc: str | None, times: str, usual: int
) -> None:
    """Run ``measure`` as a command whose option ``times`` says how often."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument(f"--{times}", dest="times", type=int, default=usual)
    parser.add_argument("--place", choices=("directory", "redis"), default="directory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _place(options.place, Path(name)) as place:
        anyio.run(measure, options.times, place, Path(name))


@contextmanager
def _place(kind: str, folder: Path) -> Iterator[str]:
    if kind == "directory":
        yield str(folder / "journals")
        return
    with RedisServer(folder / "redis") as redis:
        yield redis.url
