"""Two traces compared: what two runs of one conversation may differ in, and what is told."""

from __future__ import annotations

import json

import pytest
from support.record_traces import TRACES
from support.written_traces import assistant, caller, opening, tool, write

from phonic_fsm._core import events
from phonic_fsm._wire import server
from phonic_fsm.trace import TraceError, diff_traces, diff_with_machine
from phonic_fsm.trace._diff import compare_traces


def conversation(*, call_id="call_1", late=0.0, words=("It is ", "sunny."), between=()):
    """A call with a tool in it; every run has its own ids and times."""
    return [
        *opening(f"conv_{call_id}"),
        *caller(2.0 + late, 3.0 + late),
        *tool(3.2 + late, 4.2 + late, call_id),
        *between,
        *assistant(5.0 + late, *words),
    ]


@pytest.fixture
def diff(tmp_path):
    def diff(a, b):
        first = write(tmp_path / "a.jsonl", a, seed="aaaa", close=30.0)
        second = write(tmp_path / "b.jsonl", b, seed="bbbb", close=31.0)
        return list(diff_traces(first, second))

    return diff


def test_two_runs_of_a_conversation_are_the_same(diff):
    other = conversation(call_id="call_9", late=0.3, words=("It is sunny.", "", ""))
    assert diff(conversation(), other) == []


def test_a_step_that_only_one_has_is_all_that_is_told(diff):
    more = [(4.5, server.Dtmf("5"))]
    (only,) = diff(conversation(), conversation(between=more))
    assert only.expected is None
    assert only.got.event["type"] == "dtmf"
    (only,) = diff(conversation(between=more), conversation())
    assert only.expected.event["type"] == "dtmf"
    assert only.got is None


def test_a_whole_turn_more_is_told_and_the_rest_is_aligned(diff):
    more = [*caller(1.0, 1.2, "Well?"), *assistant(1.4, "One moment.")]
    longer = [*conversation()[:5], *more, *conversation()[5:]]
    differing = diff(conversation(), longer)
    assert all(step.expected is None for step in differing)
    assert sorted(step.got.event["type"] for step in differing) == [
        "assistant_finished_speaking",
        "assistant_started_speaking",
        "audio_chunk",
        "input_text",
        "user_finished_speaking",
        "user_started_speaking",
    ]


def test_other_words_are_told_with_their_place(diff):
    chunk, end = diff(conversation(), conversation(words=("It ", "rains.")))
    (difference,) = chunk.differences
    assert (difference.where, difference.expected, difference.got) == (
        "event.text",
        "It is sunny.",
        "It rains.",
    )
    assert [difference.where for difference in end.differences] == ["effects[2].item.text"]


def test_an_id_must_stand_for_the_same_throughout(diff):
    def two_calls(first, second):
        return [*opening(), *tool(1, 4, "call_1")[:1], *tool(2, 4, "call_2")[:1], *(first, second)]

    one, other = tool(1, 4, "call_1")[1], tool(2, 4, "call_2")[1]
    assert diff(two_calls(one, other), two_calls(one, other)) == []
    assert diff(two_calls(one, other), two_calls(other, one)) != []


def test_an_effect_more_leaves_the_others_alone(diff):
    lost = (2.0, events.ConnectionClosed(1006))
    speaking = [*opening(), *assistant(1.0, "Well.")[:-1], lost]
    silent = [*opening(), *assistant(1.0, "Well."), lost]
    *_, step = diff(speaking, silent)
    assert [(d.where, d.expected["type"]) for d in step.differences if d.where != "from"] == [
        ("effects[0]", "stop_timer"),
        ("effects[1]", "close_generation"),
        ("effects[2]", "add_item"),
    ]


def test_long_traces_without_a_word_in_common_are_still_compared(diff):
    def talk(word):
        steps = opening()
        for turn in range(400):
            steps += caller(10.0 * turn + 1, 10.0 * turn + 2, f"{word} {turn}")
            steps += assistant(10.0 * turn + 3, f"{word}, {turn}")
        return steps

    assert len(diff(talk("Ja"), talk("No"))) >= 400


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_recorded_trace_is_what_this_machine_makes_of_it(path):
    assert list(diff_with_machine(path)) == []
    assert list(diff_traces(path, path)) == []


def test_all_steps_that_the_machine_makes_otherwise_are_told(tmp_path):
    path = write(tmp_path / "call.jsonl", conversation(), close=30.0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[5]["to"] = "listening"
    lines[8]["effects"].pop()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = diff_with_machine(path)
    assert (first.expected.seq, second.expected.seq) == (5, 8)
    assert [difference.where for difference in first.differences] == ["to"]
    assert [(d.where, d.expected) for d in second.differences] == [("effects[1]", None)]


def test_what_is_no_event_is_refused(tmp_path):
    path = write(tmp_path / "call.jsonl", opening())
    path.write_text(path.read_text().replace('"type":"open"', '"type":"opened"'))
    with pytest.raises(TraceError, match="step 1 holds no event"):
        list(diff_with_machine(path))


def test_audio_that_was_dropped_here_and_played_there_differs(diff):
    begun = assistant(1.0, "Start ", "with ", "the river.")
    interrupted = [*opening(), *begun[:2], (1.1, events.Interrupt()), *begun[2:]]
    played = [*opening(), *begun[:3], (1.1, events.Interrupt()), *begun[3:]]
    assert diff(interrupted, played) != []


# -- how long things took ------------------------------------------------------------------------


def took(told, what):
    """How long this took in both, and whether it differs."""
    ((expected, got, differs),) = [
        (time.expected, time.got, time.differs)
        for step in told
        for time in step.times
        if time.what == what
    ]
    return expected, got, differs


@pytest.fixture
def timed(tmp_path):
    def timed(a, b):
        first = write(tmp_path / "a.jsonl", a, seed="aaaa", close=60.0)
        second = write(tmp_path / "b.jsonl", b, seed="bbbb", close=61.0)
        assert list(diff_traces(first, second)) == [], "nothing but times differs"
        return list(compare_traces(first, second, times=True))

    return timed


def calling(seconds, *between, late=0.0):
    """A call whose tool takes so long."""
    end = 3.2 + seconds
    return [
        *opening(),
        *caller(2.0 + late, 3.0 + late),
        *tool(3.2 + late, end + late, "call_1"),
        *between,
        *assistant(end + late + 0.5, "It is sunny."),
    ]


def test_a_slow_tool_is_told_from_a_fast_one(timed):
    told = timed(calling(1.0), calling(8.0, late=2.0))
    assert took(told, "get_weather") == (1.0, 8.0, True)
    (step,) = [s for s in told if any(t.what == "get_weather" for t in s.times)]
    assert step.expected.event["type"] == "tool_call"
    assert step.differs


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [(1.0, 1.19, False), (1.0, 1.3, True), (10.0, 11.0, False), (0.01, 0.15, False)],
)
def test_a_little_more_is_no_difference(one, other, differs, timed):
    assert took(timed(calling(one), calling(other)), "get_weather")[2] is differs


def test_a_pause_of_the_caller_is_no_difference(timed):
    assert not any(step.differs for step in timed(calling(1.0), calling(1.0, late=20.0)))


def test_what_is_measured_once_a_second_may_be_more_in_one(timed):
    """While a tool takes longer, more seconds of the caller's audio are told of."""
    more = [(4.0 + n, events.CallerAudio(received_ms=1000, dbfs=-60.0 - n)) for n in range(7)]
    told = timed(calling(1.0), sorted([*calling(8.0), *more], key=lambda told: told[0]))
    assert took(told, "get_weather")[2]


def test_the_beginning_an_answer_and_an_outage_are_timed(timed):
    def call(ready, answer, outage):
        lost = 10.0 + ready
        return [
            *opening()[:-2],
            (ready - 0.1, server.ConversationCreated("conv_1")),
            (ready, server.ReadyToStartConversation()),
            *caller(ready + 1, ready + 2),
            *assistant(ready + 2 + answer, "Yes?"),
            (lost, events.ConnectionClosed(1006)),
            (lost + outage, events.ConnectionOpened(0.1)),
            (lost + outage, server.ConversationReconnected()),
        ]

    told = timed(call(0.5, 0.4, 1.0), call(2.5, 1.9, 5.0))
    assert took(told, "until the conversation was open") == (0.5, 2.5, True)
    assert took(told, "until the first audio of the answer") == (0.5, 2.0, True)
    assert took(told, "without a connection") == (1.0, 5.0, True)


def test_the_wait_before_a_tool_is_told_from_the_tool(timed):
    def observed(wait, run):
        began = 3.2 + wait
        told = calling(wait + run)
        at = next(n for n, (t, _) in enumerate(told) if t > 3.2)
        return [
            *told[:at],
            (began, events.ToolStarted("call_1")),
            (began + run, events.ToolEnded("call_1", "done")),
            *told[at:],
        ]

    told = timed(observed(0.5, 1.0), observed(3.0, 1.0))
    assert took(told, "get_weather")[2] is False
    assert took(told, "until LiveKit ran get_weather") == (0.5, 3.0, True)
