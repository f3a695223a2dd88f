"""Traces that were changed by hand: each event that decodes but that no machine can take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import run
from support.record_traces import TRACES
from support.recorded import lines_of

from phonic_fsm._core.context import Settings
from phonic_fsm.trace._feeding import FedMachine
from phonic_fsm.trace._reader import TraceError

Lines = list[dict[str, Any]]

COMMANDS = ("replay", "replay --json", "replay --until=99", "diff", "redact", "report")
"""All that feed a machine with a trace."""


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """The tools' schemas, wherever they stand: in events, and in what is sent."""
    if isinstance(value, list):
        for item in value:
            yield from schemas(item)
    elif isinstance(value, dict):
        for key, part in value.items():
            if key == "tool_schema":
                yield part
            else:
                yield from schemas(part)


def no_function(lines: Lines) -> None:
    for schema in schemas(lines):
        del schema["function"]


def a_function_that_is_text(lines: Lines) -> None:
    for schema in schemas(lines):
        schema["function"] = "get_weather"


def a_function_that_is_a_list(lines: Lines) -> None:
    for schema in schemas(lines):
        schema["function"] = []


def no_name(lines: Lines) -> None:
    for schema in schemas(lines):
        del schema["function"]["name"]


def an_unknown_event(lines: Lines) -> None:
    lines[4]["event"] = {"type": "dance"}


def an_event_without_a_type(lines: Lines) -> None:
    del lines[4]["event"]["type"]


def a_field_that_is_missing(lines: Lines) -> None:
    del lines[4]["event"]["conversation_id"]


def audio_without_a_length(lines: Lines) -> None:
    chunk = next(line for line in lines if line.get("event", {}).get("type") == "audio_chunk")
    chunk["event"]["audio"] = "AAAA"


def command_line(command: str, trace: Path) -> list[object]:
    name, *options = command.split()
    if name == "report":
        return ["report", trace, "--out", trace.with_name("page.html")]
    out = [trace.with_name("redacted.jsonl")] if name == "redact" else []
    return [name, *options, trace, *out]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "change",
    [
        no_function,
        a_function_that_is_text,
        a_function_that_is_a_list,
        no_name,
        an_unknown_event,
        an_event_without_a_type,
        a_field_that_is_missing,
        audio_without_a_length,
    ],
)
def test_what_no_machine_can_take_is_one_line(
    change: Callable[[Lines], None], command: str, tmp_path: Path
) -> None:
    lines = lines_of(TRACES / "tool_call.jsonl")
    change(lines)
    path = tmp_path / "call.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run(*command_line(command, path))
    assert result.returncode == 2, result
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert f"{path}: step " in result.stderr
    assert "Traceback" not in result.stdout
    assert not (tmp_path / "redacted.jsonl").exists()


def test_a_pause_beyond_all_numbers_is_refused() -> None:
    machine = FedMachine(Path("call.jsonl"), Settings(id_seed="seed", max_retries=9_999))
    machine.feed(1, {"type": "open"})
    # Each pause is twice as long as the one before.
    attempts = (
        machine.feed(seq, {"type": "connect_failed", "problem": "refused"})
        for seq in range(2, 2_000)
    )
    with pytest.raises(TraceError, match=r"call\.jsonl: step \d+: the machine cannot take this"):
        list(attempts)


@pytest.mark.parametrize("command", [*COMMANDS, "stats", "diagram --trace"])
@pytest.mark.parametrize("t", [-1.0, 1e300])
def test_a_time_that_no_clock_shows_is_one_line(command: str, t: float, tmp_path: Path) -> None:
    lines = lines_of(TRACES / "tool_call.jsonl")
    lines[4]["t"] = t
    path = tmp_path / "call.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run(*command_line(command, path))
    assert result.returncode == 2, result
    assert len(result.stderr.splitlines()) == 1
    assert "line 5 is not a step" in result.stderr
