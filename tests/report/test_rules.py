"""What the rules find in a call, with which cause, and that they find nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs
from support.told_calls import barge_in, taken_over
from support.written_traces import CHUNK, Told, assistant, caller, opening, tool, write

from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import (
    Addition,
    CallerAudio,
    CommitAudio,
    ConnectionOpened,
    EventLoopLate,
    GenerateReply,
    Interrupt,
    PlaybackFinished,
    PlaybackStarted,
    Restart,
    RoundTrip,
    StartUserActivity,
    ToolEnded,
    ToolStarted,
    UpdateChatContext,
)
from phonic_fsm._core.history import Message
from phonic_fsm._report.lanes import LaneBuilder
from phonic_fsm._report.overview import overview
from phonic_fsm._report.rules import RULES
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace._reader import TraceReader

SPEECH = CallerAudio(received_ms=1000, dbfs=-30.0, peak=-9.0, sent_ms=1000, rate=48_000, channels=1)
ROOM_NOISE = CallerAudio(
    received_ms=1000, dbfs=-66.0, peak=-54.0, sent_ms=1000, rate=48_000, channels=1
)
ZEROS = CallerAudio(received_ms=1000, sent_ms=1000, rate=48_000, channels=1)
NOTHING = CallerAudio(filled_ms=1000)
MUTED = CallerAudio(
    received_ms=1000, dbfs=-30.0, peak=-9.0, filled_ms=1000, dropped_ms=1000, rate=48_000
)
TWICE = CallerAudio(received_ms=2000, dbfs=-30.0, peak=-9.0, sent_ms=2000, rate=24_000, channels=1)
PILING_UP = CallerAudio(
    received_ms=1000, dbfs=-30.0, peak=-9.0, sent_ms=500, waiting_ms=3000, rate=48_000, channels=1
)

TALK = [*caller(2.0, 3.0), *assistant(3.5, "Yes. ")]


def found_in(
    path: Path, told: list[Told], *, close: float = 20.0, but: tuple[str, ...] = ("silence",)
) -> list[tuple[str, str, str]]:
    """Rule, title and severity of what is found in a call in which all this happens, without what
    the rules in ``but`` find."""
    trace = write(path / "call.jsonl", [*opening(), *told], close=close)
    found = overview(TraceReader(trace)).findings
    assert all(finding.sentence.endswith(".") for finding in found)
    assert {finding.rule for finding in found} <= {rule.name for rule in RULES}
    return [
        (finding.rule, finding.title, finding.severity)
        for finding in found
        if finding.rule not in but
    ]


@pytest.mark.parametrize(
    ("audio", "title"),
    [
        (NOTHING, "No audio came from the caller"),
        (ZEROS, "Only digital silence came from the caller"),
        (MUTED, "Nothing of the caller's audio was sent"),
        (ROOM_NOISE, "Nothing as loud as speech came from the caller"),
        (SPEECH, "The caller said nothing that was understood"),
    ],
)
def test_a_caller_who_says_nothing_has_a_cause(audio, title, tmp_path):
    told: list[Told] = [(1.0, audio)]
    assert found_in(tmp_path, told) == [
        ("caller-not-heard", f"{title}: the caller was not heard", "error")
    ]


def test_nothing_is_found_in_a_call_that_tells_nothing_of_the_caller(tmp_path):
    assert found_in(tmp_path, []) == []


def test_nothing_is_found_where_the_caller_writes(tmp_path):
    typed = UpdateChatContext(added=(Addition(None, Message("m", "user", "Hello.")),))
    assert found_in(tmp_path, [(1.0, NOTHING), (2.0, typed)]) == [
        ("microphone-gone", "No audio from the caller for 19.5 s", "note")
    ]


def test_a_short_call_may_pass_without_a_word(tmp_path):
    assert found_in(tmp_path, [(1.0, SPEECH)], close=10.0) == []


def test_a_healthy_caller_is_no_finding(tmp_path):
    told = [*TALK, (1.0, ROOM_NOISE), (3.0, SPEECH), (4.0, ROOM_NOISE), (4.1, RoundTrip(0.04))]
    assert found_in(tmp_path, sorted(told, key=lambda one: one[0])) == []


@pytest.mark.parametrize(
    ("audio", "title"),
    [
        (NOTHING, "No audio from the caller for 14.0 s"),
        (ZEROS, "Digital silence from the caller for 14.0 s"),
    ],
)
def test_a_microphone_that_goes_is_noted(audio, title, tmp_path):
    told = [*TALK, (4.0, SPEECH), (7.0, audio)]
    assert found_in(tmp_path, told) == [("microphone-gone", title, "note")]


def test_frames_that_name_another_rate_are_found(tmp_path):
    (finding,) = found_in(tmp_path, [(1.0, TWICE), *TALK])
    assert finding == (
        "wrong-rate",
        "The caller's audio came 2.0 times as fast as time passes",
        "error",
    )


def test_a_burst_is_no_wrong_rate(tmp_path):
    assert found_in(tmp_path, [(1.0, TWICE), *TALK[:1], (3.0, SPEECH), *TALK[1:]]) == []


def test_audio_that_piles_up_is_found(tmp_path):
    (finding,) = found_in(tmp_path, [(1.0, SPEECH), *TALK, (5.0, PILING_UP)])
    assert finding == (
        "caller-behind",
        "Audio of the caller piled up: the caller's audio fell behind",
        "warning",
    )


def test_audio_that_is_lost_behind_a_slow_connection_is_found(tmp_path):
    lost = structs.replace(PILING_UP, waiting_ms=2000, dropped_ms=400, overflowed_ms=400)
    told = [(1.0, SPEECH), *TALK, (5.0, lost), (9.0, SPEECH)]
    assert found_in(tmp_path, told) == [
        (
            "caller-behind",
            "The connection took too little: 1.6 s of the caller's audio was lost",
            "error",
        )
    ]


def test_the_first_seconds_in_which_livekit_is_deaf_are_noted(tmp_path):
    greeting = assistant(1.0, *(["Hello. "] * 150))
    told = [*greeting, (2.1, ZEROS), (5.1, SPEECH), *caller(5.2, 6.0)]
    assert found_in(tmp_path, told) == [
        ("deaf-at-start", "Only digital silence came while the assistant began", "note")
    ]


@pytest.mark.parametrize(("seconds", "found"), [(0.2, False), (1.5, True)])
def test_a_process_that_is_held_up_is_found(seconds, found, tmp_path):
    told = [(1.0, SPEECH), *TALK, (6.0, EventLoopLate(seconds))]
    titles = [title for _, title, _ in found_in(tmp_path, told)]
    assert titles == (["The process stood still for 1.5 s"] if found else [])


def test_a_takeover_shows_for_how_long_nobody_had_the_call(tmp_path):
    goes_on = [*taken_over(10.0, lost_for=1.5), *assistant(10.5, "Here I am. ")]
    told = [*TALK, (8.0, RoundTrip(0.02)), *goes_on]
    assert found_in(tmp_path, told) == [
        ("taken-over", "Another process took the call over after 1.5 s", "warning")
    ]
    reader = TraceReader(tmp_path / "call.jsonl")
    builder = LaneBuilder(reader.header.settings)
    for line in reader:
        builder.take(line)
    lanes = builder.lanes()
    [gap] = lanes.takeovers
    assert (gap.start, gap.end) == (8.5, 10.0)
    lost = [link for link in lanes.connection if link.kind == "lost"]
    assert [(link.start, link.end, link.restored) for link in lost] == [(8.5, 10.3, True)]


def test_a_move_is_no_death(tmp_path):
    goes_on = [
        *taken_over(10.0, cause="move", lost_for=0.2),
        *assistant(10.5, "Here I am. "),
    ]
    told = [*TALK, (9.8, RoundTrip(0.02)), *goes_on]
    assert found_in(tmp_path, told) == [
        ("moved", "The call moved to another process in 200 ms", "note")
    ]


def test_a_restart_is_noted(tmp_path):
    restarted: list[Told] = [
        (8.0, Restart()),
        (8.2, ConnectionOpened(0.1)),
        (8.3, server.ConversationCreated("conv_2")),
        (8.4, server.ReadyToStartConversation()),
        *assistant(8.5, "Here I am. "),
    ]
    assert found_in(tmp_path, [*TALK, *restarted]) == [
        ("warning", "The conversation is restarted", "note")
    ]


def test_a_slow_network_is_found_once_for_each_stretch(tmp_path):
    trips: list[Told] = [
        (4.0 + number, RoundTrip(seconds)) for number, seconds in enumerate((0.1, 0.8, 0.9, 0.1))
    ]
    assert found_in(tmp_path, [(1.0, SPEECH), *TALK, *trips]) == [
        ("slow-network", "A round trip to Phonic took 800 ms", "warning")
    ]


def test_a_process_that_loses_the_callers_audio_has_no_wrong_rate(tmp_path):
    short = CallerAudio(received_ms=600, dbfs=-30.0, peak=-9.0, sent_ms=600, rate=24_000)
    late: list[Told] = [(4.0 + number / 2, EventLoopLate(0.2)) for number in range(20)]
    told = [(1.0, short), *TALK, *late]
    assert found_in(tmp_path, sorted(told, key=lambda one: one[0])) == [
        ("process-held-up", "The process stood still 20 times in 9.7 s", "warning")
    ]


def test_a_silence_of_a_process_that_stood_still_is_one_error(tmp_path):
    told = [(1.0, SPEECH), *caller(2.0, 3.0), *tool(3.1, 9.0), (9.0, EventLoopLate(5.8))]
    told += [(3.1, ToolStarted("call_1")), (9.0, ToolEnded("call_1", "done"))]
    told = sorted([*told, *assistant(9.1, "Sunny. ")], key=lambda one: one[0])
    assert found_in(tmp_path, told, close=10.0, but=()) == [
        ("process-held-up", "The process stood still for 5.8 s: 6.2 s of silence", "error")
    ]


def test_a_stop_that_is_not_half_of_a_silence_does_not_explain_it(tmp_path):
    told = [(1.0, SPEECH), *caller(2.0, 3.0), (7.0, EventLoopLate(3.5)), *assistant(14.0, "Yes. ")]
    assert [rule for rule, _, _ in found_in(tmp_path, told, close=15.0, but=())] == [
        "silence",
        "process-held-up",
    ]


def test_a_caller_who_is_heard_no_more_while_the_process_stands_still_is_not_phonics_fault(
    tmp_path,
):
    levels = structs.replace(SPEECH, levels=(-30,) * 4 + (-90,) * 6)
    told: list[Told] = [(3.0, levels), *caller(2.0, 8.0), (7.5, EventLoopLate(4.5))]
    told = sorted([*told, *assistant(8.2, "Yes. ")], key=lambda one: one[0])
    assert "late-end" not in {rule for rule, _, _ in found_in(tmp_path, told)}


NOISE = structs.replace(SPEECH, dbfs=-31.0, peak=-20.0, levels=(-31,) * 10)
WORDS = structs.replace(SPEECH, levels=(-30, -32, -45, -30, -33, -60, -31, -30, -44, -30))
HUSH = structs.replace(ROOM_NOISE, levels=(-66,) * 10)


@pytest.mark.parametrize(
    ("background", "found"), [(HUSH, ["unnoticed"]), (NOISE, [])], ids=["hush", "noise"]
)
def test_speech_that_phonic_takes_no_notice_of_is_found_unless_it_may_be_noise(
    background, found, tmp_path
):
    floor = max(background.levels)  # no pause between two words is softer
    words = structs.replace(WORDS, levels=tuple(max(level, floor) for level in WORDS.levels))
    told = [(3.0, words), *TALK, (4.0, background), *((t, words) for t in (8.0, 9.0, 10.0, 11.0))]
    told = sorted([*told, (12.0, background), (12.5, words)], key=lambda one: one[0])
    assert [rule for rule, _, _ in found_in(tmp_path, told)] == found


# -- tools ---------------------------------------------------------------------------------------


def slow_tool(ran: tuple[float, float] | None) -> list[Told]:
    """A tool that is called at 3.0 and gives its output at 11.0."""
    told = [(1.0, SPEECH), *caller(2.0, 3.0), *tool(3.0, 11.0), *assistant(11.0, "Sunny. ")]
    if ran is not None:
        told += [(ran[0], ToolStarted("call_1")), (ran[1], ToolEnded("call_1", "done"))]
    return sorted(told, key=lambda one: one[0])


@pytest.mark.parametrize(
    ("ran", "seconds"),
    [(None, "8.0 s"), ((3.0, 11.0), "8.0 s"), ((7.5, 11.0), "3.5 s")],
    ids=["not observed", "at once", "after what was said"],
)
def test_a_silence_names_the_tool_that_caused_it(ran, seconds, tmp_path):
    (finding,) = found_in(tmp_path, slow_tool(ran), close=12.0, but=())
    assert finding == ("silence", f"get_weather took {seconds}: 8.1 s of silence", "error")


def test_a_tool_that_raises_is_found(tmp_path):
    told = [
        (1.0, SPEECH),
        *caller(2.0, 3.0),
        (3.0, server.ToolCall("call_1", "get_weather", {})),
        (3.1, ToolStarted("call_1")),
        (3.2, ToolEnded("call_1", "error")),
        *tool(3.0, 3.3)[1:],
        *assistant(3.5, "Sorry. "),
    ]
    assert found_in(tmp_path, told, close=5.0) == [
        ("tool-failed", "get_weather raised an error", "error")
    ]


def test_a_tool_that_raises_after_an_interruption_is_a_note(tmp_path):
    told = [
        (1.0, SPEECH),
        *caller(2.0, 3.0),
        (3.0, server.ToolCall("call_1", "get_weather", {})),
        (3.1, ToolStarted("call_1")),
        (3.2, server.ToolCallInterrupted("call_1")),
        (3.4, ToolEnded("call_1", "error")),
        *assistant(3.5, "A bus, then. "),
    ]
    assert found_in(tmp_path, told, close=5.0) == [
        ("tool-failed", "get_weather raised an error", "note")
    ]


def test_a_silence_after_which_nobody_waited_is_no_error(tmp_path):
    told = [(1.0, SPEECH), *TALK]
    assert found_in(tmp_path, told, close=14.5, but=()) == [
        ("silence", "Phonic heard no speech of the caller: 10.9 s of silence", "note")
    ]


def test_a_silence_names_phonic_where_nothing_else_is_to_blame(tmp_path):
    told = [(1.0, SPEECH), *caller(2.0, 3.0), *assistant(9.0, "Yes. ")]
    assert found_in(tmp_path, told, close=10.0, but=()) == [
        ("silence", "Phonic did not answer for 6.0 s: 6.1 s of silence", "error")
    ]


def test_an_assistant_that_asks_a_silent_caller_again_does_not_repeat_itself(tmp_path):
    asks = [one for at in (4.0, 12.0) for one in assistant(at, "Are you still there?")]
    assert found_in(tmp_path, [(1.0, SPEECH), *caller(2.0, 3.0), *asks], close=15.0) == []


def test_a_line_before_each_of_two_tools_is_not_said_twice(tmp_path):
    line = "Let me look that up for you."
    told = [(1.0, SPEECH), *caller(2.0, 3.0), *assistant(3.2, line), *tool(3.6, 4.0)]
    told += [*assistant(4.2, line), *tool(4.6, 5.0, "call_2"), *assistant(5.2, "Sunny. ")]
    found = found_in(tmp_path, sorted(told, key=lambda one: one[0]), close=8.0)
    assert "repeated" not in {rule for rule, _, _ in found}


def test_a_reply_that_is_asked_for_once_the_caller_has_come_is_not_late(tmp_path):
    """An agent that calls somebody asks for its first reply when the other end has picked up."""
    told: list[Told] = [(1.0, NOTHING), (13.0, SPEECH), (13.0, GenerateReply("r", None))]
    found = found_in(tmp_path, [*told, *assistant(13.3, "Hello. ")], close=15.0, but=())
    assert [one for one in found if one[2] == "error"] == []


# -- answers and interruptions -------------------------------------------------------------------


def answer(begin: float, seconds: float, text: str = "Well, ") -> list[Told]:
    """An answer of this length, streamed ahead."""
    chunk = server.AudioChunk(CHUNK * round(seconds * 50), text)
    return [
        (begin, server.AssistantStartedSpeaking()),
        (begin + 0.01, chunk),
        (begin + 0.02, server.AssistantFinishedSpeaking()),
    ]


@pytest.mark.parametrize(
    "told_by_phonic",
    [
        [],
        [(2.1, server.UserStartedSpeaking()), (11.0, server.UserFinishedSpeaking())],
        [(10.1, server.UserStartedSpeaking()), (11.0, server.UserFinishedSpeaking())],
        [(2.1, server.UserStartedSpeaking()), (6.0, server.UserFinishedSpeaking())],
    ],
    ids=["nothing", "the end later", "all of it later", "the end at a pause"],
)
def test_with_push_to_talk_silence_begins_with_the_commit(told_by_phonic, tmp_path):
    told = [*told_by_phonic, (2.0, StartUserActivity()), (10.0, CommitAudio()), *answer(13.5, 1.0)]
    told.sort(key=lambda one: one[0])
    settings = Settings(
        id_seed="seed", config=ConfigOptions(output_format="pcm_24000", push_to_talk=True)
    )
    trace = write(tmp_path / "call.jsonl", [*opening(), *told], close=15.0, settings=settings)
    found = overview(TraceReader(trace)).findings
    assert [(finding.title, finding.start, finding.end) for finding in found] == [
        ("Phonic did not answer for 3.5 s: 3.5 s of silence", 10.0, 13.51)
    ]


def test_an_answer_that_pauses_is_found(tmp_path):
    told = [
        *caller(2.0, 3.0),
        (3.5, server.AssistantStartedSpeaking()),
        (3.5, server.AudioChunk(CHUNK * 25, "One ")),
        (6.0, server.AudioChunk(CHUNK * 25, "two.")),
        (6.1, server.AssistantFinishedSpeaking()),
    ]
    assert found_in(tmp_path, told, close=8.0) == [
        ("gap-in-answer", "Phonic's audio came late: an answer paused for 2.0 s", "warning")
    ]


def test_an_answer_that_livekit_does_not_play_is_found(tmp_path):
    told = [
        *answer(1.0, 2.0),
        (1.1, PlaybackStarted()),
        (3.1, PlaybackFinished(2.0, interrupted=False)),
        *caller(4.0, 5.0),
        *answer(5.5, 3.0),
    ]
    assert found_in(tmp_path, told, close=10.0) == [
        ("not-played", "LiveKit played nothing of an answer: 3.0 s not heard", "error")
    ]


def test_a_storm_of_interruptions_is_found_once(tmp_path):
    told = []
    for number in range(6):
        begin = 2.0 + number * 4
        told += [*answer(begin, 8.0), *barge_in(begin + 2.0)]
    found = found_in(tmp_path, told, close=28.0)
    assert found == [
        ("many-interruptions", "Sounds of the caller cut off 6 answers in 20.0 s", "warning")
    ]


def test_an_agent_that_interrupts_itself_is_not_interrupted_by_the_caller(tmp_path):
    told: list[Told] = []
    for number in range(6):
        begin = 2.0 + number * 2
        told += [*answer(begin, 8.0), (begin + 0.5, Interrupt())]
    assert found_in(tmp_path, told, close=16.0) == [
        (
            "cut-off-at-start",
            "The agent's code cut off 6 answers in a row at the start",
            "error",
        )
    ]


def test_an_agent_that_cannot_say_anything_is_found(tmp_path):
    told = []
    for number in range(3):
        begin = 2.0 + number * 20
        told += [*answer(begin, 8.0), *barge_in(begin + 0.4)]
    found = found_in(tmp_path, told, close=60.0)
    assert (
        "cut-off-at-start",
        "Sounds of the caller cut off 3 answers in a row at the start",
        "error",
    ) in (found)


@pytest.mark.parametrize(
    ("text", "echoed"),
    [
        ("The museum opens at nine.", True),
        ("museum opens at nine in the morning", True),
        ("At nine.", False),
        ("And when does it close on Sundays?", False),
    ],
)
def test_the_assistants_own_words_are_an_echo(text, echoed, tmp_path):
    told = [
        *caller(2.0, 3.0),
        *answer(3.5, 4.0, "The museum opens at nine in the morning."),
        *barge_in(5.0, text),
        *answer(6.0, 0.5, "Yes?"),
    ]
    found = [rule for rule, _, _ in found_in(tmp_path, told, close=8.0)]
    assert found == (["echo"] if echoed else [])


def test_an_echo_is_found_where_the_assistants_words_came_in_pieces(tmp_path):
    told = [
        *caller(2.0, 3.0),
        (3.5, server.AssistantStartedSpeaking()),
        (3.51, server.AudioChunk(CHUNK * 100, "The muse")),
        (3.52, server.AudioChunk(CHUNK * 100, "um opens at nine.")),
        (3.53, server.AssistantFinishedSpeaking()),
        *barge_in(5.0, "The museum opens."),
        *answer(6.0, 0.5, "Yes?"),
    ]
    assert [rule for rule, _, _ in found_in(tmp_path, told, close=8.0)] == ["echo"]


def test_a_tool_that_is_called_twice_for_the_same_is_found(tmp_path):
    told = [*caller(2.0, 3.0), *tool(3.5, 4.0), *tool(5.0, 5.5, "call_2"), *answer(6.0, 1.0)]
    assert found_in(tmp_path, told, close=8.0) == [
        ("tool-called-again", "get_weather was called again with the same arguments", "warning")
    ]


# -- calls in which nothing is wrong -------------------------------------------------------------

HEALTHY: dict[str, list[Told]] = {
    "a question and an answer": [*caller(2.0, 3.0), *answer(3.6, 2.0)],
    "a caller who thinks": [*answer(1.0, 2.0), *caller(11.0, 12.0), *answer(12.5, 1.0)],
    "an ordinary tool": [*caller(2.0, 3.0), *tool(3.4, 5.2), *answer(5.6, 1.0)],
    "a long tool after a line": [
        *caller(2.0, 3.0),
        *answer(3.5, 2.5, "Let me look that up for you."),
        *tool(3.6, 8.0),
        *answer(8.4, 1.0),
    ],
    "an interruption": [*answer(1.0, 8.0), *barge_in(4.0), *answer(5.0, 1.0)],
    "three interruptions in a minute": [
        told
        for number in range(3)
        for told in (
            *answer(1.0 + number * 20, 9.0),
            *barge_in(5.0 + number * 20),
            *answer(6.0 + number * 20, 13.0),
        )
    ],
    "a turn that is taken back": [
        *answer(1.0, 2.0),
        (4.0, server.UserStartedSpeaking()),
        (4.3, server.InputCancelled()),
        *caller(6.0, 7.0),
        *answer(7.5, 1.0),
    ],
    "an assistant that need not answer": [
        *caller(2.0, 3.0, "One moment."),
        (3.2, server.AssistantChoseNotToRespond()),
        *caller(9.0, 10.0),
        *answer(10.5, 1.0),
    ],
    "two tools at once": [
        *caller(2.0, 3.0),
        (3.4, server.ToolCall("call_1", "get_weather", {"city": "Paris"})),
        (3.4, server.ToolCall("call_2", "get_weather", {"city": "Rome"})),
        *tool(3.4, 5.0)[1:],
        *tool(3.4, 5.2, "call_2")[1:],
        *answer(5.5, 1.0),
    ],
    "words repeated on purpose": [
        *answer(1.0, 2.0, "Shall I book it?"),
        *caller(4.0, 5.0, "Book it."),
        *answer(5.5, 1.0),
    ],
    "a short process hiccup": [*caller(2.0, 3.0), (3.2, EventLoopLate(0.15)), *answer(3.6, 2.0)],
    "played as it came": [
        *caller(2.0, 3.0),
        *answer(3.6, 2.0),
        (3.7, PlaybackStarted()),
        (5.7, PlaybackFinished(2.0, interrupted=False)),
    ],
}


@pytest.mark.parametrize("kind", HEALTHY)
def test_nothing_is_found_in_a_healthy_call(kind, tmp_path):
    told = sorted([(0.9, SPEECH), *HEALTHY[kind]], key=lambda one: one[0])
    close = max(t for t, _ in told) + 4
    found = found_in(tmp_path, told, close=close, but=())
    assert [one for one in found if one[2] != "note"] == []
