"""``python -m support.measure_moves [--rounds 20] [--calls 1] [--doubt early_resume=refused]``.

It measures what callers hear of a move.

With one call, it moves between two workers that stay. With more, their worker is told to end each
time, as at a deploy, beside a worker that has just come. Of each move it tells:

- how much later a word that is said at the moment of the move is answered than the same word before
  (s);
- for how long nobody had the conversation with Phonic, by the journal (s);
- for how long the caller heard the track of no agent (s).

It wants a quiet machine. Run it in ``tests/``.
"""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec
from livekit import rtc

from phonic_fsm.simulator import Doubts
from phonic_fsm.testing import RoomCall, Scenario, Turn

from .measuring import call_to, main, measured_house, say
from .rooms import PATIENCE, ask, greeted
from .takeovers import House

WORD = "Where?"
"""The shorter what the caller says, the less of a pause it hides."""

SCENARIO = Scenario(
    replies=("Welcome to the house.",),
    turns=(Turn(caller=WORD, assistant="In the garden."),) * 500,
)


OPEN = ("conversation_reconnected", "ready_to_start_conversation")
"""With one of these, Phonic says that the conversation goes on, or that a fresh one has begun."""


class Heard(NamedTuple):
    """What became of one move (s)."""

    later: float
    unheld: float
    trackless: float


class Tracks:
    """The agents' tracks that a caller hears."""

    def __init__(self, call: RoomCall) -> None:
        self._heard: set[str] = set()
        self._since = anyio.current_time()
        self.longest_without = 0.0
        call.room.on("track_subscribed", self._begin)
        call.room.on("track_unsubscribed", self._end)
        for participant in call.room.remote_participants.values():
            self._heard.update(participant.track_publications)

    def _begin(self, track: rtc.Track, *_: object) -> None:
        if not self._heard:
            self.longest_without = max(self.longest_without, anyio.current_time() - self._since)
        self._heard.add(track.sid)

    def _end(self, track: rtc.Track, *_: object) -> None:
        self._heard.discard(track.sid)
        self._since = anyio.current_time()


async def measure(rounds: int, place: str, folder: Path, *, calls: int, doubt: str) -> None:
    heard: list[Heard] = []
    doubts = Doubts.read([doubt] if doubt else [])
    async with measured_house(place, folder, SCENARIO, doubts) as (house, phonic):
        for _ in range(2 if calls == 1 else 1):
            await house.employ()
        await house.watch()
        async with AsyncExitStack() as stack:
            callers = [await stack.enter_async_context(call_to(house)) for _ in range(calls)]
            await _side_by_side(greeted, callers)
            for number in range(2, 2 + rounds):
                async with _on_the_move(house, callers) as begin:
                    await _side_by_side(
                        partial(_measure_one, house, number=number, heard=heard, begin=begin),
                        callers,
                    )
                say(_told(heard))
        say(f"{calls} calls, {len(phonic.conversations)} conversations at Phonic")


Begin = Callable[[], None]


@asynccontextmanager
async def _on_the_move(house: House, callers: list[RoomCall]) -> AsyncIterator[Begin]:
    """Gives what has the calls move, once each of the callers has called it."""
    waiting = len(callers)
    if len(callers) > 1:
        former = house.worker_of(callers[0])
        await house.employ()

    def begin() -> None:
        nonlocal waiting
        waiting -= 1
        if waiting:
            return
        if len(callers) > 1:
            former.terminate()
            return
        status = house.status(callers[0])
        house.store.ask(status.name, status.number, "move")

    since = anyio.current_time()
    yield begin
    if len(callers) > 1:
        await former.ended()
        say(f"the worker was empty after {anyio.current_time() - since:.1f} s")
        house.workers.remove(former)


async def _measure_one(
    house: House, call: RoomCall, *, number: int, heard: list[Heard], begin: Begin
) -> None:
    before = await _time_answer(call)
    tracks = Tracks(call)
    begin()
    await house.until_taken_over(call, number)
    after = await _time_answer(call)
    heard.append(Heard(after - before, await _unheld(house, call), tracks.longest_without))


async def _time_answer(call: RoomCall) -> float:
    """Seconds from the end of the caller's word until its answer is heard."""
    await ask(call, WORD)
    assert call.latency is not None
    return call.latency


async def _unheld(house: House, call: RoomCall) -> float:
    """For how long nobody had the conversation in the last move, by the journal (s)."""
    name = house.status(call).name
    lost_for, taken_at = 0.0, 0.0
    with anyio.fail_after(PATIENCE):
        while True:
            found = None
            for line in house.store.read(name):
                step = msgspec.json.decode(line)
                event = step.get("event", {})
                if event.get("type") == "take_over":
                    lost_for, taken_at, found = event["lost_for"], step["t"], None
                elif event.get("type") in OPEN:
                    found = lost_for + step["t"] - taken_at
            if found is not None:
                return float(found)
            await anyio.sleep(0.1)


async def _side_by_side(what: Callable[..., object], callers: list[RoomCall]) -> None:
    async with anyio.create_task_group() as tasks:
        for caller in callers:
            tasks.start_soon(what, caller)  # type: ignore[arg-type]


def _told(heard: list[Heard]) -> str:
    columns = zip(
        ("answered later by", "without a conversation", "without a track"),
        zip(*heard, strict=True),
        strict=True,
    )
    told = "; ".join(
        f"{what} {statistics.median(seconds):.2f} s, {max(seconds):.2f} s at worst"
        for what, seconds in columns
    )
    return f"{len(heard)} moves: {told}"


if __name__ == "__main__":
    main(measure, __doc__, "rounds", 20, calls=1, doubt="")
