"""What is shared by the commands that measure calls in real rooms: the house, and the options."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import anyio

from phonic_fsm.simulator import Doubts
from phonic_fsm.testing import LiveKitServer, PhonicSimulator, RoomCall, Scenario

from .ports import free_port
from .redis_server import RedisServer
from .rooms import PATIENCE
from .takeovers import SCENARIO, House


@asynccontextmanager
async def measured_house(
    place: str, folder: Path, scenario: Scenario = SCENARIO, doubts: Doubts | None = None
) -> AsyncIterator[tuple[House, PhonicSimulator]]:
    """A house without workers, beside a LiveKit server and a Phonic of its own."""
    port = free_port()
    async with (
        LiveKitServer() as livekit,
        PhonicSimulator(scenario, port=port, doubts=doubts) as phonic,
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
    measure: Callable[..., Awaitable[None]],
    doc: str | None,
    times: str,
    usual: int,
    **more: int | str,
) -> None:
    """Run ``measure`` as a command whose option ``times`` says how often.

    ``more`` are further options, each with what it is usually; ``measure`` gets them by name.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(f"--{times}", dest="times", type=int, default=usual)
    parser.add_argument("--place", choices=("directory", "redis"), default="directory")
    for option, default in more.items():
        parser.add_argument(f"--{option}", type=type(default), default=default)
    options = parser.parse_args()
    given = {option: getattr(options, option) for option in more}
    with tempfile.TemporaryDirectory() as name, _place(options.place, Path(name)) as place:
        anyio.run(partial(measure, options.times, place, Path(name), **given))


@contextmanager
def _place(kind: str, folder: Path) -> Iterator[str]:
    if kind == "directory":
        yield str(folder / "journals")
        return
    with RedisServer(folder / "redis") as redis:
        yield redis.url
