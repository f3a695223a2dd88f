"""A job that is sent to a room in which a call of the same agent was begun."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from livekit.agents.testing import fake_job_context
from support.job import TOKEN, until
from support.processes import LONGEST
from support.redis_server import LossyWire, RedisServer

from phonic_fsm import CallTakenOver, RealtimeModel
from phonic_fsm._adapter import awaited as awaited_call
from phonic_fsm._adapter import takeover
from phonic_fsm._adapter.awaited import AwaitedCall
from phonic_fsm._adapter.recovery import BeginsAnew, find_and_take_over
from phonic_fsm._core.states import State
from phonic_fsm.durable import journals
from phonic_fsm.durable._dispatch import Errand, to_metadata
from phonic_fsm.durable._process import this_process
from phonic_fsm.durable._store import Ended, OwnershipLost
from phonic_fsm.simulator import PhonicSimulator, Scenario

pytestmark = pytest.mark.anyio

ROOM = "fake-room"

TURN = Path(__file__).parents[1] / "traces" / "normal_turn.jsonl"


@pytest.fixture
def place(directory):
    return directory


@pytest.fixture
def told():
    """Why the job was shut down."""
    return []


@pytest.fixture
async def job(told):
    """A job like that of the owners; its room needs the running loop."""
    with fake_job_context() as context, context._tempdir:
        context.job.agent_name = "lost"
        context._info.token = TOKEN
        context._on_shutdown = told.append
        yield context


async def test_it_leaves_if_another_process_has_the_call(store, own, job, told):
    owner = own("begin", "call", ROOM)
    assert owner.said() == "1"

    async def beat():
        while True:
            assert await anyio.to_thread.run_sync(owner.do, "beat") == "done"
            await anyio.sleep(0.05)

    with anyio.fail_after(LONGEST):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            with pytest.raises(CallTakenOver, match=f"another process has the call in room {ROOM}"):
                await find_and_take_over(store, job)
            tasks.cancel_scope.cancel()
    assert len(told) == 1
    assert store.status("call").number == 1


async def test_it_takes_the_call_over_if_no_heartbeat_comes(store, own, job, told):
    owner = own("begin", "call", ROOM)
    assert owner.said() == "1"
    with anyio.fail_after(LONGEST):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(find_and_take_over, store, job)
            await anyio.lowlevel.checkpoint()
            owner.kill()
    assert store.status("call").number == 2
    assert told == []


@pytest.mark.parametrize("differs", ["agent_name", "room", "nothing"])
async def test_it_begins_a_new_call_if_the_room_has_none_of_its_own(
    store, own, job, told, *, differs
):
    owner = own("begin", "call", "another" if differs == "room" else ROOM)
    assert owner.said() == "1"
    if differs == "agent_name":
        job.job.agent_name = "another"
    if differs == "nothing":
        assert owner.do("end") == "done"
    assert await find_and_take_over(store, job) is None
    assert told == []


@pytest.fixture
def redis_with_a_disk(tmp_path):
    """Forgets nothing when it is killed. By default it keeps up to two seconds of what it has
    answered to itself while the disk is busy."""
    always = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer(tmp_path / "redis", *always) as server:
        journals(server.url).begin("call", this_process(room=ROOM)).release()
        server.kill()
        yield server


def sent_to_go_on(job, *, moves):
    job.job.metadata = to_metadata(Errand("call", moves=moves))
    return job


async def test_a_successor_waits_for_a_store_that_is_away(redis_with_a_disk, job, told, caplog):
    store = journals(redis_with_a_disk.url)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(find_and_take_over, store, sent_to_go_on(job, moves=False))
        await until(lambda: "is waited for" in caplog.text)
        assert "begins anew" not in caplog.text
        redis_with_a_disk.start()
    assert told == []
    assert store.status("call").number == 2


@pytest.mark.parametrize("moves", [True, False])
async def test_no_second_agent_comes_in_a_move_if_the_store_stays_away(
    redis_with_a_disk, job, told, caplog, monkeypatch, *, moves
):
    monkeypatch.setattr(takeover, "STORE_BACK_WITHIN", 0.0)
    store = journals(redis_with_a_disk.url)
    if moves:
        with pytest.raises(CallTakenOver):
            await find_and_take_over(store, sent_to_go_on(job, moves=True))
    else:
        found = await find_and_take_over(store, sent_to_go_on(job, moves=False))
        assert found == BeginsAnew("call")
    assert (len(told), "begins anew" in caplog.text) == (moves, not moves)


@pytest.fixture
async def begins_anew(redis_with_a_disk, job, monkeypatch):
    """A model whose call begins anew, as the store stays away for too long. Then it is back."""
    monkeypatch.setattr(takeover, "STORE_BACK_WITHIN", 0.0)
    async with PhonicSimulator(Scenario()) as phonic:
        place = redis_with_a_disk.url
        model = RealtimeModel(api_key="any", base_url=phonic.url, journal=place)
        assert await model.recover(sent_to_go_on(job, moves=False)) is None
        redis_with_a_disk.start()
        yield model, journals(place)


async def test_no_second_agent_comes_if_the_store_is_back_after_the_call_has_begun_anew(
    begins_anew,
):
    model, store = begins_anew
    session = model.session()
    await until(lambda: len(store.statuses(ended=True)) == 2)
    assert {one.name: one.held for one in store.statuses(ended=True)}["call"] == "ended"
    with pytest.raises(Ended):
        store.take_over("call", this_process(room=ROOM))
    await session.aclose()


async def test_no_second_agent_comes_if_the_store_is_back_after_the_call_has_ended(
    redis_with_a_disk, job, monkeypatch
):
    monkeypatch.setattr(takeover, "STORE_BACK_WITHIN", 0.0)
    async with PhonicSimulator(Scenario()) as phonic:
        place = redis_with_a_disk.url
        model = RealtimeModel(api_key="any", base_url=phonic.url, journal=place)
        assert await model.recover(sent_to_go_on(job, moves=False)) is None
        await model.session().aclose()
        redis_with_a_disk.start()
        # Its own journal is begun after all, unless the store is back in the midst of the last try.
        await until(lambda: {o.held for o in journals(place).statuses(ended=True)} == {"ended"})


async def test_a_call_that_has_begun_anew_ends_if_another_process_has_gone_on_with_it(begins_anew):
    model, store = begins_anew
    store.take_over("call", this_process(room=ROOM))
    session = model.session()
    errors = []
    session.on("error", errors.append)
    await until(lambda: session.state is State.closed)
    [told_of] = errors
    assert isinstance(told_of.error, CallTakenOver)
    assert [one.name for one in store.statuses(ended=True)] == ["call"]
    await session.aclose()


@pytest.fixture
def wire(redis_server, redis):
    """Leads to an empty Redis that knows no script."""
    redis_server.client().script_flush()
    wire = LossyWire(redis_server.port)
    yield wire
    wire.close()


@pytest.mark.parametrize(
    "lost_at",
    [
        pytest.param(b"XRANGE", id="before it is read"),
        # It names a conversation, and has a line that is none.
        pytest.param(b"SMOVE", id="before it is ended"),
    ],
)
async def test_a_journal_that_was_claimed_just_before_the_store_went_away_is_no_others(
    wire, redis, job, told, monkeypatch, *, lost_at
):
    monkeypatch.setattr(takeover, "STORE_BACK_WITHIN", 0.0)
    store = journals(redis)
    former = store.begin("call", this_process(room=ROOM))
    former.append(TURN.read_bytes() + b"damaged\n")
    former.release()
    async with PhonicSimulator(Scenario()) as phonic:
        model = RealtimeModel(api_key="any", base_url=phonic.url, journal=wire.url)
        wire.cut_at = lost_at
        past = await model.recover(sent_to_go_on(job, moves=False))
        assert (wire.is_cut, past is None) == (True, lost_at == b"XRANGE")
        assert (store.status("call").number, store.status("call").held) == (2, "held")
        wire.is_cut = False
        session = model.session()
        errors = []
        session.on("error", errors.append)
        await until(lambda: len(store.statuses(ended=True)) == 2)
        found = {one.name: one.held for one in store.statuses(ended=True)}
        assert (found.pop("call"), list(found.values())) == ("ended", ["held"])
        assert not [one for one in errors if isinstance(one.error, CallTakenOver)]
        assert told == []
        await session.aclose()


@pytest.mark.parametrize("how", ["dies", "hands over"])
async def test_an_agent_that_does_not_know_what_was_remembered_last_leaves_the_call_to_another(
    store, own, job, place, monkeypatch, *, how
):
    """It waits for a call that moves, and the process that has the call remembers it and leaves."""
    owner = own("begin", "call", ROOM)
    assert owner.said() == "1"
    *lines, end = TURN.read_text().splitlines()
    (Path(place) / "call" / "journal.jsonl").write_text("".join(f"{line}\n" for line in lines))

    async def connect():
        pass

    monkeypatch.setattr(job, "connect", connect)
    found = await find_and_take_over(store, sent_to_go_on(job, moves=True))
    assert isinstance(found, tuple)
    awaited, _ = found
    assert isinstance(awaited, AwaitedCall)
    assert awaited.past("").state is None
    remembers = {"type": "remember_state", "value": {"guests": 3}}
    step = json.loads(end) | {"event": remembers, "to": "ready", "effects": []}
    monkeypatch.setattr(awaited_call, "ASK_EVERY", LONGEST)

    async def remember_and_leave():
        await until((Path(place) / "call" / "handover").exists)
        assert await anyio.to_thread.run_sync(owner.do, f"append {json.dumps(step)}") == "done"
        if how == "dies":
            owner.kill()
        else:
            assert await anyio.to_thread.run_sync(owner.do, "release") == "done"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(remember_and_leave)
        with pytest.raises(OwnershipLost, match="does not know"):
            await awaited.handed_over()
    status = store.status("call")
    assert (status.number, status.held, status.handed_over) == (2, "dead", False)
    assert status.crashes == (how == "dies"), "that it leaves the call is no crash"


async def test_no_second_agent_comes_in_a_move_if_another_process_was_faster(
    store, own, job, place, *, monkeypatch
):
    owner = own("begin", "call", ROOM)
    assert owner.said() == "1"
    (Path(place) / "call" / "journal.jsonl").write_bytes(TURN.read_bytes())

    async def connect():
        """Meanwhile the process that has the call dies, and a guard's successor takes it over."""
        owner.kill()
        store.take_over("call", this_process(room=ROOM))

    monkeypatch.setattr(job, "connect", connect)
    found = await find_and_take_over(store, sent_to_go_on(job, moves=True))
    assert isinstance(found, tuple)
    awaited, _ = found
    assert isinstance(awaited, AwaitedCall)
    with pytest.raises(OwnershipLost):
        await awaited.handed_over()
    assert store.status("call").number == 2
