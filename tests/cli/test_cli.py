"""The command line: what a newcomer types, and what a slip of the hand gets."""

from __future__ import annotations

import signal
import wave
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support import processes
from support.commands import PHONIC_FSM, assert_is_one_line_and_exit_2, run, run_process, start
from support.processes import LONGEST
from support.record_traces import TRACES

from phonic_fsm.simulator import Call, Scenario, Turn, speak

TRACE = TRACES / "tool_call.jsonl"
TOO_LONG = "x" * 300
COMMANDS = (
    *("demo", "replay", "report", "stats", "diff", "redact"),
    *("simulate", "scenario", "fetch", "probe", "diagram"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    result = run(command, "--help")
    assert result.returncode == 0
    assert f"Example: phonic-fsm {command}" in " ".join(result.stdout.split())


def test_help_names_every_command():
    result = run_process("--help")
    assert result.returncode == 0
    assert all(command in result.stdout for command in COMMANDS)


def test_version():
    assert run_process("--version").stdout.startswith("phonic-fsm 0.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing command"),
        (("dance",), "dance"),
        (("replay",), "Missing argument"),
        (("replay", "--quick", TRACE), "--quick"),
        (("replay", "nowhere.jsonl"), "nowhere.jsonl: No such file"),
        (("replay", "."), "Is a directory"),
        (("replay", TRACE, "--html", "page.html"), "No such option"),
        (("replay", TRACE, "--step", "--follow"), "--step cannot be used with --follow"),
        (("replay", TRACE, "--step", "--json"), "--step cannot be used with --json"),
        (("replay", TRACE, "--step", "--full"), "--step cannot be used with --full"),
        (("replay", TRACE, "--json", "--full"), "--json cannot be used with --full"),
        (("replay", TRACE, "--json", "--all"), "--json cannot be used with --all"),
        (("replay", TRACE, "--only", "tool", "--all"), "--only cannot be used with --all"),
        (("report",), "Missing argument"),
        (("report", TRACE), "Missing option '--out'"),
        (("report", TRACE, "--out", "page.html", "--json"), "No such option"),
        (("report", TRACES, "--out", TRACE), "is no directory"),
        (("diagram", "--state", "ready", "--format", "dot"), "cannot be used with --format"),
        (("diagram", "--event", "close", "--trace", TRACE), "cannot be used with --trace"),
        (("stats",), "Missing argument"),
        (("diff",), "Missing argument"),
        (("diagram", "--format", "png"), "'png' is not one of"),
        (("simulate", "--port", "99999"), "--port"),
        (("simulate", "--port", "http"), "--port"),
        (("simulate", "--host", "\udcff"), "this is not a valid host name"),
        (("simulate", "--host", "x" * 80), "this is not a valid host name"),
        (("load", "--ramp", "inf"), "--ramp"),
        (("load", "--patience", "inf"), "--patience"),
        (("simulate", "--doubt", "weather=bad"), "no doubt is named 'weather'; there are"),
        (("simulate", "--doubt", "error=maybe"), "error is one of leaves_open, closes"),
        (("simulate", "--scenario", "opera"), "no scenario 'opera': shipped are"),
        (("demo", "--scenario", "opera"), "no scenario 'opera': shipped are"),
        (("demo", "--wav", "nowhere.wav"), "nowhere.wav: No such file"),
        (("demo", "--wav", TRACE), "is not a PCM WAV file"),
        (("demo", "--out", TRACE), "is there already"),
        (("demo", "--trace", TRACE), "is there already"),
        (("demo", "--out", "nowhere/agent.wav"), "there is no directory nowhere"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_and_exit_2(arguments, says):
    assert_is_one_line_and_exit_2(run(*arguments), says=says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing command"),
        (("replay", "nowhere.jsonl"), "nowhere.jsonl: No such file"),
        (("simulate", "--port", "http"), "--port"),
        (("demo", "--scenario", "opera"), "no scenario 'opera': shipped are"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_mistake_in_a_process_of_its_own_is_nothing_else(arguments, says):
    assert_is_one_line_and_exit_2(run_process(*arguments), says=says)


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", TOO_LONG),
        ("report", TOO_LONG, "--out", "page.html"),
        ("report", TRACE, "--out", TOO_LONG),
        ("watch", TOO_LONG),
        ("stats", TOO_LONG),
        ("diff", TRACE, TOO_LONG),
        ("diff", TRACE, TRACE, "--html", TOO_LONG),
        ("redact", TOO_LONG, "redacted.jsonl"),
        ("redact", TRACE, TOO_LONG),
        ("scenario", TOO_LONG),
        ("scenario", TRACE, "--out", TOO_LONG),
        ("fetch", TOO_LONG),
        ("diagram", "--trace", TOO_LONG),
        ("simulate", "--scenario", TOO_LONG),
        ("demo", "--scenario", TOO_LONG),
        ("demo", "--out", TOO_LONG),
        ("demo", "--trace", TOO_LONG),
        ("demo", "--wav", TOO_LONG),
        ("probe", "--out", TOO_LONG),
    ],
    ids=lambda arguments: " ".join(str(a) for a in arguments if a != TOO_LONG),
)
def test_a_name_that_no_file_can_have_is_a_mistake(arguments, monkeypatch):
    monkeypatch.setenv("PHONIC_API_KEY", "key")
    assert_is_one_line_and_exit_2(run(*arguments), says="File name too long")


def test_the_key_of_a_development_server_is_taken_without_a_word():
    command = "LIVEKIT_API_KEY=devkey LIVEKIT_API_SECRET=secret exec"
    arguments = ("load", "--phonic-port", 0, "--url", "ws://127.0.0.1:1")
    result = processes.run("sh", "-c", f'{command} "$0" "$@"', *PHONIC_FSM, *arguments)
    assert_is_one_line_and_exit_2(result, says="LiveKit at ws://127.0.0.1:1")


def into(where, *arguments):
    """A command whose output a shell sends there."""
    return processes.run("sh", "-c", f'exec "$0" "$@" {where}', *PHONIC_FSM, *arguments)


PRINTING = [("replay", TRACE), ("replay", TRACE, "--json"), ("stats", TRACE), ("scenario", TRACE)]


@pytest.mark.parametrize("arguments", PRINTING, ids=lambda arguments: arguments[0])
def test_a_disk_that_is_full_is_said_in_one_line(arguments):
    result = into("> /dev/full", *arguments)
    assert_is_one_line_and_exit_2(result, says="No space left on device")


@pytest.mark.parametrize("arguments", PRINTING, ids=lambda arguments: arguments[0])
def test_a_command_whose_output_is_closed_does_its_work(arguments):
    result = into(">&-", *arguments)
    assert (result.returncode, result.stderr) == (0, "")


def test_simulate_says_where_it_is_and_ends_on_ctrl_c():
    with start("simulate", "--port", 0) as process:
        assert "simulating Phonic at ws://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LONGEST)
    assert (process.returncode, errors) == (0, "")


def test_simulate_says_when_the_port_is_taken():
    with start("simulate", "--port", 0) as process:
        port = process.stdout.readline().split("127.0.0.1:")[1].split()[0]
        result = run_process("simulate", "--port", port)
    assert_is_one_line_and_exit_2(result, says=f"cannot listen on 127.0.0.1:{port}")


def loudness(path: Path) -> tuple[float, float]:
    """Seconds and RMS level (dBFS) of a WAV."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        seconds = file.getnframes() / file.getframerate()
    return seconds, 20 * float(np.log10(np.sqrt(np.mean(samples.astype(float) ** 2)) / 32768))


SHORT = Scenario(
    welcome="Hello!",
    turns=(
        Turn(
            caller="Sun?",
            calls=(Call(tool="get_weather", parameters={"city": "Paris"}, then="{output}."),),
        ),
        Turn(
            caller="And?",
            assistant="Walk along the river, then cross to the island and climb the towers.",
            interrupt_after_ms=700,
        ),
        Turn(caller="Thanks.", assistant="Bye!"),
    ),
)
"""What the demo plays by itself, in fewer words."""


def test_the_demo_holds_a_conversation_that_replays(tmp_path):
    (tmp_path / "short.json").write_bytes(msgspec.json.encode(SHORT))
    arguments = ("--scenario", "short.json", "--out", "agent.wav", "--trace", "call.jsonl")
    result = run_process("demo", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert "get_weather" in result.stdout
    assert "1 tool call(s), 1 interruption(s)" in result.stdout
    assert "– cut off" in result.stdout
    assert result.stdout.splitlines()[-1] == "replay it with: phonic-fsm replay call.jsonl"

    seconds, level = loudness(tmp_path / "agent.wav")
    assert seconds > 5
    assert level > -40
    replayed = run_process("replay", "call.jsonl", cwd=tmp_path)
    assert replayed.returncode == 0
    assert replayed.stdout.splitlines()[-1].startswith("identical: ")
    assert {path.name for path in tmp_path.iterdir()} == {"agent.wav", "call.jsonl", "short.json"}


@pytest.mark.parametrize(("rate", "channels", "bits"), [(8_000, 1, 8), (44_100, 2, 24)])
def test_the_demo_plays_a_callers_wav(rate, channels, bits, tmp_path):
    (tmp_path / "short.json").write_text('{"turns":[{"caller":"Hello?","assistant":"Yes."}]}')
    samples = np.frombuffer(speak("Hello?", rate).pcm, np.int16).astype(np.int32)
    if bits == 8:
        pcm = np.repeat((samples >> 8) + 128, channels).astype(np.uint8).tobytes()
    else:
        wide = np.repeat(samples << 16, channels).astype("<i4")
        pcm = wide.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    with wave.open(str(tmp_path / "caller.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(pcm)
    arguments = ("--scenario", "short.json", "--wav", "caller.wav", "--out", "agent.wav")
    result = run_process("demo", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "caller Hello?" in result.stdout
    assert "agent  Yes." in result.stdout


def test_ctrl_c_ends_the_demo_without_half_a_file(tmp_path):
    with start("demo", "--out", "a.wav", "--trace", "t.jsonl", cwd=tmp_path) as process:
        assert any("ready → speaking" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LONGEST)
    assert (process.returncode, errors) == (130, "")
    assert [path.name for path in tmp_path.iterdir()] == ["t.jsonl"]
    replayed = run_process("replay", "t.jsonl", cwd=tmp_path)
    assert replayed.stdout.splitlines()[-1].startswith("identical: ")
    assert "not closed" not in replayed.stdout.splitlines()[-1]
