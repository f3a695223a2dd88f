"""Stores of journals, and processes that own them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from redis import Redis
from support.owners import Owner, owners
from support.redis_server import RedisServer

from phonic_fsm.durable import Journals, journals
from phonic_fsm.durable._redis import key


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests that leave it as it is."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "journals")


@pytest.fixture
def redis(redis_server: RedisServer) -> str:
    """The address of an empty Redis."""
    redis_server.client().flushall()
    return redis_server.url


@pytest.fixture(params=["directory", "redis"])
def place(request: pytest.FixtureRequest) -> str:
    """Where the journals are: in each of the stores."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def store(place: str) -> Journals:
    return journals(place)


@pytest.fixture
def let_pass(place: str) -> Callable[[float], None]:
    """Makes as if so many seconds had passed for the journal ``call``."""

    def in_a_directory(seconds: float) -> None:
        folder = Path(place) / "call"
        lock, lease = folder / "lock", folder / "lease"
        beaten = lock.stat().st_mtime - seconds
        os.utime(lock, (beaten, beaten))
        held = msgspec.json.decode(lease.read_bytes())
        new = folder / "older"
        new.write_bytes(msgspec.json.encode(held | {"since": held["since"] - seconds}))
        new.replace(lease)

    def in_redis(seconds: float) -> None:
        with Redis.from_url(place) as client:
            grow_older(client, seconds)

    return in_redis if place.startswith("redis") else in_a_directory


def grow_older(client: Redis, seconds: float) -> None:
    """Make as if so many seconds had passed for the journal ``call`` in this Redis."""
    left = client.pttl(key("call"))
    most = str(client.config_get("maxmemory")["maxmemory"])
    client.config_set("maxmemory", 0)  # it may be full
    client.hincrbyfloat(key("call"), "since", -seconds)
    client.config_set("maxmemory", most)
    client.pexpire(key("call"), int(left - seconds * 1000))


@pytest.fixture
def own(place: str) -> Iterator[Callable[..., Owner]]:
    """Starts a process: ``own("begin", "call")``."""
    with owners(place) as own:
        yield own
