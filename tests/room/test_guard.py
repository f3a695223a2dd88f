"""A guard asks LiveKit for a successor to an owner that has died, and only then."""

from __future__ import annotations

import json
import logging
import os
import sys
import time

import anyio
import anyio.lowlevel
import pytest
from livekit import api
from support import commands, processes
from support.owners import owners
from support.redis_server import RedisServer

from phonic_fsm.durable import Ended, _judge, _store, journals
from phonic_fsm.durable._dispatch import Errand, errand_in
from phonic_fsm.durable._guard import Guard
from phonic_fsm.durable._process import this_process
from phonic_fsm.testing import LiveKitServer

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["directory", "redis"])
def place(request, tmp_path):
    if request.param == "directory":
        yield str(tmp_path / "journals")
        return
    with RedisServer(tmp_path / "redis") as server:
        yield server.url


@pytest.fixture
def own(place):
    with owners(place) as own:
        yield own


@pytest.fixture
def store(place):
    return journals(place)


@pytest.fixture
def watching(store, server_api):
    return Guard(store, server_api)


class Dispatches:
    """The successors that were asked for, for the room of a call."""

    def __init__(self, server_api, room):
        self._api = server_api.agent_dispatch
        self._room = room

    async def seen(self):
        # LiveKit itself makes one for each new room, for workers without a name.
        found = await self._api.list_dispatch(self._room)
        return [dispatch for dispatch in found if dispatch.agent_name == "lost"]

    async def until(self, count):
        with anyio.fail_after(60):
            while len(await self.seen()) < count:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        return await self.seen()


@pytest.fixture
async def guest(call):
    """A caller in a room of their own."""
    return await call()


@pytest.fixture
def dispatches(server_api, guest):
    return Dispatches(server_api, guest.room.name)


@pytest.fixture
def begun(own, guest):
    """A process that owns the call's journal."""
    owner = own("begin", "call", guest.room.name)
    assert owner.said() == "1"
    return owner


def status(store):
    [found] = store.statuses(ended=True)
    return found


async def look_until(watching, happened):
    """LiveKit's server may not answer at once, and is asked again then, as a guard does."""
    with anyio.fail_after(60):
        while not happened():
            await watching.look()
            await anyio.sleep(0.02)


async def left(guest, server_api):
    """Have the caller leave, and wait until the server knows."""
    await guest.hang_up()
    request = api.ListParticipantsRequest(room=guest.room.name)
    with anyio.fail_after(60):
        while (await server_api.room.list_participants(request)).participants:  # noqa: ASYNC110
            await anyio.sleep(0.02)


async def test_a_successor_to_a_killed_owner_is_asked_for_once(
    watching, begun, dispatches, guest, caplog
):
    await watching.look()
    assert await dispatches.seen() == []
    begun.kill()
    await watching.look()
    await watching.look()
    [dispatch] = await dispatches.seen()
    assert json.loads(dispatch.metadata) == {
        "phonic_fsm_journal": "call",
        "metadata": "from the first job",
        "moves": False,
    }
    assert errand_in(dispatch.metadata) == Errand("call", "from the first job")
    [said] = [r.message for r in caplog.records if r.name == "phonic_fsm"]
    assert f"the call in room {guest.room.name} is gone" in said


@pytest.mark.parametrize("metadata", ["", "{}", "text", '{"metadata": "x"}', "[1]"])
def test_the_metadata_of_a_new_call_is_no_errand(metadata):
    assert errand_in(metadata) is None


async def test_a_successor_to_a_stopped_owner_is_asked_for(watching, store, begun, dispatches):
    begun.stop()
    with anyio.fail_after(60):
        while not await dispatches.seen():
            await watching.look()
            await anyio.sleep(0.05)
    assert status(store).held == "still"


async def test_of_several_guards_one_asks(store, server_api, begun, dispatches):
    begun.kill()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(Guard(store, server_api).look)
    assert len(await dispatches.seen()) == 1


async def test_another_successor_is_asked_for_if_none_comes(
    watching, begun, dispatches, monkeypatch
):
    monkeypatch.setattr(_judge, "ARRIVAL", 0.2)
    monkeypatch.setattr(_judge, "AGAIN", 0.0)
    begun.kill()
    with anyio.fail_after(60):
        while len(await dispatches.seen()) < 2:
            await watching.look()


async def test_a_call_that_has_ended_stays_ended(watching, begun, dispatches):
    assert begun.do("end") == "done"
    begun.kill()
    await watching.look()
    assert await dispatches.seen() == []


async def test_a_call_that_is_handed_over_gets_a_successor_and_counts_no_crash(
    watching, store, begun, dispatches
):
    assert begun.do("release") == "done"
    await watching.look()
    assert len(await dispatches.seen()) == 1
    assert status(store).crashes == 0


async def test_a_call_whose_caller_has_left_is_ended(
    watching, store, begun, guest, dispatches, *, server_api, monkeypatch, caplog
):
    monkeypatch.setattr(_judge, "AWAY", 0.3)
    monkeypatch.setattr(_judge, "AGAIN", 0.0)
    caplog.set_level(logging.INFO, "phonic_fsm")
    await left(guest, server_api)
    begun.kill()
    await look_until(watching, lambda: status(store).held == "ended")
    assert await dispatches.seen() == []
    assert "is given up: the caller has left" in caplog.text
    assert status(store).holder.room == guest.room.name
    with pytest.raises(Ended):
        store.take_over("call", this_process())


async def test_a_caller_who_is_back_in_time_gets_a_successor(
    watching, store, begun, guest, dispatches, *, call, server_api, monkeypatch
):
    monkeypatch.setattr(_judge, "AGAIN", 0.0)
    room = guest.room.name
    await left(guest, server_api)
    begun.kill()
    for _ in range(3):
        await watching.look()
    assert status(store).held == "dead"
    assert await dispatches.seen() == []
    await call(room=room)
    with anyio.fail_after(60):
        while not await dispatches.seen():
            await watching.look()
    assert len(await dispatches.seen()) == 1


async def test_a_call_that_ends_three_processes_in_a_row_is_given_up(
    watching, store, begun, guest, dispatches, *, own, caplog, monkeypatch
):
    # On a busy machine this test may take longer than a process that lasts.
    monkeypatch.setattr(_store, "LASTING_SECONDS", 3600.0)
    monkeypatch.setattr(_judge, "ARRIVAL", 3600.0)

    def asked():
        return caplog.text.count("asking for a successor")

    owner = begun
    for number in (2, 3):
        owner.kill()
        await look_until(watching, lambda: asked() == number - 1)  # noqa: B023 - at once
        owner = own("take_over", "call", guest.room.name)
        assert owner.said() == str(number)
    owner.kill()
    await look_until(watching, lambda: status(store).held == "ended")
    assert asked() == 2, "once for each of the first two"
    assert "is given up: 3 processes in a row have died of it" in caplog.text


async def test_a_livekit_that_is_away_is_told_once(begun, store, caplog):
    caplog.set_level(logging.INFO, "phonic_fsm")
    begun.kill()
    away = LiveKitServer()
    async with api.LiveKitAPI(away.url, away.api_key, away.api_secret) as server_api:
        watching = Guard(store, server_api)
        for _ in range(3):
            await watching.look()
            watching._judge._due.clear()
        async with away:
            await watching.look()
    said = [r.message for r in caplog.records if r.name == "phonic_fsm"]
    assert [text.split(":")[0] for text in said] == ["LiveKit's server cannot be asked", "over"]


async def test_a_redis_that_is_away_is_told_once(tmp_path, server_api, caplog):
    caplog.set_level(logging.INFO, "phonic_fsm")
    with RedisServer(tmp_path / "redis") as redis:
        watching = Guard(journals(redis.url), server_api)
        await watching.look()
        redis.kill()
        for _ in range(3):
            await watching.look()
        redis.start()
        await watching.look()
    said = [r.message for r in caplog.records if r.name == "phonic_fsm"]
    assert [text.split(":")[0] for text in said] == ["the journals cannot be watched", "over"]


def livekit_environment(livekit):
    return {
        **os.environ,
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.api_key,
        "LIVEKIT_API_SECRET": livekit.api_secret,
    }


async def test_the_command_guards_and_a_killed_guard_leaves_nothing_undone(
    livekit, place, begun, dispatches
):
    environment = livekit_environment(livekit)
    command = (*commands.PHONIC_FSM, "guard", place)
    with (
        processes.running(*command, env=environment) as one,
        processes.running(*command, env=environment) as other,
    ):
        for guard in (one, other):
            assert "watching the journals in" in guard.stderr.readline()
        one.kill()
        begun.kill()
        await dispatches.until(1)
        assert "asking for a successor (journal call, owner 1)" in other.stderr.readline()
        other.terminate()
        assert other.wait(60) == 0


async def test_a_worker_guards_in_a_thread(livekit, place, begun, dispatches):
    program = (
        "import sys, time; from phonic_fsm.durable import guard; guard(sys.argv[1]); time.sleep(99)"
    )
    with processes.running(sys.executable, "-c", program, place, env=livekit_environment(livekit)):
        begun.kill()
        since = time.monotonic()
        await dispatches.until(1)
        assert time.monotonic() - since < 60
