"""``phonic-fsm diff``: how a difference is told, and the exit codes."""

from __future__ import annotations

import pytest
from support.commands import assert_is_one_line_and_exit_2, run
from support.record_traces import TRACES
from support.written_traces import assistant, caller, opening, tool, write

from phonic_fsm._wire.server import Dtmf

TRACE = TRACES / "tool_call.jsonl"


@pytest.fixture
def traces(tmp_path):
    told = [*opening(), *caller(2.0, 3.0, "Hello"), *assistant(4.0, "Hi.")]
    other = [*opening("conv_2"), (1.0, Dtmf("5")), *caller(2.0, 3.0, "Hi"), *assistant(4.0, "Hi.")]
    return write(tmp_path / "a.jsonl", told), write(tmp_path / "b.jsonl", other, seed="other")


def test_alike_is_exit_0(traces):
    for arguments in ((TRACE,), (TRACE, TRACE), (traces[0], traces[0])):
        result = run("diff", *arguments)
        assert (result.returncode, result.stdout) == (0, "no step differs\n")


def test_every_differing_step_is_told(traces):
    result = run("diff", *traces)
    assert result.returncode == 1
    text = result.stdout
    assert '+     6     1.000  dtmf digits="5"' in text
    assert '      8     3.000  input_text text="Hello" language="en"' in text
    assert "step 9 of the other" in text
    assert 'event.text - "Hello"' in text
    assert '           + "Hi"' in text
    assert text.splitlines()[-1] == "2 steps differ, the first at step 6"


def test_the_machine_is_compared_where_there_is_one_trace(tmp_path):
    path = tmp_path / "changed.jsonl"
    path.write_text(TRACE.read_text().replace('"to":"tool_pending"', '"to":"\\u001b[2J"', 1))
    result = run("diff", path)
    assert result.returncode == 1
    assert "\x1b" not in result.stdout
    assert 'to - "\\u001b[2J"' in result.stdout
    assert result.stdout.splitlines()[-1] == "1 step differs, the first at step 6"


def test_what_two_long_texts_begin_with_alike_is_left_out(tmp_path):
    same = "word " * 50
    paths = [
        write(tmp_path / f"{end}.jsonl", [*opening(), *caller(2.0, 3.0, same + end)])
        for end in ("this", "that")
    ]
    cut = run("diff", *paths).stdout
    assert 'word word word this"' in cut
    assert same not in cut
    assert same in run("diff", *paths, "--full").stdout


@pytest.mark.parametrize("arguments", [("nowhere.jsonl",), (TRACE, "nowhere.jsonl")])
def test_what_cannot_be_read_is_exit_2(arguments):
    assert_is_one_line_and_exit_2(run("diff", *arguments), says="nowhere.jsonl: No such file")


@pytest.fixture
def fast_and_slow(tmp_path):
    def call(seconds):
        return [
            *opening(),
            *caller(2.0, 3.0, "How is the weather?"),
            *tool(3.2, 3.2 + seconds),
            *assistant(3.4 + seconds, "It is sunny."),
        ]

    return write(tmp_path / "fast.jsonl", call(0.8)), write(tmp_path / "slow.jsonl", call(6.0))


def test_times_differ_only_where_they_are_asked_for(fast_and_slow):
    assert run("diff", *fast_and_slow).returncode == 0
    result = run("diff", *fast_and_slow, "--times")
    assert result.returncode == 1
    assert "get_weather - 800 ms" in result.stdout
    assert "            + 6.0 s" in result.stdout
    assert run("diff", fast_and_slow[0], fast_and_slow[0], "--times").returncode == 0


def test_a_page_is_written_in_place_of_the_lines(fast_and_slow, tmp_path):
    page = tmp_path / "page.html"
    result = run("diff", *fast_and_slow, "--times", "--html", page)
    assert (result.returncode, result.stderr) == (1, "")
    (line,) = result.stdout.splitlines()
    assert line == f"2 steps differ, the first at step 7; see {page}"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run("diff", TRACE, "--html", page).returncode == 0, "an older page is replaced"


def test_a_page_takes_the_place_of_nothing_else(fast_and_slow):
    fast, slow = fast_and_slow
    before = slow.read_bytes()
    result = run("diff", fast, slow, "--html", slow)
    assert_is_one_line_and_exit_2(result, says="is there and is no page")
    assert slow.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--times",), "--times needs two traces"),
        (("--html", "page.html", "--full"), "--html cannot be used with --full"),
    ],
)
def test_what_cannot_be_asked_for_together_is_exit_2(arguments, says):
    assert_is_one_line_and_exit_2(run("diff", TRACE, *arguments), says=says)
