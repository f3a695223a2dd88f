"""A message that is long, deep or full of values costs its session little, and others nothing."""

from __future__ import annotations

import json
import logging
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import ValidationError
from support.scripted import conversation, settle

from phonic_fsm import State
from phonic_fsm._adapter import meters
from phonic_fsm._adapter.metrics import MOST_TIMINGS
from phonic_fsm._core import effects, events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._core.wording import LONGEST_QUOTE, MOST_FIELDS, quoted
from phonic_fsm._runtime.connection import MAX_MESSAGE_BYTES
from phonic_fsm._runtime.log import BURST, INTERVAL, LONGEST_LINE, SessionLog
from phonic_fsm._runtime.secrets import LONGEST_LEFT, Secrets
from phonic_fsm._wire import codec
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.codec import (
    CUT,
    LONGEST_PROBLEM,
    LONGEST_TYPE,
    MOST_VALUES,
    MalformedMessage,
    UnknownMessage,
    decode_server,
    refuse_too_much,
)
from phonic_fsm.durable import _journal

pytestmark = pytest.mark.anyio

CALL = '{"type":"tool_call","tool_call_id":"c1","tool_name":"t","parameters":%s}'


def filled(before: str, part: str, after: str) -> str:
    """A message of the largest size, with as many of one part as it holds."""
    room = MAX_MESSAGE_BYTES - len(before) - len(after)
    return before + (part * (room // len(part))).rstrip(",") + after


# -- what is refused, and that nothing is decoded for it -----------------------------------------


@pytest.mark.parametrize(
    "part", ["[],", "{},", '["ab"],', '{"a":""},', "0,", '"",', "5e-324,", "9" * 4_000 + ","]
)
def test_a_message_of_too_many_values_is_refused(part):
    before, after = (CALL % '{"x":[?]}').split("?")
    assert decode_server(filled(before, part, after)) == MalformedMessage(
        "tool_call", f"More than {MOST_VALUES} values - at `$`", "message_values"
    )


@pytest.mark.parametrize("value", [[], 0, "", {"a": "b"}, -0.012345678901234567, 1.5e-05])
def test_a_message_of_many_values_is_read(value):
    values = [value] * (MOST_VALUES // 2 - 10)
    message = decode_server(CALL % json.dumps({"x": values}))
    assert isinstance(message, phonic.ToolCall)
    assert message.parameters == {"x": values}


def test_what_looks_like_values_in_a_text_is_none():
    text = '[{,"]}' * MOST_VALUES
    message = decode_server(CALL % json.dumps({"x": text}))
    assert isinstance(message, phonic.ToolCall)
    assert message.parameters == {"x": text}


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


awkward = st.text(alphabet='[]{}"\\,:a\n', max_size=8)
nested = st.recursive(
    st.none() | awkward,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(awkward, inner, max_size=3),
    max_leaves=25,
)


@given(value=nested, levels=st.integers(0, 6))
@example(value=['\\"[', [['"']]], levels=2)
@example(value=["\\", [["\\\\"]]], levels=2)
def test_the_depth_is_that_of_the_decoded_value(value, levels):
    text = json.dumps(value)
    if depth(value) > levels:
        with pytest.raises(ValidationError, match=f"more than {levels} levels"):
            refuse_too_much(text, levels)
    else:
        refuse_too_much(text, levels)


def test_a_deep_message_is_refused_and_never_decoded(monkeypatch):
    def decode(frame):
        pytest.fail("it is decoded")

    monkeypatch.setattr(codec._decode_server, "_decode", decode)
    deep = CALL % ('{"a":' * 200 + "1" + "}" * 200)
    assert isinstance(decode_server(deep), MalformedMessage)


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"conversation_created","conversation_id":"%s"}',
        '{"type":"tool_call","tool_call_id":"%s","tool_name":"t"}',
        '{"type":"tool_call","tool_call_id":"c","tool_name":"%s"}',
        '{"type":"error","error":{"message":"no","code":"%s"}}',
    ],
)
def test_a_message_with_a_name_that_is_too_long_is_refused(frame):
    assert not isinstance(decode_server(frame % ("x" * phonic.LONGEST_NAME)), MalformedMessage)
    message = decode_server(frame % ("x" * (phonic.LONGEST_NAME + 1)))
    assert isinstance(message, MalformedMessage)
    assert f"length <= {phonic.LONGEST_NAME}" in message.problem


def test_the_names_that_a_server_makes_up_are_cut():
    unknown = decode_server(filled('{"type":"', "x", '"}'))
    assert isinstance(unknown, UnknownMessage)
    assert unknown.message_type.startswith("x" * LONGEST_TYPE + CUT)
    assert len(unknown.message_type) < LONGEST_TYPE + 50
    message = decode_server('{"type":"error","error":{"message":5,"%s":1}}' % ("x" * 5_000))
    assert isinstance(message, MalformedMessage)
    assert len(message.problem) <= LONGEST_PROBLEM


# -- what is told of it --------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["x", "\\u0001", "\\u202e"])
async def test_a_long_warning_is_a_line_that_can_be_read(letter, make_model, server, caplog):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send_raw(filled('{"type":"warning","warning":{"message":"', letter, '"}}'))
        await settle(peer, emitted)
    [line] = [record.getMessage() for record in caplog.records if "warns" in record.getMessage()]
    assert "characters)" in line
    assert line.isprintable()
    assert len(line) < 7 * LONGEST_QUOTE


async def test_a_long_error_is_told_in_short(make_model, server, caplog):
    fields = {f"field_{number}{'y' * 2_000}": "x" * 2_000 for number in range(200)}
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.Error(phonic.Problem("z" * 100_000), fields))
        event = await emitted.next("error")
    assert len(str(event.error)) < 3 * LONGEST_QUOTE
    assert len(event.error.body["param_errors"]) == MOST_FIELDS
    assert len(str(event.error.body)) < 3 * MOST_FIELDS * LONGEST_QUOTE
    assert all(len(record.getMessage()) < 2 * LONGEST_LINE for record in caplog.records)


async def test_the_session_goes_on_after_the_longest_message(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send_raw(filled('{"type":"input_text","text":"', "word ", '"}'))
        heard = await emitted.next("input_audio_transcription_completed")
        assert len(heard.transcript) > MAX_MESSAGE_BYTES - 100
        await settle(peer, emitted)
        assert session.state is State.ready


def test_a_text_that_is_cut_in_a_secret_has_no_beginning_of_it():
    secrets = Secrets(secret := "a-header-that-is-secret")
    for kept in range(LONGEST_LEFT + 1, len(secret)):
        told = secrets.hide(quoted("x" * (LONGEST_QUOTE - kept) + secret + "x" * 900))
        assert "***… (cut" in told
        assert secret[: LONGEST_LEFT + 1] not in told


# -- how many lines ------------------------------------------------------------------------------


@pytest.fixture
def written(caplog):
    """Lets a session's log write lines, at a time, because of an event: what was written."""
    caplog.set_level(logging.INFO, "phonic_fsm")
    log = SessionLog(Secrets())

    def write(count, now, cause=events.Interrupt()):  # noqa: B008 - an event is a value
        before = len(caplog.records)
        for _ in range(count):
            log.write(logging.INFO, "A line.", cause, now)
        return [record.getMessage() for record in caplog.records[before:]]

    return write


def test_of_too_many_lines_of_a_kind_some_are_left_out_and_counted(written):
    lines = written(BURST + 90, now=0.0)
    assert len(lines) == BURST
    assert lines[-2] == "A line."
    assert "only one is written every 10 s" in lines[-1]
    assert written(1, now=INTERVAL - 0.1) == []
    [line] = written(5, now=INTERVAL)
    assert "(91 lines like this were left out before it)" in line


def test_lines_come_again_after_a_pause(written):
    written(BURST + 1, now=0.0)
    lines = written(BURST + 1, now=INTERVAL * (BURST + 5))
    assert len(lines) == BURST
    assert "(1 lines like this were left out before it)" in lines[0]


def test_a_flood_of_one_kind_does_not_hide_another(written):
    written(BURST + 90, now=0.0)
    assert written(1, now=0.0, cause=phonic.Warning(phonic.Problem("hot"))) == ["A line."]


# -- what waits for others -----------------------------------------------------------------------


class SlowStore:
    """An ownership whose store takes its time. Nothing is written."""

    name = "call"

    def append(self, lines):
        return False


def test_steps_for_a_slow_journal_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(_journal, "LARGEST_WAIT", 100_000)
    monkeypatch.setattr(_journal._WRITER, "add", lambda _: None)  # the test is the thread
    machine = SessionMachine(Settings(id_seed="seed"))
    journal = _journal.JournalRecorder(cast(Any, SlowStore()), machine.context.settings, Secrets())
    for _ in range(5):
        journal.record(machine.step(phonic.InterruptedResponse("x" * 20_000)))
    assert len(journal._queue) == 2
    assert journal.drain(), "the lines wait, and they count as well"
    assert len(journal._queue) == 0
    assert journal._is_full


def test_of_a_hostile_breakdown_of_a_latency_a_few_names_are_measured(monkeypatch):
    measured = []
    monkeypatch.setattr(meters, "_parts", set())
    one = meters.SessionMeters(48_000, Secrets(), tuple, State.connecting)
    monkeypatch.setattr(one, "measure", lambda *told: measured.append(told[2][meters.PART]))
    long = "y" * (phonic.LONGEST_NAME + 1)
    timings = {long: 1.0} | {f"part {n}": 1.0 for n in range(5_000)}
    one._tell_timings(effects.EmitTimings(timings))
    assert len(measured) == MOST_TIMINGS
    assert len(meters._parts) == meters.MOST_PARTS
    assert long not in meters._parts
