"""A call moves to another worker, and the caller hears nothing of it."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from support import commands
from support.chirp import chirp, heard
from support.rooms import PATIENCE, ask, greeted, said
from support.takeovers import ON_ONE_HOST, SCENARIO, heard_again, no_two_at_once

from phonic_fsm._wire import client
from phonic_fsm.durable._departures import LAST
from phonic_fsm.trace._format import VERSION

pytestmark = pytest.mark.anyio

TOLERANCE = 0.15
"""Seconds by which a busy machine may delay audio."""


@pytest.fixture
async def guest(house, call):
    return await call(agent_name="clerk")


async def moved(house, call, folder, number=2):
    """The call has moved: one agent is left, the journal replays, and no process has died."""
    await house.until_taken_over(call, number)
    await call.until(lambda: len(present(call)) == 1, "the old agent's leave")
    with anyio.fail_after(PATIENCE):
        while "conversation_reconnected" not in house.replays(call, folder):  # noqa: ASYNC110
            await anyio.sleep(0.1)
    lines = map(json.loads, (folder / "journal.jsonl").read_text().splitlines()[1:])
    steps = [line for line in lines if "event" in line]  # the others are runs of audio
    seams = [step for step in steps if step["event"]["type"] == "take_over"]
    assert [seam["event"].get("cause") for seam in seams] == ["move"] * (number - 1)
    assert house.status(call).crashes == 0
    no_two_at_once(call)
    return seams


async def asks_and_is_answered(call):
    await ask(call, "Where can we sit?")


async def test_a_move_is_asked_for_by_the_command(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await greeted(guest)
    result = await anyio.to_thread.run_sync(commands.run, "move", guest.room.name, house.place)
    assert result.returncode == 0, result.stderr
    await moved(house, guest, tmp_path)
    await asks_and_is_answered(guest)
    [conversation] = phonic.conversations
    asked = [m for m in conversation.received if isinstance(m, client.GenerateReply)]
    assert len(asked) == 1, "the greeting: nobody is asked to go on"
    assert said(guest)[0] == ("agent", "Welcome to the house.")
    assert ("caller", "Where can we sit?") in said(guest)


async def test_what_the_caller_says_in_the_move_is_heard(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await greeted(guest)
    status = house.status(guest)
    house.store.ask(status.name, status.number, "move")
    # It moves while nobody speaks; as soon as it does, the caller begins.
    await house.until_taken_over(guest)
    [conversation] = phonic.conversations
    before = len(conversation.audio)
    await guest.say(chirp(3))
    await guest.until_answer()
    came = heard(conversation.audio[before:])
    assert came.first < 0.1, "it was heard from its beginning on"
    assert max(came.lost, came.doubled) < TOLERANCE
    await moved(house, guest, tmp_path)
    assert ("caller", "Where can we sit?") in said(guest)
    assert len(phonic.conversations) == 1


@ON_ONE_HOST
async def test_a_call_moves_in_the_end_if_somebody_always_speaks(house, simulate, guest, tmp_path):
    phonic = await simulate(SCENARIO)
    await greeted(guest)
    [conversation] = phonic.conversations
    before = len(conversation.audio)
    status = house.status(guest)
    async with anyio.create_task_group() as speaking:
        speaking.start_soon(guest.say, chirp(60))
        await guest.until(lambda: guest.agent_state == "listening", "the agent to listen")
        house.store.ask(status.name, status.number, "move")
        await guest.until(lambda: len(present(guest)) == 2, "the successor")
        ready = anyio.current_time()
        await house.until_taken_over(guest)
        at = len(conversation.audio)
        await phonic.wait_for(lambda: len(conversation.audio) > at + 2 * 48_000)
        speaking.cancel_scope.cancel()
    came = heard(conversation.audio[before:])
    assert came.first < 0.1
    assert came.doubled < TOLERANCE
    assert came.lost < 2 * TOLERANCE, "two buffers for a network, of which each has its own length"
    [seam] = await moved(house, guest, tmp_path)
    assert seam["from"] == "listening", "there was no pause"
    await heard_again(guest, ready - 1)


def present(call):
    return [stay for stay in call.stays if not stay.left]


async def test_a_worker_that_ends_has_no_calls_left(house, simulate, guest, call, tmp_path):
    phonic = await simulate(SCENARIO)
    await greeted(guest)
    worker = house.worker_of(guest)
    worker.terminate()
    with anyio.fail_after(60):
        assert await worker.ended() == 0
    await moved(house, guest, tmp_path)
    await asks_and_is_answered(guest)
    assert len(phonic.conversations) == 1
    house.workers.remove(worker)
    await house.employ()


@ON_ONE_HOST
async def test_a_call_that_cannot_move_is_left_to_a_worker_that_comes_later(house, simulate, call):
    await simulate(SCENARIO)
    others = [house.workers.pop(), house.workers.pop()]
    for other in others:
        other.terminate()
    house.environment["DRAIN_TIMEOUT"] = str(round(LAST) + 1)
    only = await house.employ()
    del house.environment["DRAIN_TIMEOUT"]
    for other in others:
        await other.ended()
    guest = await call(agent_name="clerk")
    await greeted(guest)
    only.terminate()
    assert await only.ended() == 0
    assert house.status(guest).held == "dead"
    house.workers.remove(only)
    await house.employ()
    await house.until_taken_over(guest)
    await guest.until(lambda: len(present(guest)) == 1, "one agent")
    await asks_and_is_answered(guest)
    assert said(guest)[0] == ("agent", "Welcome to the house.")
    assert house.status(guest).crashes == 0
    await house.employ()


@ON_ONE_HOST
async def test_a_worker_that_cannot_read_the_journal_declines(house, simulate, guest):
    """As if the call's process was of a newer version: the call stays, and goes on."""
    await simulate(SCENARIO)
    await greeted(guest)
    status = house.status(guest)
    journal = Path(house.place) / status.name / "journal.jsonl"
    with journal.open("r+b") as file:
        line = file.readline()
        file.seek(line.index(f'"version":{VERSION}'.encode()))
        file.write(b'"version":9')
    house.store.ask(status.name, status.number, "move")
    await asks_and_is_answered(guest)
    with anyio.fail_after(PATIENCE):
        while "stays where it is" not in house.log:  # noqa: ASYNC110
            await anyio.sleep(0.1)
    await asks_and_is_answered(guest)
    assert house.status(guest).number == 1
    assert house.status(guest).held == "held"
    assert len(present(guest)) == 1


@ON_ONE_HOST
async def test_a_worker_with_five_calls_ends(house, simulate, call):
    """How soon, ``support.measure_moves`` measures: on a busy machine it takes longer."""
    phonic = await simulate(SCENARIO)
    other = house.workers.pop()
    other.terminate()
    await other.ended()
    [full] = house.workers
    guests = [await call(agent_name="clerk") for _ in range(5)]
    async with anyio.create_task_group() as tasks:
        for guest in guests:
            tasks.start_soon(greeted, guest)
    await house.employ()
    full.terminate()
    assert await full.ended() == 0
    async with anyio.create_task_group() as tasks:
        for guest in guests:
            tasks.start_soon(asks_and_is_answered, guest)
    assert len(phonic.conversations) == 5
    house.workers.remove(full)
    await house.employ()
