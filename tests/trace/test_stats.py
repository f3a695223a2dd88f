"""The figures of a call: from which step to which each is measured, and what is no such thing."""

from __future__ import annotations

import msgspec
import pytest
from support.written_traces import CHUNK, assistant, caller, opening, tool, write

from phonic_fsm._core import events
from phonic_fsm._wire import server
from phonic_fsm.trace import Figures, Line, TraceReader, measure, replay
from phonic_fsm.trace._stats import percentile

LOST = events.ConnectionClosed(1006)


@pytest.fixture
def measured(tmp_path):
    def measured(*told, close=None) -> Figures:
        path = write(tmp_path / "call.jsonl", [step for part in told for step in part], close=close)
        assert all(step.difference is None for step in replay(path))
        return measure(TraceReader(path))

    return measured


def test_time_to_ready_and_the_whole(measured):
    figures = measured(opening(), close=60.0)
    assert figures == Figures(time_to_ready=0.5, seconds=60.0, steps=6)


def test_a_call_that_never_opened_has_no_time_to_ready(measured):
    assert measured(opening()[:4], close=10.0).time_to_ready is None


def test_speech_before_ready_counts_as_ready(measured):
    assert measured(opening()[:4], assistant(0.45, "Hi.")).time_to_ready == 0.45


def test_response_latency_is_from_the_callers_end_to_the_first_audio(measured):
    figures = measured(
        opening(),
        assistant(1.0, "Welcome."),
        caller(2.0, 3.0),
        assistant(3.3, "Hello ", "there."),
        caller(5.0, 6.0),
        assistant(7.0, "Yes."),
    )
    assert figures.response_latencies == [0.4, 1.1]


def test_a_backchannel_is_no_response(measured):
    figures = measured(
        opening(),
        [
            (2.0, server.UserStartedSpeaking()),
            (2.5, server.AssistantStartedSpeaking()),
            (2.6, server.AudioChunk(CHUNK, "Mm-hm.")),
            (3.0, server.UserFinishedSpeaking()),
            (3.02, server.AudioChunk(CHUNK)),
            (3.1, server.AssistantFinishedSpeaking()),
        ],
        assistant(3.5, "Yes."),
    )
    assert figures.response_latencies == [0.6]


@pytest.mark.parametrize(
    "between",
    [
        [(4.0, server.AssistantChoseNotToRespond())],
        [(4.0, server.UserStartedSpeaking()), (5.0, server.InputCancelled())],
    ],
)
def test_a_turn_without_an_answer_has_no_latency(between, measured):
    figures = measured(opening(), caller(2.0, 3.0), between, assistant(7.0, "Yes."))
    assert figures.response_latencies == []


def test_an_answer_that_needs_a_tool_is_waited_for(measured):
    figures = measured(opening(), caller(2.0, 3.0), tool(3.2, 5.2), assistant(5.5, "Sunny."))
    assert figures.response_latencies == [2.6]
    assert figures.tool_durations == [2.0]


def test_an_interrupted_call_has_no_duration(measured):
    call, output, _ = tool(1.0, 4.0)
    interrupted = (2.0, server.ToolCallInterrupted("call_1", "get_weather"))
    assert measured(opening(), [call, interrupted, output]).tool_durations == []


def test_what_cuts_an_answer_off_is_one_interruption(measured):
    begun = assistant(1.0, "Start with the river.")[:-1]
    figures = measured(
        opening(),
        begun,
        [(1.5, server.UserStartedSpeaking()), (1.6, server.InterruptedResponse("Start"))],
    )
    assert figures.interruptions == 1


def test_an_answer_can_be_cut_off_after_its_turn(measured):
    cut_off = [(1.5, server.UserStartedSpeaking()), (1.6, server.InterruptedResponse("Start"))]
    assert measured(opening(), assistant(1.0, "Start with."), cut_off).interruptions == 1


def test_interrupt_is_an_interruption_where_there_is_something_to_interrupt(measured):
    begun = assistant(1.0, "Start with the river.")[:-1]
    assert measured(opening(), begun, [(1.5, events.Interrupt())]).interruptions == 1
    assert measured(opening(), begun[:1], [(1.5, events.Interrupt())]).interruptions == 0
    assert measured(opening(), [(1.5, events.Interrupt())]).interruptions == 0


def test_a_lost_connection_is_no_interruption(measured):
    begun = assistant(1.0, "Start with the river.")[:-1]
    assert measured(opening(), begun, [(1.5, LOST)]).interruptions == 0


def resumed_at(seconds: float):
    return [
        (seconds - 0.1, events.ConnectionOpened(0.1)),
        (seconds, server.ConversationReconnected()),
    ]


def test_an_outage_that_is_resumed_costs_what_exceeds_two_seconds(measured):
    figures = measured(opening(), [(10.0, LOST)], resumed_at(15.5), [(20.0, LOST)], resumed_at(21))
    assert figures.outages == [5.5, 1.0]
    assert figures.dropped_audio_ms == 3_500


@pytest.mark.parametrize(
    ("refused_at", "ready_at", "lost"), [(11.0, 12.5, 0), (15.0, 16.0, 3_000), (11.0, 25.0, 5_000)]
)
def test_an_outage_that_ends_in_a_fresh_conversation_costs_what_is_not_kept(
    measured, refused_at, ready_at, lost
):
    figures = measured(
        opening(),
        [(10.0, LOST), (10.5, events.ConnectionOpened(0.1))],
        [(refused_at, events.ConnectionClosed(4800))],
        [(ready_at - 0.5, events.ConnectionOpened(0.1))],
        [(ready_at, server.ReadyToStartConversation())],
    )
    assert figures.outages == [ready_at - 10.0]
    assert figures.dropped_audio_ms == lost


def test_an_outage_that_ends_the_call_lasts_until_its_end(measured):
    assert measured(opening(), [(10.0, LOST)], close=14.0).outages == [4.0]
    assert measured(opening(), [(10.0, LOST), (13.0, events.RetryDue())]).outages == [3.0]


def test_a_connection_that_closes_on_purpose_is_no_outage(measured):
    assert measured(opening(), [(10.0, events.ConnectionClosed(1000))]).outages == []


def test_nothing_that_stands_in_a_line_can_break_it():
    odd = (5, "x", None, [], {}, [5, {"item": 5}, {"item": {"type": "function_call_output"}}])
    names = [*events.EVENTS, "push_audio", "open_generation", "close_generation", "correct_message"]
    lines = [
        Line(
            seq=1,
            t=0.0,
            event={"type": name, "added": value, "tool_call_id": value},
            source="speaking",
            target="reconnecting",
            effects=[{"type": name, "interrupted": value, "response_id": value, "id": value}],
        )
        for name in names
        for value in odd
    ]
    assert measure(lines).steps == len(lines)


def test_no_step_is_no_time():
    assert measure([]) == Figures()


def test_figures_are_plain_json():
    assert msgspec.json.decode(msgspec.json.encode(Figures()))["outages"] == []


def test_percentiles_lie_between_the_values():
    assert percentile([], 50) is None
    assert percentile([3.0], 95) == 3.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.5
    assert percentile([0.0, 10.0], 95) == pytest.approx(9.5)
