"""``phonic-fsm replay``: what of a trace is shown, step by step, in a terminal and into a pipe."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support import processes
from support.commands import PHONIC_FSM, assert_is_one_line_and_exit_2, run, start
from support.processes import LONGEST
from support.record_traces import TRACES
from support.written_traces import assistant, caller, opening, tool, write

from phonic_fsm._cli.painter import COLOURS
from phonic_fsm._core.events import Interrupt
from phonic_fsm.trace._follow import GrowingTrace, follow
from phonic_fsm.trace._kinds import KINDS
from phonic_fsm.trace._reader import TraceReader

TRACE = TRACES / "tool_call.jsonl"
WORDS = ("It ", "is ", "sunny.")


@pytest.fixture
def call(tmp_path: Path) -> Path:
    told = [*opening(), *caller(2.0, 3.0), *tool(3.2, 7.2), *assistant(7.5, *WORDS)]
    return write(tmp_path / "call.jsonl", told, close=8.0)


def steps_of(text: str) -> list[str]:
    """The lines that tell a step, from its number on."""
    return [line.strip() for line in text.splitlines() if re.match(r" *\d+ +\d+\.\d{3}  ", line)]


def test_it_says_identical():
    result = run("replay", TRACE)
    assert result.returncode == 0, result.stderr
    steps = len(TRACE.read_text().splitlines()) - 1
    assert result.stdout.splitlines()[-1] == f"identical: {steps} steps replayed"
    assert "tool_pending → speaking" in result.stdout


def test_it_shows_the_first_difference(tmp_path):
    path = tmp_path / "changed.jsonl"
    path.write_text(TRACE.read_text().replace('"to":"tool_pending"', '"to":"ready"', 1))
    result = run("replay", path)
    assert result.returncode == 1
    diverged, expected, got = result.stdout.splitlines()[-3:]
    assert diverged.startswith("diverged at step")
    assert expected.split() == ["expected", '"ready"']
    assert got.split() == ["got", '"tool_pending"']


def test_it_refuses_a_binary_file(tmp_path):
    path = tmp_path / "binary"
    path.write_bytes(bytes(range(256)) * 20)
    assert_is_one_line_and_exit_2(run("replay", path), says="not a trace's header")


def test_it_as_json_is_json_to_the_last_line():
    lines = [json.loads(line) for line in run("replay", TRACE, "--json").stdout.splitlines()]
    *steps, verdict = lines
    assert [step["seq"] for step in steps] == list(range(1, len(steps) + 1))
    assert all(step["identical"] for step in steps)
    assert verdict["end"]["by"] == "unknown"
    del verdict["end"]
    assert verdict == {"verdict": "identical", "steps": len(steps), "findings": []}


def test_nothing_in_a_trace_reaches_the_terminal_as_a_control_sequence(tmp_path):
    path = tmp_path / "hostile.jsonl"
    hostile = TRACE.read_text().replace("It is sunny.", "\\u001b[2J\\u0007\\u202e")
    path.write_text(hostile)
    for result in (run("replay", path), run("replay", path, "--json")):
        assert result.returncode == 0
        assert not set("\x1b\x07\u202e") & set(result.stdout)


def test_it_loads_nothing_that_it_does_not_need():
    heavy = ("livekit", "phonic", "websockets", "numpy", "rich.layout", "phonic_fsm._report.page")
    code = (
        "import sys, phonic_fsm._cli.replay;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert processes.run(sys.executable, "-c", code).stdout.strip() == "[]"


def test_audio_chunks_in_a_row_are_one_line(call):
    result = run("replay", call)
    assert result.returncode == 0
    (run_of_audio,) = [line for line in result.stdout.splitlines() if "×" in line]
    assert run_of_audio.split("  ")[-3:] == ["× 3 audio chunks, 0.06 s", "It is sunny.", "speaking"]
    assert result.stdout.splitlines()[-1] == "identical: 17 steps replayed"


@pytest.mark.parametrize("option", ["--all", "--only=audio"])
def test_each_audio_chunk_can_be_seen(option, call):
    text = run("replay", call, option).stdout
    assert "×" not in text
    assert text.count("  audio_chunk ") == 3


def test_audio_that_is_not_played_is_a_run_of_its_own(tmp_path):
    begun = assistant(1.0, "One ", "two ", "three ", "four.")
    told = [*opening(), *begun[:3], (1.1, Interrupt()), *begun[3:]]
    text = run("replay", write(tmp_path / "call.jsonl", told)).stdout
    assert "× 2 audio chunks, 0.04 s  One two" in text
    assert "× 2 audio chunks, 0.04 s, not played  three four." in text


def test_a_long_silence_is_a_line(call):
    assert "4.0 s without a step" in run("replay", call).stdout
    assert "1.0 s without a step" not in run("replay", call).stdout


def test_only_the_chosen_kinds_are_shown_and_runs_of_others_counted(call):
    text = run("replay", call, "--only", "tool").stdout
    assert [line.split()[2] for line in steps_of(text)] == [
        "tool_call",
        "update_chat_ctx",
        "tool_call_output_processed",
    ]
    assert [line.strip() for line in text.splitlines() if "…" in line and "steps, " in line] == [
        "… 8 steps, 3.00 s",
        "… 6 steps, 0.50 s",
    ]
    assert text.splitlines()[-1] == "identical: 17 steps replayed"


def test_several_kinds_are_repeated_or_listed(call):
    repeated = run("replay", call, "--only", "tool", "--only", "state").stdout
    assert run("replay", call, "--only", "tool,state").stdout == repeated
    assert len(steps_of(repeated)) > len(steps_of(run("replay", call, "--only", "tool").stdout))


def test_only_holds_for_json_too(call):
    lines = [
        json.loads(line)
        for line in run("replay", call, "--only", "tool", "--json").stdout.splitlines()
    ]
    assert [line["seq"] for line in lines[:-1]] == [9, 10, 11]
    assert lines[-1]["verdict"] == "identical"
    assert lines[-1]["steps"] == 17


def test_an_unknown_kind_is_refused_with_those_there_are(call):
    result = run("replay", call, "--only", "tool,noise")
    assert_is_one_line_and_exit_2(result, says=f"no kind 'noise': there are {', '.join(KINDS)}")


def test_every_kind_has_a_colour():
    assert set(COLOURS) == set(KINDS)


def test_the_help_names_every_kind():
    text = " ".join(run("replay", "--help", columns=200).stdout.split())
    assert ", ".join(KINDS) in text


def test_until_stops_at_a_step(call):
    result = run("replay", call, "--until", 5)
    assert result.returncode == 0
    assert len(steps_of(result.stdout)) == 5
    assert result.stdout.splitlines()[-1] == "identical: 5 steps replayed; stopped there, in ready"
    assert "17 steps replayed" in run("replay", call, "--until", 99).stdout
    assert_is_one_line_and_exit_2(run("replay", call, "--until", 0), says="--until")


@pytest.mark.parametrize("columns", [60, 100])
def test_lines_are_cut_at_the_terminals_width_or_whole(columns, tmp_path):
    text = "说" * 100 + "完"
    path = write(tmp_path / "call.jsonl", [*opening(), *caller(2.0, 3.0, text)], close=4.0)
    cut = run("replay", path, columns=columns).stdout
    # A Chinese character takes two columns.
    widths = [len(line) + len(re.findall("说", line)) for line in cut.splitlines()[:-2]]
    assert max(widths) in (columns - 1, columns)
    assert "完" not in cut
    assert all(line.endswith("ready") for line in steps_of(cut) if "input_text" in line)
    assert run("replay", path, "--full", columns=columns).stdout.count(text) == 3


def test_colour_is_for_terminals_and_can_be_refused(call):
    assert "\x1b" not in run("replay", call).stdout
    assert "\x1b[35m" in run("replay", call, FORCE_COLOR="1", TERM="xterm").stdout
    plain = run("replay", call, FORCE_COLOR="1", TERM="xterm", NO_COLOR="1").stdout
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain)


def test_hostile_states_reach_no_terminal(tmp_path):
    path = tmp_path / "hostile.jsonl"
    path.write_text(TRACE.read_text().replace('"to":"tool_pending"', '"to":"\\u001b[2J"'))
    for options in ([], ["--full"], ["--only", "tool"], ["--json"]):
        result = run("replay", path, *options)
        assert result.returncode == 1
        assert "\x1b" not in result.stdout


@pytest.mark.parametrize("depth", [100, 700, 5_000])
def test_deep_values_are_shown_or_refused(depth, tmp_path):
    nested = TRACE.read_text().replace('"city":"Paris"', '"city":' + "[" * depth + "]" * depth, 1)
    path = tmp_path / "deep.jsonl"
    path.write_text(nested)
    for command in (["replay"], ["replay", "--full"], ["diff"], ["stats"]):
        result = run(*command, path)
        assert len(result.stderr.splitlines()) == (result.returncode == 2), result.stderr


def test_what_comes_before_the_end_of_a_cut_off_trace_is_shown(tmp_path, call):
    path = tmp_path / "cut.jsonl"
    path.write_bytes(b"".join(call.read_bytes().splitlines(keepends=True)[:-2])[:-9])
    result = run("replay", path)
    assert result.returncode == 2
    assert "× 2 audio chunks" in result.stdout
    assert len(result.stderr.splitlines()) == 1
    assert "is cut off" in result.stderr


def test_whoever_reads_the_beginning_alone_hears_no_complaint(tmp_path):
    told = [*opening(), *assistant(1.0, *["word "] * 5000)]
    path = write(tmp_path / "call.jsonl", told)
    with start("replay", "--all", "--full", path) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        process.wait(LONGEST)


# -- a session that still runs -------------------------------------------------------------------


def wait_for_line(process: subprocess.Popen[str], part: str) -> None:
    for line in process.stdout:
        if part in line:
            return
    pytest.fail(f"it ended without {part}")


def test_follow_shows_steps_as_they_are_written_and_ends_with_the_session(call, tmp_path):
    text = call.read_bytes()
    half = text.index(b'"seq":9,') + 5
    growing = tmp_path / "growing.jsonl"
    growing.write_bytes(text[:half])
    with start("replay", "--follow", growing) as process:
        wait_for_line(process, "input_text")
        with growing.open("ab") as file:
            file.write(text[half:])
        rest, errors = process.communicate(timeout=LONGEST)
    assert (process.returncode, errors) == (0, "")
    assert rest.splitlines()[-1] == "identical: 17 steps replayed"


def test_ctrl_c_ends_following(call, tmp_path):
    growing = tmp_path / "growing.jsonl"
    growing.write_bytes(call.read_bytes()[:-30])
    with start("replay", "--follow", growing) as process:
        wait_for_line(process, "input_text")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LONGEST)
    assert (process.returncode, errors) == (130, "")


def test_following_gives_what_reading_gives(call):
    lines = [line for line in follow(GrowingTrace(call)) if line is not None]
    assert lines == list(TraceReader(call))


def test_a_compressed_trace_is_followed_up_to_what_was_flushed(call, tmp_path):
    lines = call.read_bytes().splitlines(keepends=True)
    packed = tmp_path / "call.jsonl.gz"
    compressor = zlib.compressobj(wbits=31)
    part = compressor.compress(b"".join(lines[:8])) + compressor.flush(zlib.Z_SYNC_FLUSH)
    packed.write_bytes(part)
    growing = GrowingTrace(packed)
    assert [line.seq for line in growing.more()] == list(range(1, 8))
    assert list(growing.more()) == []
    with packed.open("ab") as file:
        file.write(compressor.compress(b"".join(lines[8:])) + compressor.flush())
    assert [line.seq for line in growing.more()] == list(range(8, 18))


def test_what_cannot_be_followed_is_refused(tmp_path):
    result = run("replay", "--follow", tmp_path / "nowhere.jsonl")
    assert_is_one_line_and_exit_2(result, says="No such file")


def hung(call: Path, steps: int, seconds: float) -> Path:
    """A trace of which so many steps were written, and nothing for so many seconds."""
    path = call.with_name("hung.jsonl")
    path.write_bytes(b"".join(call.read_bytes().splitlines(keepends=True)[: steps + 1]))
    ago = time.time() - seconds
    os.utime(path, (ago, ago))
    return path


@pytest.mark.parametrize(
    ("steps", "seconds", "state_and_time", "waits_for"),
    [
        (1, 4, "connecting, waits since 0.000", "a connection to Phonic"),
        (8, 4, "ready, waits since 3.000", "Phonic's answer"),
        (9, 4, "tool_pending, waits since 3.200", "the output of get_weather"),
        (13, 4, "speaking, waits since 7.600", "the rest of the answer"),
        (16, 12, "ready, waits since 7.700", "the caller to speak"),
    ],
)
def test_following_says_a_hang_while_it_lasts(steps, seconds, state_and_time, waits_for, call):
    with start("replay", "--follow", "--full", hung(call, steps, seconds)) as process:
        line = next(line for line in process.stdout if "waits since" in line)
    assert f"in {state_and_time}, " in line
    assert line.endswith(f" for {waits_for}; no process writes this trace any more\n")


def test_a_hang_is_told_as_json(call):
    with start("replay", "--follow", "--json", hung(call, 9, 30)) as process:
        told = next(told for line in process.stdout if "waits_for" in (told := json.loads(line)))
    assert told.pop("seconds") >= 30
    assert told == {
        "waits_for": "the output of get_weather",
        "since": 3.2,
        "state": "tool_pending",
        "is_written": False,
    }


# -- step by step --------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["--follow", "--json"])
def test_step_goes_alone(other, call):
    assert_is_one_line_and_exit_2(
        run("replay", call, "--step", other), says=f"--step cannot be used with {other}"
    )


def test_step_needs_a_terminal(call):
    assert_is_one_line_and_exit_2(run("replay", call, "--step"), says="--step needs a terminal")


class Terminal:
    """The keyboard and the screen of a ``phonic-fsm replay --step``."""

    def __init__(self, keyboard: int, process: subprocess.Popen[str]) -> None:
        self._keyboard = keyboard
        self.process = process

    def press(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def page(self, present: str) -> list[str]:
        """The next page on which that is told under the line, without the lines above."""
        seen = b""
        while not re.search(rf"─\s+{re.escape(present)}.*quit", plain(seen), re.DOTALL):
            assert select.select([self._keyboard], [], [], LONGEST)[0], plain(seen)
            seen += os.read(self._keyboard, 65536)
        return plain(seen).rsplit("─", 1)[1].split("\n")

    def exit_code(self) -> int:
        # Linux refuses to read from a terminal that its last process has left.
        with suppress(OSError):
            while os.read(self._keyboard, 65536):
                pass
        return self.process.wait(LONGEST)


@contextmanager
def stepping(*arguments: object) -> Iterator[Terminal]:
    import pty

    keyboard, terminal = pty.openpty()
    with processes.running(
        *(*PHONIC_FSM, "replay", "--step", *arguments),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={"TERM": "xterm", "COLUMNS": "80", "LINES": "30", "NO_COLOR": "1"},
    ) as process:
        os.close(terminal)
        yield Terminal(keyboard, process)
    os.close(keyboard)


def plain(screen: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", screen.decode(errors="replace"))


with_a_terminal = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no pseudo-terminals"
)


@with_a_terminal
def test_stepping_goes_forward_and_back_and_quits(call):
    with stepping(call) as terminal:
        terminal.page("1     0.000  open")
        terminal.press("\r")
        page = terminal.page("2     0.100  update_session")
        assert any("update_session" in line for line in page)
        for key, present in [
            ("\x1b[C", "3     0.200  connection_opened"),
            ("n", "4     0.400  conversation_created"),
            ("\x1b[D", "3     0.200  connection_opened"),
            ("\x1b[F", "17     8.000  close"),
            ("p", "16     7.700  assistant_finished_speaking"),
            ("p", "13     7.600  × 3 audio chunks"),
            ("\x1b[H", "1     0.000  open"),
        ]:
            terminal.press(key)
            terminal.page(present)
        terminal.press("q")
        assert terminal.exit_code() == 0


@with_a_terminal
def test_stepping_begins_where_it_is_told_and_tells_a_difference(tmp_path):
    path = tmp_path / "changed.jsonl"
    path.write_text(TRACE.read_text().replace('"to":"tool_pending"', '"to":"ready"', 1))
    with stepping(path, "--until", 6) as terminal:
        page = "\n".join(terminal.page("6     "))
        assert "diverged at step 6, to:" in page
        assert 'expected  "ready"' in page
        terminal.press("q")
        assert terminal.exit_code() == 1


@with_a_terminal
def test_one_can_go_on_from_where_one_was_put(call):
    with stepping(call, "--until", 9) as terminal:
        terminal.page("9     3.200  tool_call")
        terminal.press("\r")
        page = terminal.page("4.0 s without a step")
        assert any(line.startswith("   10     7.200  update_chat_ctx") for line in page)
        terminal.press("q")
        assert terminal.exit_code() == 0


@with_a_terminal
def test_ctrl_c_ends_stepping(call):
    with stepping(call) as terminal:
        terminal.page("1     0.000  open")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.exit_code() == 130


# -- what stands out -----------------------------------------------------------------------------


@pytest.fixture
def late(tmp_path):
    """A call that is answered 5 s late."""
    told = [*opening(), *caller(2.0, 3.0), *assistant(8.0, "Hi.")]
    return write(tmp_path / "late.jsonl", told, close=9.0)


def test_it_says_what_stands_out_and_why(late):
    *_, finding, sentence, _, verdict = run("replay", late, "--only", "error").stdout.splitlines()
    assert finding == (
        "error at 3.000 s, step 7: Phonic did not answer for 5.0 s: 5.1 s of silence"
    )
    assert sentence.startswith("    Nobody was heard for 5.1 s while the caller waited")
    assert verdict.startswith("identical")


def test_nothing_is_said_of_a_part_of_a_call(late):
    assert "silence" not in run("replay", late, "--until", 6).stdout


def test_a_script_learns_what_stands_out(late):
    verdict = json.loads(run("replay", late, "--json").stdout.splitlines()[-1])
    [finding] = verdict["findings"]
    assert (finding["rule"], finding["severity"], finding["step"]) == ("silence", "error", 7)


@pytest.mark.parametrize("json_too", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(
    ("fail_on", "code"), [(None, 0), ("error", 1), ("warning", 1), ("note", 1)]
)
def test_it_fails_on_what_it_is_told_to(fail_on, code, json_too, late):
    options = [*json_too, *(("--fail-on", fail_on) if fail_on else ())]
    assert run("replay", late, *options).returncode == code
    assert run("stats", late, *options).returncode == code


@pytest.mark.parametrize("command", ["replay", "stats"])
def test_a_threshold_decides_what_stands_out(command, late):
    patient = ("--threshold", "silence.waiting=6", "--threshold", "silence.turn=inf")
    assert run(command, late, *patient, "--fail-on", "note").returncode == 0


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("silence.waiting", "no RULE.NAME=VALUE; silence has waiting, tool, turn"),
        ("silence.patience=3", "no RULE.NAME=VALUE; silence has waiting, tool, turn"),
        ("outage.seconds=3", "no RULE.NAME=VALUE; outage has no threshold"),
        ("silense.waiting=3", "the rules are silence, "),
        ("silence.waiting=long", "waiting takes a number"),
        ("silence.waiting=-1", "waiting takes a number >= 0"),
        ("many-interruptions.times=2.5", "times takes a whole number"),
        ("echo.share=nan", "share takes a number"),
    ],
)
@pytest.mark.parametrize("command", ["replay", "stats", "report"])
def test_a_mistyped_threshold_is_one_line(command, setting, problem, late, tmp_path):
    out = ("--out", tmp_path / "page.html") if command == "report" else ()
    result = run(command, late, "--threshold", setting, *out)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert problem in line
    assert not (tmp_path / "page.html").exists()


def test_a_call_without_findings_fails_on_nothing():
    assert run("replay", TRACE, "--fail-on", "note").returncode == 0
    assert run("stats", TRACE, "--fail-on", "note").returncode == 0


def test_an_unknown_severity_is_refused(late):
    assert_is_one_line_and_exit_2(run("replay", late, "--fail-on", "bad"), says="--fail-on")
