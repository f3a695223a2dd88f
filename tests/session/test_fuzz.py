"""Frames and traces that nobody meant to send: they are told apart, and break nothing.

What once broke something stands as an example at its test.
"""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.commands import run
from support.record_traces import TRACES

from phonic_fsm import State
from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import Event
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.codec import MalformedMessage, UnknownMessage, decode_server
from phonic_fsm.trace import TraceError, replay
from phonic_fsm.trace._recorder import TraceRecorder
from phonic_fsm.trace._recording import checked_recording

fuzzed = settings(max_examples=150)


# -- frames --------------------------------------------------------------------------------------


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def tool_call(parameters: bytes) -> bytes:
    return b'{"type":"tool_call","tool_call_id":"c1","tool_name":"t","parameters":%b}' % parameters


FRAMES = (
    b'{"type":"ready_to_start_conversation"}',
    b'{"type":"conversation_created","conversation_id":"conv_1"}',
    b'{"type":"input_text","text":"Hello.","language":"en"}',
    b'{"type":"audio_chunk","audio":"AAAA","text":"Hm.","timings":{"llm_ms":1.5}}',
    b'{"type":"interrupted_response","text":"Hm"}',
    b'{"type":"dtmf","digits":"1","timings":null}',
    tool_call(b'{"city":"Rome","days":[1,2,null]}'),
    b'{"type":"tool_call_output_processed","tool_call_id":"c1","tool":{"id":"t","name":"t"},'
    b'"output":{"x":1},"duration_ms":12.5,"timed_out":false,"error_message":null,'
    b'"query_params":{"a":null},"request_body":{},"response_status_code":200}',
    b'{"type":"tool_call_interrupted","tool_call_id":"c1","tool_name":"t"}',
    b'{"type":"error","error":{"message":"bad","code":"c"},"param_errors":{"voice_id":"no"}}',
    b'{"type":"warning","warning":{"message":"hm","code":null}}',
    b'{"type":"brand_new","x":1}',
)
VALUES = (
    *(b"null", b"true", b"-1", b"1.5", b"{}", b"[]", b'""', b'"c1"', b'"AA=="', b'"AAA"'),
    *(b"NaN", b"-Infinity", b"1e999", b"-1e-999", b"9" * 25, b"9" * 5_000, b"0x10"),
    *(b'"\\ud800"', b'"\\u0000\\u001b[2J\\n\\u202e"', b'"\xff\xfe"', b'"\xed\xa0\x80"'),
    *(
        nested(50),
        nested(99),
        nested(950),
        nested(2_000),
        b"[" * 2_000,
        b"[" * 2_000 + b"]" * 2_000,
    ),
)


@st.composite
def mangled(draw: st.DrawFn, originals: tuple[bytes, ...]) -> bytes:
    """Something valid in which one thing, or several, were changed."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(("cut", "flip", "insert", "value", "twice")))
        if change == "cut":
            data = data[:at]
        elif change == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
        elif change == "insert":
            data = data[:at] + draw(st.binary(max_size=4)) + data[at:]
        elif change == "value":
            data = _with_value(data, at, draw(st.sampled_from(VALUES)))
        elif change == "twice":
            data = data.replace(b"{", b'{"type":"input_text","text":1,', 1)
    return data


def _with_value(data: bytes, near: int, value: bytes) -> bytes:
    """The value behind the next colon is another one."""
    start = data.find(b":", near) + 1
    end = min((e for e in (data.find(b",", start), data.find(b"}", start)) if e > 0), default=None)
    return data if start == 0 or end is None else data[:start] + value + data[end:]


frames = st.one_of(mangled(FRAMES), st.binary(max_size=40), st.text(max_size=40).map(str.encode))


@given(frames)
@example(nested(2_000))
@example(tool_call(b"[" * 2_000))
@example(b'{"type":"input_text","text":"\xed\xa0\x80"}')
@settings(fuzzed, max_examples=400)
def test_every_frame_is_a_message_or_says_why_it_is_none(frame):
    message = decode_server(frame)
    if isinstance(message, MalformedMessage):
        assert message.problem
        # What is JSON says where it is wrong, or what it lacks.
        if message.message_type is not None and "utf-8" not in message.problem:
            assert "`" in message.problem
    else:
        assert isinstance(message, UnknownMessage | phonic.ServerMessage)


BEGIN = (
    events.Open(),
    events.ConnectionOpened(),
    events.UpdateSession(instructions="Be kind.", tools=()),
    phonic.ConversationCreated("conv_1"),
    phonic.ReadyToStartConversation(),
)
WAY_TO: dict[State, tuple[Event, ...]] = {
    State.connecting: BEGIN[:1],
    State.awaiting_inputs: BEGIN[:2],
    State.config_sent: BEGIN[:3],
    State.ready: BEGIN,
    State.listening: (*BEGIN, phonic.UserStartedSpeaking()),
    State.speaking: (*BEGIN, phonic.AssistantStartedSpeaking()),
    State.tool_pending: (*BEGIN, phonic.ToolCall("c1", "t")),
    State.reconnecting: (*BEGIN, events.ConnectionClosed(1006)),
    State.last_words: (*BEGIN, phonic.AssistantEndedConversation()),
    State.closed: (events.Close(),),
}


@given(frame=frames, state=st.sampled_from(State))
@example(frame=tool_call(nested(960)), state=State.ready)
@example(frame=tool_call(nested(98)), state=State.ready)
@example(frame=tool_call(b'{"n":%b}' % (b"9" * 25)), state=State.ready)
@fuzzed
def test_whatever_was_read_is_taken_in_every_state_recorded_and_replayed(frame, state, tmp_path):
    path = tmp_path / "call.jsonl"
    path.unlink(missing_ok=True)
    machine = SessionMachine(Settings(id_seed="seed"))
    recorder = TraceRecorder(checked_recording(path), machine.context.settings, Secrets())
    for event in (*WAY_TO[state], decode_server(frame)):
        step = machine.step(event)
        recorder.record(step)
    recorder.close()
    recorder._written.result()
    assert step.source is state
    assert [replayed.difference for replayed in replay(path)] == [None] * (len(WAY_TO[state]) + 1)


# -- traces --------------------------------------------------------------------------------------

RECORDED = tuple(
    b"".join(path.read_bytes().splitlines(keepends=True)[:40])
    for path in sorted(TRACES.glob("*.jsonl"))
)
traces = st.one_of(mangled(RECORDED), st.binary(max_size=60))


def changed(old: bytes, new: bytes) -> bytes:
    """The trace of a tool call in which this was changed, wherever it stands."""
    whole = (TRACES / "tool_call.jsonl").read_bytes()
    assert old in whole
    return whole.replace(old, new)


HEADERS_THAT_ARE_NONE = changed(
    b'"config":{', b'"config":{"configuration_endpoint":{"url":"u","headers":5},'
)
ENDLESS_AUDIO = changed(b'"bytes":960', b'"bytes":999999999999')
TOOL_WITHOUT_A_NAME = changed(
    b'"tool_schema":{"type":"function","function":{', b'"tool_schema":{"x":{'
)
HOSTILE = changed(
    b'"tool_name":"get_weather"', b'"tool_name":"\\u001b[2J\\u0007\\u202e\\n\\u0000</script>"'
)


@given(content=traces)
@example(content=HEADERS_THAT_ARE_NONE)
@example(content=changed(b'"id_seed"', b'"\xe3":1,"id_seed"'))
@example(content=ENDLESS_AUDIO)
@example(content=TOOL_WITHOUT_A_NAME)
@settings(fuzzed, max_examples=250)
def test_every_file_is_a_trace_or_is_refused_with_a_reason(content, tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_bytes(content)
    with suppress(TraceError):
        assert all(step.line.seq for step in replay(path))


@given(content=traces)
@example(content=changed(b'"city":{', b'"city":%b,"c":{' % nested(950)))
@example(content=changed(b'"from":"connecting"', b'"from":"\x7f\\u001b[2J"'))
@example(content=HOSTILE)
@settings(fuzzed, max_examples=40)
def test_no_command_shows_a_traceback_whatever_file_it_gets(content, tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_bytes(content)
    for command in (
        ("replay", path),
        ("report", path, "--out", tmp_path / "page.html"),
        ("stats", path),
        ("diff", path, TRACES / "tool_call.jsonl"),
    ):
        result = run(*command)
        assert result.returncode in (0, 1, 2)
        assert len(result.stderr.splitlines()) == (1 if result.returncode == 2 else 0)
        assert all(c.isprintable() or c == "\n" for c in result.stdout + result.stderr)
