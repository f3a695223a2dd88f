"""Sessions whose store fails while they are going on, or just as they end."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from livekit.agents import llm
from support.job import until
from support.redis_server import LossyWire, RedisServer

from phonic_fsm import RealtimeModel, State
from phonic_fsm._core import memory
from phonic_fsm.durable import journals
from phonic_fsm.durable._fold import fold
from phonic_fsm.durable._redis import key
from phonic_fsm.simulator import PhonicSimulator, Scenario

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def wire(server):
    wire = LossyWire(server.port)
    yield wire
    wire.close()


@asynccontextmanager
async def call(place):
    """A session whose journal has been begun."""
    async with PhonicSimulator(Scenario()) as phonic:
        session = RealtimeModel(api_key="any", base_url=phonic.url, journal=place).session()
        try:
            await session._update_session(
                instructions="Be kind.", chat_ctx=llm.ChatContext.empty(), tools=[]
            )
            await until(lambda: session.state is State.ready)
            store = journals(place)
            await until(store.statuses)
            yield session
        finally:
            await session.aclose()


async def test_a_call_is_over_though_its_last_lines_find_no_room(server):
    async with call(server.url) as session:
        server.client().config_set("maxmemory", "1mb")
        session.remember("there is no room for this")
    [status] = journals(server.url).statuses(ended=True)
    assert status.held == "ended"


async def test_a_call_that_ends_while_the_store_is_away_is_over_once_it_is_back(server, wire):
    async with call(wire.url):
        wire.is_cut = True
    store = journals(server.url)
    assert [one.held for one in store.statuses(ended=True)] == ["held"]
    wire.is_cut = False
    await until(lambda: [one.held for one in store.statuses(ended=True)] == ["ended"])


async def test_a_journal_of_which_redis_has_lost_lines_is_whole_again_at_once(server):
    """As after a failover: the replica that takes its place may not have heard the last of them."""
    store, client = journals(server.url), server.client()
    async with call(server.url) as session:
        session.remember("lost")
        [name] = [one.name for one in store.statuses()]
        await until(lambda: b'"lost"' in b"".join(store.read(name)))
        [(entry, fields)] = client.xrevrange(key(name, "lines"), count=1)
        client.xdel(key(name, "lines"), entry)
        client.hincrby(key(name), "size", -len(fields[b"lines"]))

        def is_whole():
            folded = fold(store.read(name))
            same = memory.encode(folded.machine.context) == memory.encode(session._machine.context)
            return same and folded.is_complete and folded.account.state == "lost"

        await until(is_whole)
