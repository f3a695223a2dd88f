"""A command that a test runs in its own process begins as in a process of its own."""

from __future__ import annotations

import socket

import pytest
from support.commands import assert_is_one_line_and_exit_2, run


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def lives_in_a_loop(anyio_backend):
    yield  # noqa: PT022 - it lives until the last test has ended


def test_it_may_run_an_event_loop_while_an_async_fixture_has_one(lives_in_a_loop, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("watch", tmp_path, "--port", port)
    assert_is_one_line_and_exit_2(result, says=f":{port}: ")
