"""What the page says, against calls in which it would be wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.written_traces import CHUNK, Told, assistant, caller, opening, tool, write

from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import (
    AgentChanged,
    AgentState,
    AudioNotTaken,
    CallerAudio,
    ChangesDue,
    ClearAudio,
    CommitAudio,
    ConnectFailed,
    ConnectionClosed,
    ConnectionOpened,
    PlaybackFinished,
    PlaybackStarted,
    RetryDue,
    StartUserActivity,
    TakeOver,
    UpdateInstructions,
    UpdateOptions,
    UpdateSession,
)
from phonic_fsm._report.conversation import ConversationBuilder
from phonic_fsm._report.lanes import LaneBuilder, Lanes
from phonic_fsm._report.numbers import duration, numbers
from phonic_fsm._report.overview import Measured, measured
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import TraceReader
from phonic_fsm.trace._turns import Levels


def trace(path: Path, told: list[Told], close: float) -> Path:
    steps = sorted([*opening(), *told], key=lambda one: one[0])
    return write(path / "call.jsonl", steps, close=close)


def seen(path: Path, told: list[Told], close: float = 20.0) -> Measured:
    return measured(TraceReader(trace(path, told, close)))


def lanes_of(path: Path, told: list[Told], close: float = 20.0) -> Lanes:
    reader = TraceReader(trace(path, told, close))
    builder = LaneBuilder(reader.header.settings)
    for line in reader:
        builder.take(line)
    return builder.lanes()


def said(found: Measured) -> str:
    return " ".join(f"{one.title}. {one.sentence}" for one in found.findings)


def afresh(lost: float, back: float) -> list[Told]:
    """A connection that is lost, and a fresh conversation."""
    return [
        (lost, ConnectionClosed(1006)),
        (lost + 0.1, ConnectionOpened(0.1)),
        (lost + 0.2, ConnectionClosed(4800, "conversation not found")),
        (back - 0.2, ConnectionOpened(0.1)),
        (back - 0.1, server.ConversationCreated("conv_2")),
        (back, server.ReadyToStartConversation()),
    ]


# -- a tool's output -----------------------------------------------------------------------------

CALLED = [*caller(2.0, 3.0), tool(3.4, 5.0)[0]]
GIVEN = tool(3.4, 5.0)[1]


def test_an_output_that_a_fresh_conversation_is_given_was_told(tmp_path):
    found = seen(tmp_path, [*CALLED, GIVEN, *afresh(4.0, 7.0), *assistant(7.5, "Sunny.")])
    assert "never sent" not in said(found)
    assert "went with the history 1.8 s later" in said(found)


def test_an_output_without_a_connection_to_the_end_was_never_sent(tmp_path):
    gone: list[Told] = [(4.0, ConnectionClosed(1006)), (6.0, ConnectFailed("404", retryable=False))]
    assert "get_weather's output was never sent" in said(seen(tmp_path, [*CALLED, GIVEN, *gone]))


# -- audio that was lost -------------------------------------------------------------------------

LOST_FOR_TWELVE_SECONDS = [*caller(2.0, 3.0), *assistant(3.2, "Yes."), *afresh(5.0, 17.0)]


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        ([], "up to 2.0 s of the caller not heard"),
        (
            [
                (4.0, CallerAudio(received_ms=1000, sent_ms=1000)),
                (8.0, CallerAudio(received_ms=1000, dropped_ms=900)),
                (9.0, CallerAudio(received_ms=1000)),
            ],
            "900 ms of the caller not heard",
        ),
    ],
    ids=["calculated", "measured"],
)
def test_the_finding_and_the_number_tell_one_figure_for_lost_audio(measured, told, tmp_path):
    found = seen(tmp_path, [*LOST_FOR_TWELVE_SECONDS, *measured])
    [number] = [one for one in numbers(found.figures) if one.name == "Audio lost"]
    assert number.value in told
    [finding] = [one for one in found.findings if one.rule == "lost-audio"]
    assert finding.noticed == told


def test_an_outage_that_loses_nothing_is_no_lost_audio(tmp_path):
    silent = CallerAudio(received_ms=0, filled_ms=1000)
    found = seen(tmp_path, [*LOST_FOR_TWELVE_SECONDS, (1.0, silent)])
    assert found.figures.dropped_audio_ms == 0
    assert [one.rule for one in found.findings if one.rule == "lost-audio"] == []


def test_an_outage_that_lasts_to_the_end_loses_what_was_measured(tmp_path):
    gone: list[Told] = [
        (1.0, CallerAudio(received_ms=0, filled_ms=1000)),
        (4.0, ConnectionClosed(1006)),
        (6.0, ConnectFailed("404", retryable=False)),
        (6.0, CallerAudio(dropped_ms=300)),
    ]
    assert seen(tmp_path, [*CALLED, *gone]).figures.dropped_audio_ms == 300


def test_a_connection_that_is_resumed_after_a_pause_was_lost(tmp_path):
    """At the second loss in a row the session does not connect at once."""
    flapping: list[Told] = [
        (4.0, ConnectionClosed(1006)),
        (4.1, ConnectionOpened(0.1)),
        (4.2, server.ConversationReconnected()),
        (4.5, ConnectionClosed(1006)),
        (5.1, RetryDue()),
        (5.2, ConnectionOpened(0.1)),
        (5.3, server.ConversationReconnected()),
    ]
    lost = [one for one in lanes_of(tmp_path, [*flapping]).connection if one.kind == "lost"]
    assert [(one.start, one.end) for one in lost] == [(4.0, 4.2), (4.5, 5.3)]


# -- silence ------------------------------------------------------------------------------------


def test_an_outage_while_the_caller_thinks_is_not_the_cause_of_the_silence(tmp_path):
    told = [*caller(2.0, 3.0), *assistant(3.2, "Yes?"), *afresh(6.0, 7.2)]
    found = seen(tmp_path, told, close=16.0)
    [silence] = [one for one in found.findings if one.rule == "silence"]
    assert (silence.severity, silence.title) == (
        "note",
        "Phonic heard no speech of the caller: 12.7 s of silence",
    )


def test_nobody_waited_for_phonic_while_the_line_was_gone_on_the_callers_turn(tmp_path):
    told = [*caller(2.0, 3.0), *assistant(3.2, "Yes?"), *afresh(6.0, 10.0)]
    found = seen(tmp_path, told, close=16.0)
    assert "No connection for 4.0 s: 12.7 s of silence" in said(found)
    assert "Phonic had not begun to answer" not in said(found)


def test_an_answer_that_a_frozen_network_keeps_back_is_not_phonics_fault(tmp_path):
    frozen: list[Told] = [
        (15.0, ConnectionClosed(1006, "no answer to a ping within 10 s")),
        (15.1, ConnectionOpened(0.1)),
        (15.2, server.ConversationReconnected()),
    ]
    begun = [*caller(2.0, 3.0), *assistant(3.2, "We open ")[:2]]
    found = said(seen(tmp_path, [*begun, *frozen, *assistant(15.6, "at nine.")]))
    assert "Nothing got through to Phonic for 10.0 s: 12.4 s of silence" in found


def test_no_answer_is_awaited_of_a_process_that_is_gone(tmp_path):
    begun = [*caller(2.0, 3.0), *assistant(3.2, "We open ")[:2]]
    told = [*begun, (5.0, TakeOver(lost_for=1.5)), (5.1, ConnectionOpened(0.1))]
    [answer] = lanes_of(tmp_path, told).open_answers
    assert answer.end == 3.5


def test_a_long_time_is_told_in_minutes():
    assert [duration(seconds) for seconds in (0.2, 119.9, 120.0, 3595.8)] == [
        "200 ms",
        "119.9 s",
        "2 min",
        "59 min 56 s",
    ]


# -- answers -------------------------------------------------------------------------------------

ANSWER = [
    *caller(2.0, 3.0),
    (3.2, server.AssistantStartedSpeaking()),
    (3.3, server.AudioChunk(CHUNK * 150, "It is nine.")),
    (3.4, server.AssistantFinishedSpeaking()),
]
OBSERVED: list[Told] = [(0.6, AgentState("listening")), (1.0, PlaybackStarted())]
WELCOME_PLAYED = (1.2, PlaybackFinished(0.2, interrupted=False))


def heard(path: Path, told: list[Told]) -> tuple[bool, str, str]:
    """Whether the answer is drawn as played, and what of it was heard and not heard."""
    reader = TraceReader(trace(path, told, 20.0))
    builder, conversation = LaneBuilder(reader.header.settings), ConversationBuilder()
    for line in reader:
        builder.take(line)
        conversation.take(line)
    lanes = builder.lanes()
    [entry] = [one for one in conversation.entries(lanes) if one.who == "assistant"]
    return lanes.assistant[-1].played, entry.text, entry.unheard


PLAYED = [(3.4, PlaybackStarted()), (6.4, PlaybackFinished(3.0, interrupted=False))]
LATE_PLAYED = [(4.2, PlaybackStarted()), (7.2, PlaybackFinished(3.0, interrupted=False))]


@pytest.mark.parametrize(
    ("playback", "played"),
    [
        ([], True),
        ([*OBSERVED, WELCOME_PLAYED], False),
        ([*OBSERVED, WELCOME_PLAYED, *PLAYED], True),
        ([*OBSERVED, WELCOME_PLAYED, *LATE_PLAYED], True),
        ([(8.0, AgentState("listening")), (8.0, PlaybackStarted())], True),
    ],
    ids=["nobody observed", "not played", "played", "played late", "observed later"],
)
def test_an_answer_that_was_not_played_was_not_heard(playback, played, tmp_path):
    text = ("It is nine.", "") if played else ("", "It is nine.")
    assert heard(tmp_path, [*ANSWER, *playback]) == (played, *text)


def test_an_answer_whose_audio_nobody_took_was_not_heard(tmp_path):
    first, *_ = (
        effect["response_id"]
        for line in TraceReader(trace(tmp_path, ANSWER, 20.0))
        for effect in line.effects
        if effect["type"] == "open_generation"
    )
    told = [*ANSWER, (6.5, AudioNotTaken(first, 3.0, "not_subscribed"))]
    assert heard(tmp_path, told) == (False, "", "It is nine.")


def test_a_turn_that_goes_on_after_its_audio_was_not_only_announced(tmp_path):
    told = [*caller(2.0, 3.0), *ANSWER[3:5]]
    assert "no audio" not in said(seen(tmp_path, told, close=14.0))


def test_what_has_come_of_an_answer_is_played_where_a_reset_cuts_it_off(tmp_path):
    told = [*caller(2.0, 3.0), *ANSWER[3:5], (4.0, UpdateInstructions("{{who}} calls."))]
    [answer] = lanes_of(tmp_path, [*told, (4.0, ChangesDue())]).assistant
    assert (round(answer.end, 2), answer.unheard) == (6.3, None)


def test_what_has_come_of_an_answer_is_played_though_the_connection_is_lost(tmp_path):
    told = [*caller(2.0, 3.0), *ANSWER[3:5], (4.0, ConnectionClosed(1006))]
    [answer] = lanes_of(tmp_path, told).assistant
    assert (round(answer.end, 2), answer.unheard) == (6.3, None)


def test_an_answer_that_is_played_late_behind_another_one_is_played(tmp_path):
    """LiveKit may play nothing until the reply that it has asked for has come."""
    late: list[Told] = [*assistant(8.0, *(["And so. "] * 50)), (8.1, PlaybackStarted())]
    told: list[Told] = [*OBSERVED, WELCOME_PLAYED, *ANSWER, *late]
    told += [(11.1, PlaybackFinished(3.0, interrupted=False)), (11.1, PlaybackStarted())]
    told += [(12.1, PlaybackFinished(1.0, interrupted=False))]
    assert all(one.played for one in lanes_of(tmp_path, told).assistant)


# -- push-to-talk --------------------------------------------------------------------------------


def pushed(path: Path, told: list[Told], close: float | None = 20.0) -> Measured:
    """A call with push-to-talk."""
    settings = Settings(
        id_seed="seed", config=ConfigOptions(output_format="pcm_24000", push_to_talk=True)
    )
    steps = sorted([*opening(), *told], key=lambda one: one[0])
    return measured(TraceReader(write(path / "call.jsonl", steps, close=close, settings=settings)))


TALK = CallerAudio(
    received_ms=1000, dbfs=-30.0, peak=-9.0, sent_ms=1000, levels=(-30, -33, -60, -31, -30) * 2
)
QUIET = CallerAudio(received_ms=1000, dbfs=-66.0, peak=-54.0, sent_ms=1000, levels=(-66,) * 10)
PRESS: Told = (2.0, StartUserActivity())
AWAY: list[Told] = [(3.0, ConnectionClosed(1006)), (3.5, CommitAudio())]
BACK: list[Told] = [(4.0, ConnectionOpened(0.1)), (4.2, server.ConversationReconnected())]
WITHDRAWN: list[Told] = [(5.0, ClearAudio(2000)), (5.1, ChangesDue())]


@pytest.mark.parametrize(
    ("told", "close"),
    [
        ([*AWAY, *BACK], 20.0),
        (WITHDRAWN, 21.0),
        ([*caller(2.2, 3.0), *assistant(3.5, "Yes."), (5.0, CommitAudio())], 20.0),
        ([*AWAY, *BACK, (7.0, ConnectionClosed(1006))], None),
    ],
    ids=["committed while away", "withdrawn", "committed after its answer", "away again"],
)
def test_a_turn_that_was_committed_or_withdrawn_does_not_last_for_ever(told, close, tmp_path):
    pushed(tmp_path, [PRESS, (2.5, TALK), *told], close)
    reader = TraceReader(tmp_path / "call.jsonl")
    builder = LaneBuilder(reader.header.settings)
    for line in reader:
        builder.take(line)
    assert builder.lanes().uncommitted is None


def test_a_turn_that_was_withdrawn_needs_no_answer(tmp_path):
    told = [PRESS, (2.2, server.UserStartedSpeaking()), *WITHDRAWN]
    found = said(pushed(tmp_path, told))
    assert "never committed" not in found
    assert "Phonic did not answer" not in found


def test_a_turn_that_goes_on_after_an_outage_is_still_to_be_committed(tmp_path):
    told = [PRESS, (2.5, TALK), (3.0, ConnectionClosed(1006)), *BACK]
    assert "The caller's turn was never committed" in said(pushed(tmp_path, told))


@pytest.mark.parametrize(
    "ends",
    [[], [(13.5, CommitAudio())], [(13.5, ClearAudio(2000)), (13.6, ChangesDue())]],
    ids=["goes on", "committed", "withdrawn"],
)
def test_phonic_need_not_notice_a_turn_before_it_is_committed(ends, tmp_path):
    first = [PRESS, *caller(2.2, 3.0), (3.0, TALK), (3.1, CommitAudio()), (4.0, QUIET)]
    talks: list[Told] = [(6.0, StartUserActivity()), *((6.9 + at, TALK) for at in range(7))]
    found = pushed(tmp_path, [*first, *assistant(3.4, "Yes."), *talks, *ends], close=15.0)
    assert [one.title for one in found.findings if one.rule == "unnoticed"] == []


# -- how loud the caller was ---------------------------------------------------------------------


def test_a_sound_does_not_end_earlier_because_the_next_report_comes_early():
    levels = Levels()
    levels.add(10.0, {"levels": [-30] * 10})
    levels.add(10.2, {"levels": [-30, -90]})
    assert levels.sounds(-45, 0.7, 12.0) == [[9.0, 10.0]]


# -- what was changed ----------------------------------------------------------------------------


def test_changes_are_told_by_what_really_changed(tmp_path):
    told = [
        *caller(2.0, 3.0),
        *assistant(3.2, "Yes."),
        (5.0, UpdateInstructions("Be long.")),
        (6.0, UpdateOptions(config=ConfigOptions(output_format="pcm_24000", voice_id="grant"))),
        (8.0, AgentChanged("billing", "front")),
        (8.1, UpdateSession(instructions="Bill.", tools=(), items=())),
        (8.2, ChangesDue()),
        (12.0, UpdateSession(instructions="Else.", tools=(), items=())),
    ]
    assert [(one.at, one.text, one.told) for one in lanes_of(tmp_path, told).changes] == [
        (5.0, "New instructions", "a reset"),
        (6.0, "New options: voice_id", "a reset"),
        (8.0, "Handoff from front to billing", "a reset"),
        (12.0, "Handoff to another agent", ""),
    ]


def test_what_was_set_before_the_call_began_is_no_change(tmp_path):
    assert lanes_of(tmp_path, [*caller(2.0, 3.0)]).changes == []


def test_the_agents_state_is_livekits(tmp_path):
    told: list[Told] = [(1.0, AgentState("listening")), (3.0, AgentState("thinking"))]
    found = msgspec.to_builtins(lanes_of(tmp_path, told).agent)
    assert [(one["state"], one["start"], one["end"]) for one in found] == [
        ("listening", 1.0, 3.0),
        ("thinking", 3.0, 20.0),
    ]
