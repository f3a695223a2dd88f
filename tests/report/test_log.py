"""The log of the process, on the page of a call."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest
from livekit.agents.cli.log import JsonFormatter
from support.commands import assert_is_one_line_and_exit_2, run
from support.written_traces import caller, opening, write

from phonic_fsm._report.log import LONGEST_TEXT, MOST_LINES, Log

STARTED = "2026-01-01T00:00:00.500Z"


def lines(path: Path, text: str, *, seconds: float = 60.0) -> list[tuple[float, str, str]]:
    file = path / "agent.log"
    file.write_text(text, encoding="utf-8")
    return [(one.at, one.level, one.text) for one in Log(file).beside(STARTED, seconds)]


def test_livekits_own_json_lines_are_read(tmp_path):
    record = logging.LogRecord("my.agent", logging.WARNING, __file__, 1, "slow: %d", (7,), None)
    record.created = 1767225602.75
    text = JsonFormatter().format(record)
    assert lines(tmp_path, text) == [(2.25, "warning", "my.agent: slow: 7")]


@pytest.mark.parametrize(
    ("text", "level", "said"),
    [
        ("2026-01-01 00:00:02.750Z ERROR it broke", "error", "ERROR it broke"),
        ("2026-01-01T01:00:02,750+01:00 - WARN - slow", "warning", "WARN - slow"),
        ("[2026-01-01 00:00:02.750 UTC] hello", "", "hello"),
        ("\x1b[32mINFO\x1b[0m 2026-01-01 00:00:02.750Z hello", "info", "INFO  hello"),
        ('{"time": 1767225602750, "severity": "INFO", "msg": "hello"}', "info", "hello"),
        ('{"ts": 1767225602.75, "event": "hello"}', "", "hello"),
    ],
)
def test_most_timestamps_are_understood(text, level, said, tmp_path):
    assert lines(tmp_path, text) == [(2.25, level, said)]


def test_a_timestamp_without_a_zone_is_in_this_machines_time(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    try:
        assert lines(tmp_path, "2026-01-01 01:00:02.750 hello") == [(2.25, "", "hello")]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_traceback_belongs_to_its_line(tmp_path):
    text = (
        "2026-01-01 00:00:02.5Z ERROR oh\nTraceback:\n  ValueError\n2026-01-01 00:00:03.5Z next\n"
    )
    assert lines(tmp_path, text) == [
        (2.0, "error", "ERROR oh\nTraceback:\n  ValueError"),
        (3.0, "", "next"),
    ]


def test_only_the_time_of_the_call_counts(tmp_path):
    text = "\n".join(f"2026-01-01 00:0{minute}:00Z line {minute}" for minute in range(6))
    assert [at for at, *_ in lines(tmp_path, text, seconds=121.0)] == [-0.5, 59.5, 119.5]


def test_what_a_page_can_hold_is_bounded(tmp_path):
    text = "2026-01-01 00:00:02Z x\n" * (MOST_LINES + 5) + "y" * 100 * LONGEST_TEXT
    found = lines(tmp_path, text)
    assert len(found) == MOST_LINES
    assert max(len(said) for *_, said in found) <= LONGEST_TEXT


# -- the command ---------------------------------------------------------------------------------


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return write(tmp_path / "call.jsonl", [*opening(), *caller(2.0, 3.0)], close=9.0)


def test_the_page_has_the_lines_of_the_call(trace, tmp_path):
    log = tmp_path / "agent.log"
    log.write_text("2026-01-01 00:00:02.5Z WARNING <b>slow</b>\n2027-01-01 00:00:02Z other\n")
    page = tmp_path / "call.html"
    assert run("report", trace, "--out", page, "--log", log).returncode == 0
    data = page.read_text().partition('id="data">')[2].partition("</script>")[0]
    [line] = json.loads(data)["log"]
    assert line == {"at": 2.5, "level": "warning", "text": "WARNING <b>slow</b>"}


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), ("hello\n", "no line has a date and a time")],
)
def test_a_log_that_cannot_be_read_is_one_line(content, says, trace, tmp_path):
    log = tmp_path / "agent.log"
    if content is not None:
        log.write_text(content)
    result = run("report", trace, "--out", tmp_path / "call.html", "--log", log)
    assert_is_one_line_and_exit_2(result, says=says)
