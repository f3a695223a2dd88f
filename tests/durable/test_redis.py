"""Journals in Redis: what becomes of them when Redis is gone, full, slow, or another one."""

from __future__ import annotations

import sys
import time

import pytest
from durable.conftest import grow_older
from durable.test_stores import ME, lines, status
from msgspec.structs import replace
from redis import Redis
from support.ports import free_port
from support.redis_server import LossyWire, RedisServer

from phonic_fsm.durable import NoJournal, OwnershipLost, StoreFailed, Taken, _redis, journals
from phonic_fsm.durable._store import HEAD_START, STILL_SECONDS

ELSEWHERE = replace(ME, host="another")


@pytest.fixture
def place(redis):
    return redis


@pytest.fixture
def own_server(tmp_path):
    """A Redis that a test may end, fill up or stop."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


def patiently(action, *arguments):
    """Do it until it works."""
    until = time.monotonic() + 60
    while True:
        try:
            return action(*arguments)
        except StoreFailed:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_lease_on_another_host_is_over_when_the_heart_has_stopped(store, let_pass):
    first = store.begin("call", ELSEWHERE)
    assert status(store).held == "held"
    with pytest.raises(Taken):
        store.take_over("call", ME)
    let_pass(STILL_SECONDS)
    found = status(store)
    assert (found.held, found.beat_age >= STILL_SECONDS) == ("dead", True)
    second = store.take_over("call", ME)
    for method in (first.beat, first.check, first.end, first.release, lambda: first.append(b"x\n")):
        with pytest.raises(OwnershipLost):
            method()
    second.append(b"mine\n")
    assert lines(store) == ["mine\n"]


def test_an_owner_whose_heart_beats_again_before_a_takeover_keeps_its_journal(store, let_pass):
    journal = store.begin("call", ELSEWHERE)
    let_pass(STILL_SECONDS)
    assert status(store).held == "dead"
    journal.beat()
    assert status(store).held == "held"
    with pytest.raises(Taken):
        store.take_over("call", ME)


def test_a_long_journal_is_read_in_order(store):
    journal = store.begin("call", ME)
    written = [f"{number}\n" for number in range(1, 1002)]
    for line in written[:350]:
        journal.append(line.encode())
    journal.append("".join(written[350:]).encode())
    assert lines(store) == written


def test_a_redis_that_is_gone_fails_and_is_found_again(own_server):
    store = journals(own_server.url)
    journal = store.begin("call", ME)
    own_server.kill()
    for method in (journal.beat, journal.check, lambda: journal.append(b"x\n"), store.statuses):
        with pytest.raises(StoreFailed, match=f"127.0.0.1:{own_server.port}: .*refused"):
            method()
    with pytest.raises(StoreFailed):
        store.begin("other", ME)
    own_server.start()
    with pytest.raises(NoJournal):
        journal.append(b"it has forgotten everything\n")
    store.begin("other", ME).append(b"new\n")
    assert lines(store, "other") == ["new\n"]


def test_a_redis_that_answers_nothing_fails_in_time(own_server, monkeypatch):
    monkeypatch.setattr(_redis, "TIMEOUT", 0.2)
    journal = journals(own_server.url).begin("call", ME)
    own_server.stop()
    since = time.monotonic()
    with pytest.raises(StoreFailed):
        journal.append(b"one\n")
    assert 0.19 < time.monotonic() - since < 30
    own_server.go_on()
    patiently(journal.append, b"one\n")


@pytest.fixture
def wire(redis_server, redis):
    wire = LossyWire(redis_server.port)
    yield wire
    wire.close()


@pytest.mark.parametrize("again", [b"two\n", b"two\nthree\n"])
def test_lines_whose_answer_was_lost_are_there_once(wire, again):
    store = journals(wire.url)
    journal = store.begin("call", ME)
    journal.append(b"one\n")
    wire.loses = 1
    with pytest.raises(StoreFailed):
        journal.append(b"two\n")
    journal.append(again)
    journal.append(b"four\n")
    assert "".join(lines(store)) == f"one\n{again.decode()}four\n"


def test_a_claim_whose_answer_was_lost_is_no_rival(wire):
    store = journals(wire.url)
    wire.loses = 1
    first = store.begin("call", ME)
    assert not wire.loses
    first.append(b"one\n")
    first.release()
    wire.loses = 1
    second = store.take_over("call", ME)
    assert not wire.loses
    second.append(b"two\n")
    assert (second.number, lines(store)) == (2, ["one\n", "two\n"])


@pytest.mark.parametrize("how", ["begin", "take_over"])
def test_an_owner_whose_claims_were_never_answered_is_no_rival_of_itself(wire, how):
    """Redis may stand still for longer than a claim is waited for, and carry it out afterwards."""
    store = journals(wire.url)
    if how == "take_over":
        store.begin("call", ELSEWHERE).release()
    wire.loses = _redis.ATTEMPTS
    with pytest.raises(StoreFailed):
        getattr(store, how)("call", ME)
    assert (status(store).holder, wire.loses) == (ME, 0)
    with pytest.raises(Taken):
        getattr(store, how)("call", replace(ME, job="another"))
    journal = getattr(store, how)("call", ME)
    journal.append(b"one\n")
    assert (journal.number, lines(store)) == (1 if how == "begin" else 2, ["one\n"])
    with pytest.raises(Taken):
        getattr(store, how)("call", ME)


def test_of_claims_that_nobody_makes_again_the_oldest_are_forgotten(wire, monkeypatch):
    monkeypatch.setattr(_redis, "MOST_UNANSWERED", 2)
    store = journals(wire.url)
    for name in ("oldest", "older", "newest"):
        wire.loses = _redis.ATTEMPTS
        with pytest.raises(StoreFailed):
            store.begin(name, ME)
    assert [store.begin(name, ME).name for name in ("older", "newest")] == ["older", "newest"]
    with pytest.raises(Taken):
        store.begin("oldest", ME)


def test_a_call_that_begins_while_redis_stands_still_goes_on(own_server, monkeypatch):
    monkeypatch.setattr(_redis, "TIMEOUT", 0.2)
    store = journals(own_server.url)
    # The first call's script is known to Redis, and the connection is there.
    store.begin("other", ME)
    own_server.stop()
    with pytest.raises(StoreFailed):
        store.begin("call", ME)
    own_server.go_on()
    patiently(store.begin, "call", ME).append(b"one\n")
    assert lines(store) == ["one\n"]


def test_a_full_redis_takes_no_lines_and_leaves_the_owner_its_journal(own_server):
    store, client = journals(own_server.url), own_server.client()
    journal = store.begin("call", ELSEWHERE)
    other = store.begin("other", ME)
    client.config_set("maxmemory", "1mb")  # noeviction, as is the default
    with pytest.raises(StoreFailed, match="maxmemory"):
        journal.append(b"one\n")
    with pytest.raises(StoreFailed, match="maxmemory"):
        store.begin("third", ME)
    grow_older(client, STILL_SECONDS)
    assert status(store).held == "dead"
    journal.beat()
    assert status(store).held == "held"
    other.end()
    assert status(store, "other").held == "ended"
    client.config_set("maxmemory", "0")
    journal.append(b"one\n")
    assert lines(store) == ["one\n"]


def test_a_call_goes_on_in_another_process_where_redis_is_full(own_server):
    store = journals(own_server.url)
    journal = store.begin("call", ME)
    journal.append(b"one\n")
    own_server.client().config_set("maxmemory", "1mb")
    store.ask("call", 1, "handover")
    assert journal.beat() == "handover"
    journal.release(b"of the first")
    assert store.may_dispatch("call", 1, 60)
    successor = store.take_over("call", ELSEWHERE)
    assert (successor.take_parting(), lines(store)) == (b"of the first", ["one\n"])
    grow_older(own_server.client(), HEAD_START + STILL_SECONDS)
    assert store.take_over("call", ME).number == 3


@pytest.fixture
def replica(own_server, tmp_path):
    """A server that has what the first one has, until it is told to stop."""
    options = ("--replicaof", "127.0.0.1", own_server.port)
    own_server.client().config_set("repl-diskless-sync-delay", 0)
    with RedisServer(tmp_path / "replica", *options) as replica:
        until_in_step(replica)
        yield replica


def until_in_step(replica):
    deadline = time.monotonic() + 60
    while replica.client().info("replication")["master_link_status"] != "up":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fail_over(server, replica):
    """Let another server come to the first one's address, with what the replica has. It is a
    replica itself until it is told otherwise."""
    server.kill()
    replica.client().execute_command("REPLICAOF", "NO", "ONE")
    replica.client().config_set("repl-diskless-sync-delay", 0)
    server.options = ("--replicaof", "127.0.0.1", replica.port)
    server.start()
    until_in_step(server)
    return server.client()


def test_the_server_that_takes_its_place_has_the_journal(own_server, replica):
    store = journals(own_server.url)
    journal = store.begin("call", ME)
    journal.append(b"one\n")
    own_server.client().execute_command("WAIT", 1, 60_000)
    client = fail_over(own_server, replica)
    until = time.monotonic() + 60
    said = ""
    while "is a replica" not in said:  # at first, the connection is gone
        assert time.monotonic() < until, said
        with pytest.raises(StoreFailed) as raised:
            journal.append(b"two\n")
        said = str(raised.value)
    client.execute_command("REPLICAOF", "NO", "ONE")
    journal.append(b"two\n")
    assert lines(store) == ["one\n", "two\n"]


def test_what_the_server_that_takes_its_place_has_not_heard_is_told_or_said_again(
    own_server, replica
):
    store = journals(own_server.url)
    store.begin("call", ELSEWHERE).release()
    own_server.client().execute_command("WAIT", 1, 60_000)
    replica.client().execute_command("REPLICAOF", "NO", "ONE")
    journal = store.take_over("call", ME)
    journal.append(b"one\n")
    fail_over(own_server, replica).execute_command("REPLICAOF", "NO", "ONE")
    patiently(journal.check)
    found = status(store)
    assert (found.number, found.holder, found.held) == (2, ME, "held"), (
        "the takeover is there again"
    )
    with pytest.raises(StoreFailed, match="lost 4 bytes"):
        journal.append(b"two\n")
    journal.append(b"two\n")
    assert lines(store) == ["two\n"]


def test_a_journal_is_gone_when_its_lifetime_is_over(place):
    store, client = journals(place, lifetime=100), Redis.from_url(place)
    journal = store.begin("call", ME)
    journal.append(b"one\n")

    def left():
        return {key: client.pttl(key) / 1000 for key in client.keys("{phonic-fsm}:call*")}

    assert len(left()) == 2
    assert all(3_500 < seconds <= 3_600 for seconds in left().values()), "if nobody ends it"
    journal.end()
    assert len(left()) == 2
    assert all(90 < seconds <= 100 for seconds in left().values())
    assert 0 <= status(store).beat_age < 10
    journals(place, lifetime=0).begin("other", ME).end()
    assert client.keys("{phonic-fsm}:other*") == []


def test_the_names_of_journals_that_are_gone_are_removed(store, place):
    client = Redis.from_url(place)
    for name in ("gone", "there"):
        store.begin(name, ME)
        store.begin(f"ended-{name}", ME).end()
    client.delete("{phonic-fsm}:gone", "{phonic-fsm}:ended-gone")
    assert [status.name for status in store.statuses()] == ["there"]
    store.remove_expired()
    assert client.smembers("{phonic-fsm}:") == {b"there"}
    assert client.smembers("{phonic-fsm}::ended") == {b"ended-there"}


def node_of_a_cluster(folder, certificate=None):
    """Reached over TLS if a certificate is given."""
    options: tuple[object, ...] = ()
    scheme, query = "redis", ""
    if certificate is not None:
        key = certificate.with_name("key.pem")
        options = ("--tls-cert-file", certificate, "--tls-key-file", key)
        options += ("--tls-auth-clients", "no", "--tls-ca-cert-file", certificate)
        options += ("--tls-cluster", "yes")
        scheme, query = "rediss", f"?ssl_ca_certs={certificate}"
    # The cluster's bus is at 10000 above the server's port otherwise, where there may be no port.
    options += ("--cluster-enabled", "yes", "--cluster-port", free_port())
    node = RedisServer(folder, *options, scheme=scheme)
    node.url += query
    return node


def meet(node, other):
    """Have two nodes know each other, as far as ``node`` can tell."""
    client, bus = node.client(), other.options[-1]
    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
    deadline = time.monotonic() + 60
    while name_of(other) not in str(client.execute_command("CLUSTER", "NODES")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def name_of(node):
    return node.client().execute_command("CLUSTER", "MYID").decode()


def test_any_node_of_a_cluster_leads_to_the_one_that_has_the_journals(tmp_path):
    with (
        node_of_a_cluster(tmp_path / "one") as one,
        node_of_a_cluster(tmp_path / "other") as other,
        node_of_a_cluster(tmp_path / "replica") as replica,
    ):
        meet(one, other)
        meet(other, replica)
        slot = one.client().execute_command("CLUSTER", "KEYSLOT", "{phonic-fsm}:")
        one.client().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, slot - 1, slot + 1, 16383)
        other.client().execute_command("CLUSTER", "ADDSLOTS", slot)
        store = journals(one.url)
        journal = patiently(store.begin, "call", ME)  # the cluster takes a moment to be there
        journal.append(b"one\n")
        assert (lines(store), status(store).held) == (["one\n"], "held")
        assert other.client().exists("{phonic-fsm}:call")
        assert store.may_dispatch("call", 1, 60)
        store.begin("ended", ME).end()
        store.remove_expired()
        assert status(store, "ended").held == "ended"

        meet(replica, other)
        replica.client().execute_command("CLUSTER", "REPLICATE", name_of(other))
        until_in_step(replica)
        other.client().execute_command("WAIT", 1, 60_000)
        other.kill()
        replica.client().execute_command("CLUSTER", "FAILOVER", "TAKEOVER")
        patiently(journal.append, b"two\n")
        assert lines(store) == ["one\n", "two\n"]


def test_while_a_cluster_moves_the_journals_it_is_said_and_nothing_is_lost(tmp_path, certificate):
    with (
        node_of_a_cluster(tmp_path / "one", certificate) as one,
        node_of_a_cluster(tmp_path / "other", certificate) as other,
    ):
        meet(one, other)
        slot = one.client().execute_command("CLUSTER", "KEYSLOT", "{phonic-fsm}:")
        one.client().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        store = journals(one.url)
        journal = patiently(store.begin, "call", ME)
        journal.append(b"one\n")

        def slot_is(node, *state):
            node.client().execute_command("CLUSTER", "SETSLOT", slot, *state)

        slot_is(other, "IMPORTING", name_of(one))
        slot_is(one, "MIGRATING", name_of(other))
        keys = one.client().execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
        move = ("MIGRATE", "127.0.0.1", other.port, "", 0, 5000, "KEYS")
        one.client().execute_command(*move, keys[0])
        with pytest.raises(StoreFailed, match="is a cluster that is moving the journals"):
            journal.append(b"two\n")
        one.client().execute_command(*move, *keys[1:])
        with pytest.raises(StoreFailed, match="is a cluster that is moving the journals"):
            journal.append(b"two\n")
        for node in (other, one):
            slot_is(node, "NODE", name_of(other))
        journal.append(b"two\n")
        assert lines(store) == ["one\n", "two\n"]


@pytest.mark.parametrize(
    "address",
    [
        "redis://:secret@127.0.0.1:port/0",
        "redis://:sec/ret@127.0.0.1:6379",
        "redis://[::1",
        "redis://127.0.0.1?secret=secret",
        "redis://127.0.0.1?db=secret",
        "rediss://127.0.0.1?ssl_cert_reqs=secret",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(address):
    with pytest.raises(ValueError, match="the address of Redis cannot be read") as raised:
        journals(address)
    assert "sec" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_wrong_password_is_told_without_it(tmp_path):
    with RedisServer(tmp_path / "redis", "--requirepass", "right") as server:
        journals(server.url.replace("//", "//:right@")).begin("call", ME)
        store = journals(server.url.replace("//", "//:secret@"))
        with pytest.raises(StoreFailed, match="password") as raised:
            store.begin("other", ME)
    assert "secret" not in str(raised.value)


def test_a_journal_goes_over_tls(tmp_path, certificate):
    key = certificate.with_name("key.pem")
    options = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no")
    with RedisServer(tmp_path / "tls", *options, scheme="rediss") as server:
        with pytest.raises(StoreFailed, match="certificate"):
            journals(server.url).begin("call", ME)
        store = journals(f"{server.url}?ssl_ca_certs={certificate}")
        store.begin("call", ME).append(b"one\n")
        assert lines(store) == ["one\n"]


def test_without_the_client_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "phonic_fsm.durable._redis", raising=False)
    with pytest.raises(ValueError, match=r"install phonic-fsm\[redis\]"):
        journals("redis://127.0.0.1")
