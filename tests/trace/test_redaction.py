"""Redacted traces: nothing private is left in them, and they replay."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect
from support.commands import assert_is_one_line_and_exit_2, run_process
from support.record_traces import TRACES
from support.recorded import lines_of, whole_call

from phonic_fsm._core import effects, events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.history import FunctionCall
from phonic_fsm._wire import client, server
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import End, TraceError, TraceReader, replay
from phonic_fsm.trace._format import recorded_effect, recorded_event
from phonic_fsm.trace._redaction import Redaction
from phonic_fsm.trace._rewriting import redacted

RECORDED = sorted(TRACES.glob("*.jsonl"))

SECRET, NUMBER = "private", 31_337

TOLD = frozenset(
    """
    type id call_id tool_call_id conversation_id request_id response_id id_seed after removed
    role name kind
    tool_name tools language code reason problem message_type conversation_item_role
    endpoint_method endpoint_called_at execution_mode
    agent project model voice_id additional_voice_ids input_format output_format background_noise
    default_language additional_languages multilingual_mode intelligence_level phonic_model
    mcp_servers observability_integrations iso_date_time
    """.split()  # noqa: SIM905 - a line a subject
)
"""Fields whose text may stay. The rest must not, whatever the types say of it."""


def filled(kind: inspect.Type, field: str) -> Any:
    """A value of the type that is private wherever it may be."""
    match kind:
        case inspect.StrType():
            return "told" if field in TOLD else SECRET
        case inspect.AnyType():
            return {"a": [SECRET, NUMBER, {"b": SECRET}]}
        case inspect.DictType(value_type=value):
            return {"a": filled(value, "")}
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return [filled(item, field)]
        case inspect.UnionType(types=types):
            # Of a tool, the own one, which is the last; of an item, a tool's output.
            real = [t for t in types if not isinstance(t, inspect.NoneType)]
            return filled(real[-1] if field in ("tools", "item", "items") else real[0], field)
        case inspect.StructType(fields=fields, tag=tag):
            struct = {f.encode_name: filled(f.type, f.encode_name) for f in fields}
            return struct | ({"type": tag} if tag else {})
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.BytesType():
            return b"\0\0"
        case inspect.BoolType():
            return True
        case inspect.IntType() | inspect.FloatType():
            return 1
    raise AssertionError(f"{field}: {kind}")


@pytest.mark.parametrize("name", sorted(events.EVENTS))
def test_no_event_keeps_what_may_be_private(name):
    kind = events.EVENTS[name]
    raw = filled(inspect.type_info(kind), "event")
    event = msgspec.convert(raw, kind, builtin_types=(bytes,))
    settings = msgspec.convert(filled(inspect.type_info(Settings), "settings"), Settings)
    redaction = Redaction(settings)
    opened = [
        redaction.step(events.Open()),
        redaction.step(events.UpdateSession(instructions=SECRET, tools=(), items=())),
        redaction.step(events.ConnectionOpened()),
        redaction.step(server.ReadyToStartConversation()),
    ]
    for step in (*opened, redaction.step(event)):
        line = msgspec.json.encode(
            [recorded_event(step.event), *map(recorded_effect, step.effects)]
        ).decode()
        assert SECRET not in line
        assert str(NUMBER) not in line
    assert SECRET not in repr(redaction.settings)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_trace_redacted_afterwards_replays_and_tells_the_same_course(path, tmp_path):
    out = tmp_path / "redacted.jsonl"
    write(out, redacted(TraceReader(path)))
    steps = list(replay(out))
    assert [step.difference for step in steps] == [None] * len(steps)
    for step, line in zip(steps, TraceReader(path), strict=True):
        assert (step.line.seq, step.line.t) == (line.seq, line.t)
        assert (step.line.source, step.line.target) == (line.source, line.target)
        assert [e["type"] for e in step.line.effects] == [e["type"] for e in line.effects]
    assert TraceReader(out).header.redacted


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


WORDS = (
    "Good",
    "morning",
    "sunny",
    "Be kind",
    "Rome",
    "It is.",
    "You listen",
    "Look the",
    "LiveKit",
)


@pytest.mark.anyio
async def test_a_session_recorded_redacted_holds_no_word_and_replays(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    await whole_call(lambda **options: make_model(redact_trace=True, **options), server, path)
    text = path.read_text(encoding="utf-8")
    assert [word for word in WORDS if word in text] == []
    assert "look_up_weather" in text
    steps = list(replay(path))
    assert [step.difference for step in steps] == [None] * len(steps)
    assert {step.line.target for step in steps} >= {"tool_pending", "reconnecting", "closed"}


@pytest.mark.anyio
async def test_what_is_recorded_redacted_is_what_is_redacted_afterwards(
    make_model, server, tmp_path
):
    plain, later = tmp_path / "plain.jsonl", tmp_path / "later.jsonl"
    await whole_call(make_model, server, plain)
    write(later, redacted(TraceReader(plain)))
    redaction = Redaction(TraceReader(plain).header.settings)
    for step, line in zip(replay(plain), TraceReader(later), strict=True):
        at_once = redaction.step(step.step.event)
        assert line.effects == msgspec.to_builtins([*map(recorded_effect, at_once.effects)])


@given(st.text())
def test_a_placeholder_is_blank_exactly_where_its_text_is(text):
    said = Redaction(Settings(id_seed="a")).private(text)
    setting = Redaction(Settings(id_seed="a")).private(text, setting=True)
    assert bool(said) == bool(setting) == bool(text)
    assert bool(said.strip()) == bool(setting.strip()) == bool(text.strip())
    assert len(text) <= len(said) < len(text) + 8


@given(st.lists(st.text() | st.integers() | st.floats(allow_nan=False), min_size=2))
def test_settings_differ_exactly_where_they_did(values):
    redaction = Redaction(Settings(id_seed="a"))
    placeholders = [redaction.private(value, setting=True) for value in values]
    for value, placeholder in zip(values, placeholders, strict=True):
        assert [v == value for v in values] == [p == placeholder for p in placeholders]


def test_a_prompt_with_template_variables_still_calls_for_a_reset():
    config = ConfigOptions(template_variables={"name": "Ada"})
    redaction = Redaction(Settings(id_seed="a", config=config))
    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=(), items=()),
        events.ConnectionOpened(),
        server.ReadyToStartConversation(),
        events.UpdateInstructions("Greet {{name}}."),
    ):
        redaction.step(event)
    step = redaction.step(events.ChangesDue())
    [reset] = (effect for effect in step.effects if isinstance(effect, effects.Send))
    assert isinstance(reset.message, client.Reset)
    assert "{{…}}" in reset.message.config.system_prompt


def test_arguments_stay_json_with_their_names():
    call = {"type": "function_call", "arguments": '{"city":"Rome","days":[1,true,null]}'}
    redaction = Redaction(Settings(id_seed="a"))
    arguments = redaction.struct(FunctionCall, call)["arguments"]
    assert json.loads(arguments) == {"city": "█" * 8, "days": [0, False, None]}
    assert redaction.struct(FunctionCall, {"arguments": "no JSON"}) == {"arguments": "█" * 8}


def test_what_this_version_does_not_know_is_kept_and_redacted(tmp_path):
    lines = lines_of(TRACES / "tool_call.jsonl")
    for part in (lines[0], lines[0]["settings"], lines[2], lines[2]["event"]):
        part["later"] = {"text": "private", "list": [1, "private"]}
    path = tmp_path / "call.jsonl"
    write(path, lines)
    kept = list(redacted(TraceReader(path)))
    for part in (kept[0], kept[2], kept[2]["event"]):
        assert part["later"] == {"text": "█" * 8, "list": [0, "█" * 8]}
    assert list(kept[0]["settings"]["later"]) == ["text", "list"]
    assert "private" not in json.dumps(kept)


def test_a_redacted_trace_refers_to_no_audio(tmp_path):
    lines = lines_of(TRACES / "tool_call.jsonl")
    [chunk] = [line["event"]["audio"] for line in lines[1:] if "audio" in line["event"]]
    chunk["at"] = 1.5
    path = tmp_path / "call.jsonl"
    write(path, lines)
    [left] = [
        line["event"]["audio"]
        for line in redacted(TraceReader(path))
        if "audio" in line.get("event", ())
    ]
    assert left == {"bytes": chunk["bytes"]}


def test_a_trace_that_is_cut_off_is_redacted_up_to_there(tmp_path):
    path, out = tmp_path / "cut.jsonl", tmp_path / "out.jsonl.gz"
    path.write_bytes((TRACES / "tool_call.jsonl").read_bytes()[:-20])
    result = run_process("redact", path, out)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"redacted: 11 steps in {out}; the trace is cut off after them\n"
    reader = TraceReader(out)
    assert all(step.difference is None for step in replay(out))
    assert len(list(reader)) == 11
    assert reader.end == End(end="cut_off", seq=11)


def test_a_trace_that_replays_otherwise_here_is_not_redacted(tmp_path):
    lines = lines_of(TRACES / "tool_call.jsonl")
    lines[6]["to"] = "ready"
    path = tmp_path / "call.jsonl"
    write(path, lines)
    with pytest.raises(TraceError, match="step 6 replays otherwise in this version"):
        list(redacted(TraceReader(path)))
    out = tmp_path / "out.jsonl"
    assert_is_one_line_and_exit_2(run_process("redact", path, out), says="replays otherwise")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("redact", "nowhere.jsonl", "out.jsonl"), "nowhere.jsonl: No such file"),
        (("redact", TRACES / "tool_call.jsonl"), "Missing argument"),
        (("redact", TRACES / "tool_call.jsonl", TRACES / "say.jsonl"), "is there already"),
        (("redact", TRACES / "tool_call.jsonl", "no/where.jsonl"), "No such file"),
    ],
    ids=["no trace", "no out", "out is there", "no directory"],
)
def test_a_mistake_is_one_line_and_exit_2(arguments, says, tmp_path):
    assert_is_one_line_and_exit_2(run_process(*arguments, cwd=tmp_path), says=says)


def test_help_has_an_example():
    result = run_process("redact", "--help")
    assert "Example: phonic-fsm redact call.jsonl" in " ".join(result.stdout.split())
