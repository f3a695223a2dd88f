"""``phonic-fsm watch redis://…``: a fleet's calls, from the journals that real processes own."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.commands import assert_is_one_line_and_exit_2, run_process, start
from support.owners import owners
from support.redis_server import RedisServer
from support.written_traces import assistant, caller, opening, write

from phonic_fsm._report.rules import RULES
from phonic_fsm._watch.calls import Calls
from phonic_fsm._watch.fleet import Fleet
from phonic_fsm.durable._redis import RedisJournals


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    with RedisServer(tmp_path / "redis") as server:
        yield server.url


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """A call: the caller has asked and been answered, and nothing more has come."""
    path = tmp_path / "call.jsonl"
    write(path, [*opening(), *caller(2.0, 3.0), *assistant(3.5, "Hi.")])
    return path.read_text().splitlines()


def test_each_running_call_stands_in_the_index_with_its_worker(redis, lines):
    with owners(redis) as own:
        one = own("begin", "one.job")
        assert one.said() == "1"
        calls = Calls(Fleet(RedisJournals(redis)), RULES)
        assert calls.look()
        assert calls.rows() == {}, "its header is about to be written"
        for line in lines[:2]:
            assert one.do(f"append {line}") == "done"
        assert calls.look()
        row = calls.rows()["one.job"]
        assert (row.life, row.state) == ("running", "connecting")
        assert row.worker == f"{holder(redis)}, process {one.pid}"
        for line in lines[2:]:
            assert one.do(f"append {line}") == "done"
        assert calls.look()
        after = calls.rows()["one.job"]
        assert (after.life, after.state) == ("running", "ready")
        assert after.since > row.since
        assert calls.look()
        assert calls.rows()["one.job"] is after, "nothing has come, so nothing is read"
        one.kill()
        assert calls.look()
        assert calls.rows()["one.job"].life == "killed"
        other = own("take_over", "one.job")
        assert other.said() == "2"
        last = lines[-1].replace(f'"seq":{len(lines) - 1},', f'"seq":{len(lines)},')
        assert other.do(f"append {last}") == "done"
        assert calls.look()
        taken = calls.rows()["one.job"]
        assert (taken.life, taken.worker) == ("running", f"{holder(redis)}, process {other.pid}")


def holder(redis: str) -> str:
    [status] = RedisJournals(redis).statuses(ended=True)
    return status.holder.host


def test_a_redis_that_fails_leaves_the_calls_as_they_were(tmp_path, lines, caplog):
    with RedisServer(tmp_path / "own") as server, owners(server.url) as own:
        one = own("begin", "one.job")
        assert one.said() == "1"
        for line in lines:
            assert one.do(f"append {line}") == "done"
        calls = Calls(Fleet(RedisJournals(server.url)), RULES)
        calls.look()
        before = calls.rows()
        server.kill()
        calls.look()
        calls.look()
        assert calls.rows() == before
        assert len(caplog.records) == 1
        assert "as they were seen last" in caplog.text


def test_the_index_and_the_page_of_a_fleets_call(redis, lines, browser: Browser):
    with owners(redis) as own, start("watch", redis, "--port", 0) as process:
        one = own("begin", "one.job")
        assert one.said() == "1"
        for line in lines:
            assert one.do(f"append {line}") == "done"
        line = process.stdout.readline()
        assert "Redis at 127.0.0.1" in line
        found = re.search(r"http://\S+/", line)
        assert found is not None
        page = browser.new_page()
        page.goto(found.group())
        expect(page.locator(".standing.running")).to_contain_text(f"process {one.pid})")
        page.get_by_role("link", name="one.job").click()
        expect(page.locator("body")).to_contain_text("Hi.")
        page.close()


def test_a_redis_that_is_not_there_is_named_without_its_password():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        result = run_process("watch", f"redis://user:hidden@127.0.0.1:{port}/0")
    assert_is_one_line_and_exit_2(result, says=f"Redis at 127.0.0.1:{port}")
    assert "hidden" not in result.stderr
