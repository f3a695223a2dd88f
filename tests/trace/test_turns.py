"""What the caller's turns waited for: when the caller fell silent, and each wait after that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.written_traces import CHUNK, Told, assistant, caller, opening, tool, write

from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import (
    CallerAudio,
    CommitAudio,
    ConnectionClosed,
    ConnectionOpened,
    PlaybackStarted,
    StartUserActivity,
    ToolEnded,
    ToolStarted,
)
from phonic_fsm._report.waterfall import waterfalls
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import Figures, TraceReader, measure

LOUD, QUIET = -30, -66


def second(*levels: int, **more: int) -> CallerAudio:
    return CallerAudio(received_ms=1000, dbfs=float(max(levels)), levels=levels, **more)


def figures(path: Path, *told: Told, **config: Any) -> Figures:
    steps = sorted([*opening(), *told], key=lambda one: one[0])
    settings = Settings(id_seed="seed", config=ConfigOptions(output_format="pcm_24000", **config))
    return measure(TraceReader(write(path / "call.jsonl", steps, close=30.0, settings=settings)))


TALK = second(*[LOUD, LOUD, LOUD, QUIET, LOUD] * 2)
STOPS = second(*[LOUD] * 4, *[QUIET] * 6)
"""After 0.4 s of it there is no more sound."""
ROOM = second(*[QUIET] * 10)
SPOKEN = [(2.0, ROOM), (3.0, TALK), (4.0, STOPS), *caller(2.1, 4.3), *assistant(4.5, "Yes. ")]
"""The caller falls silent at 3.4 s, Phonic says so at 4.3 s, and the answer comes at 4.6 s."""


def test_an_answer_is_waited_for_from_the_last_sound(tmp_path):
    found = figures(tmp_path, *SPOKEN, (5.0, ROOM))
    [turn] = found.turns
    assert turn.silent == pytest.approx(3.4)
    assert turn.endpoint == 4.3
    assert found.response_latencies == [pytest.approx(1.2)]


def test_the_last_sound_is_found_in_a_second_that_is_told_of_later(tmp_path):
    told = [(2.0, ROOM), (3.0, TALK), *caller(2.1, 3.9), *assistant(4.5, "Yes. "), (4.0, STOPS)]
    [turn] = figures(tmp_path, *told).turns
    assert turn.silent == pytest.approx(3.4)


@pytest.mark.parametrize(
    "told_by_phonic",
    [
        [],
        [(2.1, server.UserStartedSpeaking()), (5.1, server.UserFinishedSpeaking())],
        [(4.4, server.UserStartedSpeaking()), (5.1, server.UserFinishedSpeaking())],
        [(2.1, server.UserStartedSpeaking()), (4.0, server.UserFinishedSpeaking())],
    ],
    ids=["nothing", "the end later", "all of it later", "the end at a pause"],
)
def test_with_push_to_talk_the_turn_ends_with_the_commit(told_by_phonic, tmp_path):
    told = [(2.0, StartUserActivity()), *told_by_phonic, (4.3, CommitAudio())]
    told += assistant(6.0, "Yes. ")
    found = figures(tmp_path, *told, push_to_talk=True)
    assert [(turn.endpoint, turn.committed) for turn in found.turns] == [(4.3, True)]
    assert found.response_latencies == [1.8]
    levels = [(2.0, ROOM), (3.0, TALK), (4.0, STOPS), (5.0, ROOM)]
    [turn] = figures(tmp_path, *levels, *told, push_to_talk=True).turns
    assert turn.silent == pytest.approx(3.4)


def test_with_push_to_talk_a_turn_without_an_answer_is_a_turn(tmp_path):
    told: list[Told] = [
        (2.0, StartUserActivity()),
        (3.0, CommitAudio()),
        (9.0, StartUserActivity()),
        (10.0, CommitAudio()),
        *assistant(10.5, "Yes. "),
    ]
    found = figures(tmp_path, *told, push_to_talk=True)
    assert [(turn.endpoint, turn.latency) for turn in found.turns] == [(3.0, None), (10.0, 0.6)]


@pytest.mark.parametrize(
    "levels",
    [
        [],
        [(2.0, ROOM), (3.0, TALK), (4.0, second(*[LOUD] * 10)), (5.0, second(*[LOUD] * 10))],
        [(2.0, second(*[LOUD] * 10))],
        [(2.0, second(*[-100] * 10))],
    ],
    ids=["no levels", "the sound goes on", "a steady noise", "digital silence"],
)
def test_without_a_last_sound_it_is_phonics_word(levels, tmp_path):
    found = figures(tmp_path, *levels, *caller(2.1, 4.3), *assistant(4.5, "Yes. "))
    assert [turn.silent for turn in found.turns] == [None]
    assert found.response_latencies == [0.3]


def test_a_sound_before_the_turn_is_not_its_last(tmp_path):
    told = [(1.0, STOPS), (2.0, ROOM), *caller(5.0, 6.0), *assistant(6.3, "Yes. ")]
    assert [turn.silent for turn in figures(tmp_path, *told).turns] == [None]


WITH_A_TOOL = [
    *caller(2.0, 3.0),
    (3.2, server.AssistantStartedSpeaking()),
    (3.3, server.AudioChunk(CHUNK * 100, "Let me see. ")),
    (3.35, PlaybackStarted()),
    (3.4, server.ToolCall("call_1", "get_weather", {"city": "Paris"})),
    (5.3, ToolStarted("call_1")),
    (7.8, ToolEnded("call_1", "done")),
    *tool(3.4, 7.9)[1:],
    (8.2, server.AssistantStartedSpeaking()),
    (8.3, server.AudioChunk(CHUNK, "Sunny.", {"llm": 210.0, "tts": 80.0})),
    (8.36, PlaybackStarted()),
]


def test_the_agents_own_sentence_is_not_the_tools_time(tmp_path):
    found = figures(tmp_path, *WITH_A_TOOL)
    assert found.tool_durations == [2.5]
    assert found.tool_waits == [1.9]


def test_where_tools_are_not_observed_their_time_has_the_wait_in_it(tmp_path):
    unseen = [one for one in WITH_A_TOOL if not isinstance(one[1], (ToolStarted, ToolEnded))]
    found = figures(tmp_path, *unseen)
    assert (found.tool_durations, found.tool_waits) == ([4.5], [])


def test_every_part_of_a_turn_is_told(tmp_path):
    [turn] = waterfalls(figures(tmp_path, *WITH_A_TOOL).turns)
    assert turn.latency == 0.3
    assert not turn.by_sound
    assert [(part.kind, part.text) for part in turn.parts] == [
        ("phonic", "300 ms until the first audio"),
        ("output", "50 ms until LiveKit played it"),
        ("spoken", "100 ms until Phonic called get_weather, after it had begun to speak"),
        ("wait", "1.9 s until LiveKit ran get_weather, after what was said before"),
        ("tool", "2.5 s get_weather"),
        ("phonic", "400 ms until the first audio (Phonic: llm 210 ms, tts 80 ms)"),
        ("output", "60 ms until LiveKit played it"),
    ]


def test_a_waterfall_begins_with_the_last_sound(tmp_path):
    [turn] = waterfalls(figures(tmp_path, *SPOKEN, (5.0, ROOM)).turns)
    assert turn.by_sound
    first = turn.parts[0]
    assert (first.kind, first.end) == ("endpoint", 4.3)
    assert first.text == "900 ms until Phonic noticed the end of the turn"


def test_a_turn_that_gets_no_answer_has_no_parts(tmp_path):
    assert waterfalls(figures(tmp_path, *caller(2.0, 3.0)).turns) == []


# -- audio that an outage has lost -------------------------------------------------------------


def outage(begin: float, end: float) -> list[Told]:
    """A connection that is lost and resumed."""
    return [
        (begin, ConnectionClosed(1006)),
        (end - 0.1, ConnectionOpened(0.1)),
        (end, server.ConversationReconnected()),
    ]


def test_what_an_outage_loses_is_measured(tmp_path):
    told = [
        (5.0, second(*[QUIET] * 10, sent_ms=1000)),
        *outage(5.5, 12.0),
        (8.0, second(*[QUIET] * 10, dropped_ms=500)),
        (9.0, second(*[QUIET] * 10, dropped_ms=1000)),
        # Not told of: two seconds that were like the last one.
        (12.5, second(*[QUIET] * 10, dropped_ms=400, sent_ms=600)),
    ]
    assert figures(tmp_path, *told).dropped_audio_ms == 500 + 1000 + 2500 + 400


def test_what_is_dropped_at_other_times_is_lost_in_no_outage(tmp_path):
    told = [(4.0, second(QUIET, dropped_ms=1000)), *outage(9.0, 9.1), (11.0, second(QUIET))]
    assert figures(tmp_path, *told).dropped_audio_ms == pytest.approx(100)


def test_without_measures_it_is_calculated(tmp_path):
    assert figures(tmp_path, *outage(5.0, 12.0)).dropped_audio_ms == 5000
