"""Stores of journals, and processes that own them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.owners import Owner, owners
from support.redis_server import RedisServer

from phonic_fsm.durable import Journals, journals


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
def own(place: str) -> Iterator[Callable[..., Owner]]:
    """Starts a process: ``own("begin", "call")``."""
    with owners(place) as own:
        yield own
