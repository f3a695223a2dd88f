"""Redacted traces: nothing private is left in them, and they replay."""

from __future__ import annotations

import asyncio
import json
from typing import Any, get_args

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import llm
from msgspec import inspect
from support.commands import assert_is_one_line_and_exit_2, run, run_process
from support.record_traces import TRACES
from support.recorded import lines_of, whole_call
from support.scripted import PATIENCE, conversation, read

from phonic_fsm._core import effects, events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.history import FunctionCall, FunctionCallOutput
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._report.overview import listing
from phonic_fsm._report.rules import RULES
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.codec import decode_server, encode
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import End, TraceError, TraceReader, measure, replay
from phonic_fsm.trace._format import recorded_effect, recorded_event
from phonic_fsm.trace._redaction import Redaction
from phonic_fsm.trace._rewriting import redacted

RECORDED = sorted(TRACES.glob("*.jsonl"))

SECRET, NUMBER = "private", 31_337

TOLD = frozenset(
    """
    type id call_id calls tool_call_id conversation_id request_id response_id id_seed after removed
    role name kind
    agent before caller_left state room_left
    tool_name tools offered repeatable
    language code reason problem message_type conversation_item_role
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
    made_with = msgspec.convert(filled(inspect.type_info(Settings), "settings"), Settings)
    redaction = Redaction(made_with)
    opened = [
        redaction.step(events.Open()),
        redaction.step(events.UpdateSession(instructions=SECRET, tools=(), items=())),
        redaction.step(events.ConnectionOpened()),
        redaction.step(phonic.ReadyToStartConversation()),
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
    assert measure(TraceReader(out)) == measure(TraceReader(path))
    assert what_stands_out(out) == what_stands_out(path)


def what_stands_out(path):
    """Each finding of the call, without its words."""
    found = listing(TraceReader(path), RULES).findings
    return [(one.rule, one.severity, one.step, one.start, one.end) for one in found]


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


@pytest.mark.anyio
async def test_an_error_that_names_a_call_tells_the_same_when_redacted(
    make_model, server, tmp_path
):
    plain, at_once = tmp_path / "plain.jsonl", tmp_path / "at_once.jsonl"
    await refused_output(make_model(trace=plain), server)
    await refused_output(make_model(trace=at_once, redact_trace=True), server)
    later = tmp_path / "later.jsonl"
    write(later, redacted(TraceReader(plain)))
    courses = [course_of(path) for path in (plain, at_once, later)]
    assert courses[0] == courses[1] == courses[2]
    for path in (at_once, later):
        assert "nobody waits" not in path.read_text(encoding="utf-8")


async def refused_output(model, server):
    """A call whose output Phonic refuses."""
    async with conversation(model, server) as (session, peer, emitted):
        await peer.send(phonic.ToolCall("call_1", "look_up"), phonic.ToolCall("call_10", "look_up"))
        calls = [(await read(await emitted.next("generation_created"))).calls[0] for _ in range(2)]
        chat = session.chat_ctx
        for call in calls:
            chat.items.append(
                llm.FunctionCallOutput(
                    call_id=call.call_id, name="look_up", output="found", is_error=False
                )
            )
        await session.update_chat_ctx(chat)
        for _ in calls:
            await peer.expect(client.ToolCallOutput)
        await peer.send(phonic.Error(phonic.Problem("nobody waits for call_1.", "no_call")))
        settled = asyncio.Event()
        session.on("tool_call_settled", lambda _: settled.set())
        with anyio.fail_after(PATIENCE):
            await settled.wait()


def course_of(path):
    """Each step's event, states and kinds of effects; and the calls that errors name."""
    steps = list(replay(path))
    assert all(step.difference is None for step in steps)
    named = [step.line.event["calls"] for step in steps if step.line.event["type"] == "error"]
    assert named == [["call_1"]]
    return [
        (line.event["type"], line.source, line.target, [e["type"] for e in line.effects])
        for line in (step.line for step in steps)
        if line.event["type"] not in OBSERVED
    ]


OBSERVED = {"caller_audio", "event_loop_late", "round_trip"}
"""What a session notes of its surroundings, which is another thing each time."""


AWKWARD = st.sampled_from(
    [
        *("", " ", "\n", "word", " word ", "Greet {{name}}.", "restarting", "c1 c2", "no call c1"),
        *("update_system_prompt is deprecated", "x" * 49_993, "x" * 50_000, "y" * 49_999 + " "),
        "z" * 25_000,
    ]
)


def values(kind: inspect.Type, field: str) -> st.SearchStrategy[Any]:
    """Values of a type, as plain JSON. Where text may decide something, it is such a text."""
    if field == "tool_schema":
        return st.just({"type": "function", "function": {"name": "look_up"}})
    match kind:
        case inspect.StrType(max_length=None) if field not in TOLD:
            return AWKWARD
        case inspect.StrType():
            return st.sampled_from(["c1", "c2"])
        case inspect.AnyType():
            return st.sampled_from([None, "", {"a": ["b"]}])
        case inspect.DictType(value_type=value):
            return st.dictionaries(st.sampled_from("ab"), values(value, ""), max_size=2)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return st.lists(values(item, field), max_size=2)
        case inspect.UnionType(types=types):
            return st.one_of(*(values(part, field) for part in types))
        case inspect.StructType(fields=fields, tag=tag):
            given = {f.encode_name: values(f.type, f.encode_name) for f in fields}
            required = {f.encode_name for f in fields if f.required}
            return st.fixed_dictionaries(
                {name: given[name] for name in required} | ({"type": st.just(tag)} if tag else {}),
                optional={name: given[name] for name in given.keys() - required},
            )
        case inspect.LiteralType(values=literals):
            return st.sampled_from(literals)
        case inspect.BytesType():
            return st.sampled_from([b"", b"\0\0" * 480])
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.IntType() | inspect.FloatType():
            return st.integers(0, 2)
    raise AssertionError(f"{field}: {kind}")


def converted(raw: Any, kind: Any) -> Any:
    return msgspec.convert(raw, kind, builtin_types=(bytes,))


def an_event(name: str) -> st.SearchStrategy[Any]:
    kind = events.EVENTS[name]
    return values(inspect.type_info(kind), "event").map(lambda raw: converted(raw, kind))


any_event = st.sampled_from(sorted(events.EVENTS)).flatmap(an_event)
told_in_text = st.sampled_from(["error", "audio_chunk", "update_instructions"]).flatmap(an_event)
"""Those in whose texts there is something to decide by."""
any_settings = values(inspect.type_info(Settings), "settings").map(
    lambda raw: converted(raw, Settings)
)
BEGINNING = (
    events.Open(),
    events.UpdateSession(instructions="Be kind.", tools=(), items=()),
    events.ConnectionOpened(),
    phonic.ConversationCreated("conv_1"),
    phonic.ReadyToStartConversation(),
)
WITH_A_CALL = (
    phonic.ToolCall("c1", "look_up"),
    events.UpdateChatContext(
        (events.Addition(None, FunctionCallOutput("i1", "c1", "look_up", "found")),)
    ),
)


def can_happen(event: events.Event) -> bool:
    """Audio never counts as unsent."""
    return not (
        isinstance(event, events.ConnectionClosed)
        and any(isinstance(message, client.AudioChunk) for message in event.unsent)
    )


@given(
    made_with=any_settings,
    begun=st.sampled_from([BEGINNING + WITH_A_CALL, BEGINNING, ()]),
    more=st.lists((told_in_text | any_event).filter(can_happen), max_size=8),
)
def test_no_decision_depends_on_what_redaction_takes_away(made_with, begun, more):
    machine, redaction = SessionMachine(made_with), Redaction(made_with)
    for made in (*begun, *more):
        # As the session reads it: what a message's text says becomes fields.
        sent = type(made) in get_args(phonic.ServerMessage)
        event = decode_server(encode(made)) if sent else made
        event = machine.read(event) if isinstance(event, phonic.Error) else event
        step, told = machine.step(event), redaction.step(event)
        assert (told.source, told.target) == (step.source, step.target)
        assert [kind_of(effect) for effect in told.effects] == [
            kind_of(effect) for effect in step.effects
        ]


def kind_of(effect):
    return type(effect), type(getattr(effect, "message", None))


@given(st.text())
def test_a_placeholder_is_blank_exactly_where_its_text_is(text):
    said = Redaction(Settings(id_seed="a")).private(text)
    compared = Redaction(Settings(id_seed="a")).private(text, compared=True)
    assert bool(said) == bool(compared) == bool(text)
    assert bool(said.strip()) == bool(compared.strip()) == bool(text.strip())
    assert len(text) <= len(said) < len(text) + 8


@given(st.lists(st.text() | st.integers() | st.floats(allow_nan=False), min_size=2))
def test_what_is_compared_differs_exactly_where_it_did(values):
    redaction = Redaction(Settings(id_seed="a"))
    placeholders = [redaction.private(value, compared=True) for value in values]
    for value, placeholder in zip(values, placeholders, strict=True):
        assert [v == value for v in values] == [p == placeholder for p in placeholders]


def test_a_prompt_with_template_variables_still_calls_for_a_reset():
    config = ConfigOptions(template_variables={"name": "Ada"})
    redaction = Redaction(Settings(id_seed="a", config=config))
    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=(), items=()),
        events.ConnectionOpened(),
        phonic.ReadyToStartConversation(),
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
    with pytest.raises(TraceError, match="step 6 replays otherwise once it is redacted"):
        list(redacted(TraceReader(path)))
    lines[0]["package"] = "0.0.9"
    write(path, lines)
    with pytest.raises(TraceError, match=r"otherwise in this version: .* recorded it, 0\.0\.9"):
        list(redacted(TraceReader(path)))
    out = tmp_path / "out.jsonl"
    assert_is_one_line_and_exit_2(run("redact", path, out), says="replays otherwise")
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
def test_a_mistake_is_one_line_and_exit_2(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_is_one_line_and_exit_2(run(*arguments), says=says)


def test_help_has_an_example():
    result = run("redact", "--help")
    assert "Example: phonic-fsm redact call.jsonl" in " ".join(result.stdout.split())
