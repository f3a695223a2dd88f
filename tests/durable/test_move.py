"""``phonic-fsm move``: what it says. How a call moves is in tests/room."""

from __future__ import annotations

from support import commands
from support.commands import assert_is_one_line_and_exit_2

from phonic_fsm.durable import journals
from phonic_fsm.durable._process import this_process


def test_it_asks_the_process_that_has_the_call(tmp_path):
    place = tmp_path / "journals"
    journal = journals(place).begin("call", this_process(room="lobby"))
    result = commands.run("move", "lobby", place)
    assert result.returncode == 0, result.stderr
    assert journal.beat() == "move"


def test_what_it_cannot_do_is_one_line(tmp_path):
    place = tmp_path / "journals"
    ended = journals(place).begin("call", this_process(room="lobby"))
    ended.end()
    for room in ("lobby", "elsewhere"):
        says = f"no process has a call in room {room}"
        assert_is_one_line_and_exit_2(commands.run("move", room, place), says=says)
    result = commands.run("move", "lobby", "http://:secret@host/")
    assert_is_one_line_and_exit_2(result, says="in redis:// or rediss://")
    assert "secret" not in result.stderr
