"""Who ended a call and why, as the page, ``stats`` and ``replay`` say it."""

from __future__ import annotations

import msgspec
import pytest
from support.written_traces import CHUNK, Told, assistant, caller, opening, write

from phonic_fsm._core.effects import EmitError
from phonic_fsm._core.events import (
    AgentChanged,
    AgentSessionClosed,
    AgentState,
    Break,
    Close,
    ConnectFailed,
    ConnectionClosed,
    JobShutDown,
    LastWordsOver,
    Open,
    PlaybackLeft,
)
from phonic_fsm._report.end import _ERRORS
from phonic_fsm._report.overview import overview
from phonic_fsm._wire import server
from phonic_fsm.trace import TraceReader

CALL = [*opening(), *caller(2.0, 3.0), *assistant(3.5, "Yes. ")]
SEEN = (1.0, AgentState("listening"))
CLOSED = (9.0, Close())


def livekit(reason: str, **more: str) -> Told:
    return (9.01, AgentSessionClosed(reason, **more))


HOW: dict[str, tuple[list[Told], str, str, str]] = {
    "nobody is observed": (
        [CLOSED],
        "unknown",
        "aclose",
        "no AgentSession was observed",
    ),
    "the realtime session alone": (
        [SEEN, CLOSED],
        "unknown",
        "aclose",
        "gave no reason",
    ),
    "aclose()": ([SEEN, CLOSED, livekit("user_initiated")], "code", "user_initiated", "aclose()"),
    "the caller": (
        [SEEN, CLOSED, livekit("participant_disconnected")],
        "livekit",
        "participant_disconnected",
        "The caller left",
    ),
    "another plugin's error": (
        [SEEN, CLOSED, livekit("error", error="tts: no voice")],
        "error",
        "error",
        "tts: no voice.",
    ),
    "the worker": (
        [
            SEEN,
            CLOSED,
            livekit("user_initiated"),
            (9.2, JobShutDown("parent process shutdown")),
        ],
        "livekit",
        "job_shutdown",
        "The worker ended it: it was stopped, or LiveKit's server told it to",
    ),
    "the room": (
        [
            SEEN,
            CLOSED,
            livekit("user_initiated", room_left="ROOM_DELETED"),
            (9.2, JobShutDown("room disconnected")),
        ],
        "livekit",
        "room_deleted",
        "The room was deleted",
    ),
    "the room, whose caller is gone first": (
        [
            SEEN,
            CLOSED,
            livekit("participant_disconnected", caller_left="ROOM_DELETED"),
        ],
        "livekit",
        "room_deleted",
        "The room was deleted",
    ),
    "the room, and with it the job": (
        [
            SEEN,
            CLOSED,
            livekit("user_initiated", caller_left="ROOM_DELETED"),
            (9.2, JobShutDown("parent process shutdown")),
        ],
        "livekit",
        "room_deleted",
        "The room was deleted",
    ),
    "the room, which the server could not keep": (
        [
            SEEN,
            CLOSED,
            livekit("user_initiated", room_left="STATE_MISMATCH"),
            (9.2, JobShutDown("room disconnected")),
        ],
        "livekit",
        "job_shutdown",
        "The room was disconnected (STATE_MISMATCH).",
    ),
    "the person called": (
        [
            SEEN,
            CLOSED,
            livekit("participant_disconnected", caller_left="USER_REJECTED"),
        ],
        "livekit",
        "user_rejected",
        "The call was declined",
    ),
    "the caller, who hangs up": (
        [
            SEEN,
            CLOSED,
            livekit("participant_disconnected", caller_left="CLIENT_INITIATED"),
        ],
        "livekit",
        "participant_disconnected",
        "The caller left",
    ),
    "aclose(), and then the room": (
        [SEEN, CLOSED, livekit("user_initiated"), (9.8, JobShutDown("room disconnected"))],
        "code",
        "user_initiated",
        "Then the job was shut down: room disconnected.",
    ),
    "ctx.shutdown()": (
        [SEEN, CLOSED, livekit("user_initiated"), (9.2, JobShutDown("all is said"))],
        "code",
        "user_initiated",
        "all is said",
    ),
    "a reason that LiveKit may give one day": (
        [SEEN, CLOSED, livekit("bored")],
        "livekit",
        "bored",
        "Bored.",
    ),
    "a handoff to an agent with another model": (
        [SEEN, CLOSED, (9.1, AgentChanged("billing", "front"))],
        "livekit",
        "handoff",
        "billing",
    ),
    "Phonic's close": (
        [SEEN, (9.0, ConnectionClosed(4400, "out of credit")), (9.0, PlaybackLeft(0.0))],
        "phonic",
        "conversation_ended",
        "out of credit",
    ),
    "the assistant's goodbye": (
        [
            (8.0, server.AssistantEndedConversation()),
            (8.0, PlaybackLeft(0.0)),
            (8.5, LastWordsOver()),
            (8.5, PlaybackLeft(0.0)),
        ],
        "phonic",
        "conversation_ended",
        "The assistant ended the conversation",
    ),
    "the last words are cut off": (
        [
            (7.9, server.AssistantStartedSpeaking()),
            (7.9, server.AudioChunk(CHUNK * 200, "Bye.")),
            (8.0, server.AssistantEndedConversation()),
            (8.5, Close()),
            (8.6, AgentSessionClosed("user_initiated")),
        ],
        "phonic",
        "conversation_ended",
        "last words",
    ),
    "a fault": ([(8.0, Break("KeyError"))], "error", "internal_error", "KeyError"),
}


@pytest.mark.parametrize("how", HOW)
def test_the_end_of_a_call_has_an_author_and_a_reason(how, tmp_path):
    told, by, reason, says = HOW[how]
    trace = write(tmp_path / "call.jsonl", sorted([*CALL, *told], key=lambda one: one[0]))
    end = overview(TraceReader(trace)).end
    assert end is not None
    assert (end.by, end.reason) == (by, reason)
    assert says in f"{end.title}. {end.sentence}"
    assert end.sentence.endswith(".")


def test_without_a_connection_the_end_says_so(tmp_path):
    told: list[Told] = [(0.0, Open()), (0.1, ConnectFailed("HTTP 401", retryable=False))]
    end = overview(TraceReader(write(tmp_path / "call.jsonl", told))).end
    assert end is not None
    assert (end.by, end.reason) == ("error", "connect_failed")


def test_a_trace_that_just_stops_has_no_end(tmp_path):
    assert overview(TraceReader(write(tmp_path / "call.jsonl", CALL))).end is None


def test_every_error_that_ends_a_session_has_words():
    kinds = msgspec.json.schema(EmitError)["$defs"]["EmitError"]["properties"]["kind"]["enum"]
    assert _ERRORS.keys() == set(kinds)
