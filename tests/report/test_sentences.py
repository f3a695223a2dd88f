"""Each sentence that can be said of a call, with a call of which it is said, and one that is much
alike and of which it would be wrong.

``test_every_sentence_has_a_row`` collects the sentences from the code. So whoever adds one adds the
two calls, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from support.record_kinds import KINDS
from support.sentences import PACKAGE, SILENT, SPEAKING, pattern, said_of, sentences
from support.told_calls import (
    ASKED,
    CLOSED,
    FINE,
    LOST,
    SET,
    Call,
    afresh,
    answer,
    barge_in,
    begins,
    call,
    called,
    ended,
    first_answer,
    first_item,
    given,
    handoff,
    livekit,
    nothing,
    part,
    ran,
    resumed,
    second,
    shut_down,
    taken,
    taken_over,
    written,
    zeros,
)
from support.written_traces import CHUNK, Told, caller

from phonic_fsm._core.events import (
    AgentChanged,
    AgentSessionClosed,
    AnswerOverdue,
    AudioNotTaken,
    Break,
    CallsDropped,
    ChangesDue,
    Close,
    CommitAudio,
    ConnectFailed,
    ConnectionClosed,
    ConnectionOpened,
    EventLoopLate,
    GenerateReply,
    Interrupt,
    LastWordsOver,
    LeaseLost,
    OpeningOverdue,
    PlaybackFinished,
    PlaybackLeft,
    PlaybackStarted,
    RetryDue,
    RoundTrip,
    Say,
    StartUserActivity,
    UpdateChatContext,
    UpdateInstructions,
    UpdateOptions,
    UpdateToolChoice,
    UpdateTools,
)
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions


class Row(NamedTuple):
    says: tuple[str, ...]
    """The sentences, or enough of each to know it by; ``{}`` stands for what is put in."""
    of: Call | str
    """A call of which they are said, or the name of a recorded kind of call."""
    but_not_of: Call | str
    """One of which none of them may be said."""


TOOL = [called(3.4, city="Paris"), given(4.0), taken(4.0)]
RESET_IN_AN_ANSWER = call(
    ASKED,
    answer(3.2, 4.0)[:2],
    (4.0, UpdateOptions(config=ConfigOptions(voice_id="x"))),
    (4.1, ChangesDue()),
    part(4.2, 0.5, "go on"),
    answer(7.0),
)


def cut_by_a_reset(*told: Told | list[Told]) -> Call:
    """A call in which a reset cuts an answer off, and this follows."""
    return call(list(RESET_IN_AN_ANSWER.told[:-3]), *told)


UNREAD = call(ASKED, answer(3.2, 3.0), close=10.0)
TWO_PARTS: list[Told] = [
    *ASKED,
    (3.2, server.AssistantStartedSpeaking()),
    part(3.2, 0.5, "One "),
    part(6.0, 0.5, "two."),
    (6.0, server.AssistantFinishedSpeaking()),
]


def slow(*waits: float) -> list[Told]:
    """Turns of the caller, with what each waits for its answer."""
    told = []
    for number, wait in enumerate(waits):
        at = 2.0 + number * 10
        told += [*caller(at, at + 1), *answer(at + 1 + wait)]
    return told


def storm(gap: float, heard: float, times: int, cut: Any = barge_in) -> list[Told]:
    """Answers that are cut off."""
    told = []
    for number in range(times):
        begin = 2.0 + number * gap
        told += [*answer(begin, 8.0), *cut(begin + heard)]
    return told


WRITTEN: list[Told] = [
    (3.2, server.AssistantStartedSpeaking()),
    (3.3, server.AudioChunk(b"", "Well, ")),
    (3.5, server.AssistantFinishedSpeaking()),
]
DIALLED: list[Told] = [
    (3.2, server.AssistantStartedSpeaking()),
    (3.3, server.Dtmf("12")),
    (3.5, server.AssistantFinishedSpeaking()),
]

LEVELS = second(3.0, levels=(-30,) * 6 + (-90,) * 4)
"""The caller stops four tenths of a second before Phonic notices it."""

TIMED: list[Told] = [
    (3.2, server.AssistantStartedSpeaking()),
    (3.3, server.AudioChunk(CHUNK, "Yes.", {"llm": 120.0})),
    (3.4, server.AssistantFinishedSpeaking()),
]

FORGOTTEN = UpdateChatContext(removed=(first_item(FINE),))
"""What the caller has said first is taken out of the chat context."""

TALKS: list[Told] = [
    (2.0, StartUserActivity()),
    (2.1, server.UserStartedSpeaking()),
    (3.0, server.UserFinishedSpeaking()),
    (3.0, server.InputText("Hello?", "en")),
]

SLOW_TOOL: list[Told] = [*ASKED, called(3.0), given(10.0), taken(10.0), *answer(10.1)]
CALLED_LATER: list[Told] = [*caller(12.0, 13.0), called(13.1, "call_2", city="Rome")]
CALLED_LATER_TOO = call(
    SLOW_TOOL,
    CALLED_LATER,
    given(13.5, "call_2"),
    taken(13.5, "call_2"),
    answer(13.6),
    close=16.0,
)


def says_goodbye(heard: float, *told: Told | list[Told]) -> Call:
    """The assistant is heard until then, and ends the conversation at 10.5 s."""
    return call(
        ASKED,
        answer(heard - 1.0, 1.0, "Goodbye, take care."),
        *told,
        (10.5, server.AssistantEndedConversation()),
        (10.5, PlaybackLeft(0.0)),
        close=None,
    )


DROPPED: Told = (3.5, CallsDropped(("call_1",)))
"""LiveKit does not make the call."""

PRESSED: list[Told] = [(2.0, StartUserActivity()), (3.0, CommitAudio())]


OPEN_AT = "We open at nine."


def loop(at: float, words: str = "Nobody is available now.") -> list[Told]:
    """The caller says this, and is answered."""
    return [*caller(at, at + 1.0, words), *answer(at + 1.5)]


LOUD = (-30, -33, -45, -30, -36, -60, -31, -30, -44, -30)
"""The levels of a second of speech (dBFS)."""


KNOCK = second(3.0, levels=(-5, -7, *LOUD[2:]))
"""Something hits the microphone while the caller speaks."""


def hushed(at: float) -> Told:
    """From here on the caller's room is quiet."""
    return second(at, dbfs=-66.0, peak=-54.0, levels=(-66,) * 10)


def talk(*times: float) -> list[Told]:
    """In the second before each of these times the caller speaks; then it is quiet."""
    return [*((at, second(at, levels=LOUD)[1]) for at in times), hushed(times[-1] + 1)]


HEARD: list[Told] = [*caller(2.0, 3.0), second(3.0, levels=LOUD), hushed(4.0), *answer(3.2)]


def late(*times: float, by: float = 0.2) -> list[Told]:
    """The event loop is late, each time by so much."""
    return [(at, EventLoopLate(by)) for at in times]


def stands(*told: Told | list[Told], **how: Any) -> Call:
    """A call of which no more has come."""
    return call(*told, close=None, **how)


ROWS: dict[str, tuple[Row, ...]] = {
    "_report/rules/answers.py": (
        Row(
            (
                "Phonic sent an answer with nothing in it",
                "The assistant's turn began and ended, with neither audio nor text nor a tool call",
            ),
            "empty_answer",
            call(
                ASKED,
                (3.2, server.AssistantStartedSpeaking()),
                TOOL,
                (4.1, server.AssistantFinishedSpeaking()),
                answer(5.0),
                close=7.0,
            ),
        ),
        Row(
            (
                "Phonic sent an answer of digital silence: {} of silence",
                "{} of audio came, with the text of an answer, and every sample in it was zero.",
            ),
            "silent_answer",
            call(ASKED, answer(3.2, 3.0)),  # no level is told
        ),
        Row(
            (
                "an answer stuttered, with {} pauses",
                "In {} short pauses, no audio of it came for {}.",
            ),
            "choppy_answer",
            "gap_in_an_answer",
        ),
        Row(
            (
                "The caller said the same {} times in a row",
                "The words were “{}”. The answers may not be what the caller asks for; or a",
            ),
            call(*(loop(2.0 + 5 * number) for number in range(3))),
            call(*(loop(2.0 + 5 * number) for number in range(2)), loop(12.0, "And what is this?")),
        ),
        Row(
            (
                "The assistant said the same twice",
                "Two answers with the same words came, one behind the other. Nobody had said",
            ),
            call(ASKED, answer(3.2, text=OPEN_AT), answer(5.0, text=OPEN_AT)),
            call(ASKED, answer(3.2, text=OPEN_AT), caller(4.4, 4.8), answer(5.0, text=OPEN_AT)),
        ),
        Row(
            (
                "The request for a reply {}",
                "A reply that was asked for did not come: {}.",
                "no reply came",
            ),
            "reply_swallowed",
            call(ASKED, answer(3.2), (6.0, GenerateReply("r", None)), answer(9.0), close=12.0),
        ),
        Row(
            (
                "Phonic sent neither more of an answer nor its end: the answer broke off",
                "The session waited for {} after what had come of it, and then closed the answer.",
            ),
            "stalled_answer",
            "gap_in_an_answer",
        ),
        Row(
            ("The process stood still: an answer paused for {}",),
            call(TWO_PARTS, (5.9, EventLoopLate(1.8)), close=8.0),
            call(TWO_PARTS, (5.9, EventLoopLate(0.4)), close=8.0),
        ),
        Row(
            (
                "Phonic's audio came late: an answer paused for {}",
                "For {} no audio of it came, in the middle of what was said.",
            ),
            call(TWO_PARTS, close=8.0),
            call(TWO_PARTS[: len(ASKED) + 2], barge_in(4.0), answer(6.0), close=8.0),
        ),
        Row(
            ("an answer was not heard",),
            call(
                list(UNREAD.told),
                (6.5, AudioNotTaken(first_answer(UNREAD), 3.0, "not_read")),
                close=10.0,
            ),
            call(
                list(UNREAD.told),
                (6.5, PlaybackStarted()),
                (9.5, PlaybackFinished(3.0, interrupted=False)),
                close=10.0,
            ),
        ),
        Row(
            (
                "LiveKit played nothing of an answer: {} not heard",
                "{} of audio came, and LiveKit's output played nothing of it.",
            ),
            "not_played",
            call(
                (0.6, PlaybackStarted()),
                (0.8, PlaybackFinished(0.2, interrupted=False)),
                ASKED,
                answer(3.2, 3.0),
                close=3.9,
            ),
        ),
        Row(
            (
                "Phonic took {} to answer, as a rule",
                "Of {} answers, {} came later than {} after the caller had finished.",
            ),
            call(slow(2.5, 2.5, 2.5), close=30.0),
            call(slow(2.5, 2.5, 2.5), resumed(3.5, 5.0), (25.0, EventLoopLate(1.5)), close=30.0),
        ),
    ),
    "_report/rules/caller.py": (
        Row(
            (
                "No audio came from the caller: the caller was not heard",
                "LiveKit handed over no frame in the whole call: no microphone was published",
            ),
            call(nothing(1.0)),
            call(nothing(1.0), zeros(4.0), nothing(5.0)),
        ),
        Row(
            (
                "Only digital silence came from the caller: the caller was not heard",
                "Frames came, and every sample in them was zero: the microphone is muted in the",
            ),
            call(zeros(1.0)),
            call(zeros(1.0), second(3.0, dbfs=-60.0, peak=-48.0), zeros(4.0)),
        ),
        Row(
            (
                "Nothing of the caller's audio was sent: the caller was not heard",
                "Audio came, up to {} dBFS, and nothing that was loud enough for speech went to ",
                "the caller was muted all the time. With push-to-talk",
            ),
            "muted_throughout",
            call(second(1.0, sent_ms=0, dropped_ms=1000), second(3.0, sent_ms=400), zeros(4.0)),
        ),
        Row(
            ("the connection took none of it.",),
            call(
                second(1.0, sent_ms=0, waiting_ms=1000), second(2.0, sent_ms=0, overflowed_ms=900)
            ),
            call(second(1.0, sent_ms=0, dropped_ms=1000, filled_ms=1000)),
        ),
        Row(
            (
                "Nothing as loud as speech came from the caller: the caller was not heard",
                "The loudest sample reached {} dBFS: the caller said nothing, or the microphone",
            ),
            call(second(1.0, dbfs=-66.0, peak=-54.0)),
            call(second(1.0, dbfs=-66.0, peak=-54.0), ASKED, answer(3.2)),
        ),
        Row(
            (" Phonic took {} for the caller's voice, and took that back.",),
            call(
                second(1.0),
                (2.0, server.UserStartedSpeaking()),
                (2.4, server.InputCancelled()),
            ),
            call(second(1.0)),
        ),
        Row(
            (
                "The caller's turn was never committed: the caller was not heard",
                "With push-to-talk, the caller's turn lasts until commit_user_turn() is called",
            ),
            call((0.6, StartUserActivity()), second(1.0), config={"push_to_talk": True}),
            call(
                (0.6, StartUserActivity()),
                second(1.0),
                (9.0, CommitAudio()),
                config={"push_to_talk": True},
            ),
        ),
        Row(
            (
                "Little but a steady sound came from the caller: the caller was not heard",
                "Most of what was as loud as speech was a steady sound: hum, noise, or an offset",
            ),
            call(second(1.0, levels=(-30,) * 10), second(16.0, levels=LOUD)),
            call(second(1.0, levels=(-30,) * 5 + (-60,) * 5)),
        ),
        Row(
            (
                "The caller's audio was overdriven: the caller was not heard",
                "It was sent, and Phonic gave no transcript of it. Most of what was as loud as ",
            ),
            call(second(1.0, dbfs=-3.0, peak=0.0)),
            call(second(1.0, dbfs=-14.0, peak=0.0)),
        ),
        Row(
            (
                "The caller's audio was overdriven",
                "{} of it reached full scale and were above {} dBFS on average: the caller's ",
            ),
            call(second(1.0, dbfs=-3.0, peak=0.0), ASKED, answer(3.2)),
            call(second(1.0, dbfs=-3.0, peak=0.0), second(3.0), ASKED, answer(3.2)),
        ),
        Row(
            (
                "Phonic did not notice for {} that the caller had stopped: the answer came late",
                "No sound came any more that was nearly as loud as what the caller had said, and ",
                "said only after {} that the turn was over.",
            ),
            call(caller(2.0, 6.5), LEVELS, hushed(4.0), answer(7.0)),
            call(caller(2.0, 6.5), LEVELS, second(6.0, levels=LOUD), hushed(7.0), answer(7.0)),
        ),
        Row(
            ("no answer came", "never said that the turn was over."),
            call((2.0, server.UserStartedSpeaking()), LEVELS, hushed(4.0)),
            call(caller(2.0, 3.2), LEVELS, hushed(4.0), answer(3.4)),
        ),
        Row(
            (
                "Phonic took a steady sound for speech: no answer came",
                "The caller's turn has lasted for {}. A steady sound of up to {} dBFS came all the",
            ),
            call((2.0, server.UserStartedSpeaking()), second(1.0, levels=(-30,) * 10)),
            call((2.0, server.UserStartedSpeaking()), second(1.0, levels=LOUD)),
        ),
        Row(
            (
                "Phonic noticed the caller only after {}",
                "For {}, sounds came that were nearly as loud as what Phonic understood of the ",
            ),
            call(HEARD, talk(8.0, 9.0, 10.0), caller(10.2, 11.0), answer(11.2)),
            call(HEARD, talk(8.0, 9.0, 10.0), caller(14.0, 15.0), answer(15.2)),
        ),
        Row(
            (
                "Phonic took no notice of sounds for {}",
                "the caller talked over it in vain, its own voice came back, or it was a noise.",
            ),
            call(HEARD, answer(6.9, 6.0), talk(8.0, 9.0, 10.0)),
            call(HEARD, talk(8.0, 9.0, 10.0)),
        ),
        Row(
            (
                "Phonic took no notice of sounds like speech for {}",
                "and were sent: the caller spoke, or it was a noise.",
            ),
            call(HEARD, talk(8.0, 9.0, 10.0)),
            call(HEARD, caller(7.0, 10.0), talk(8.0, 9.0, 10.0), answer(10.2)),
        ),
        Row(
            ("Phonic took no notice of sounds like speech for {}",),
            call(HEARD, talk(*range(8, 16))),
            call(HEARD, second(8.0, levels=(-38,) * 10), hushed(15.0)),
        ),
        Row(
            ("Phonic took no notice of sounds like speech for {}",),
            call(HEARD, talk(*range(8, 15))),
            call(
                TALKS,
                second(3.0, levels=LOUD),
                (3.1, CommitAudio()),
                hushed(4.0),
                answer(3.4),
                (6.9, StartUserActivity()),
                talk(*range(8, 15)),
                config={"push_to_talk": True},
            ),
        ),
        Row(
            ("Phonic did not notice for {} that the caller had stopped",),
            call(caller(2.0, 6.5), talk(3.0), answer(7.0)),
            call(caller(2.0, 6.5), KNOCK, talk(4.0, 5.0, 6.0), answer(7.0)),
        ),
        Row(
            ("Phonic did not notice for {} that the caller had stopped",),
            call(caller(1.9, 9.0), talk(3.0), answer(9.2)),
            call(
                (1.9, StartUserActivity()),
                talk(3.0),
                (9.0, CommitAudio()),
                answer(9.2),
                config={"push_to_talk": True},
            ),
        ),
        Row(
            (
                "The caller said nothing that was understood: the caller was not heard",
                "Audio came, up to {} dBFS, and was sent. Phonic gave no transcript of it.",
            ),
            call(second(1.0)),
            call(second(1.0), ASKED),
        ),
        Row(
            (
                "No audio from the caller for {}",
                "LiveKit handed over no frame of the caller. The microphone was not published",
            ),
            call(ASKED, answer(3.2), second(1.0), nothing(7.0)),
            call(ASKED, answer(3.2), second(1.0), nothing(7.0), second(11.0)),
        ),
        Row(
            (
                "Digital silence from the caller for {}",
                "Frames came, and every sample in them was zero: the microphone was muted, or its",
            ),
            call(ASKED, answer(3.2), second(1.0), zeros(7.0)),
            call(ASKED, answer(3.2), second(1.0), zeros(7.0), second(8.0, dbfs=-70.0, peak=-60.0)),
        ),
        Row(
            (
                "The caller's audio came {} times as fast as time passes",
                "The frames say {} Hz and {} channel(s), and {} ms of them came in a second.",
            ),
            call(second(1.0, received_ms=2000), ASKED, answer(3.2)),
            call(second(1.0, received_ms=2000), second(4.0), ASKED, answer(3.2)),
        ),
        Row(
            (
                "Only {} ms of the caller's audio came in a second",
                "For {}, less audio came than time passed. Frames were lost on the way",
            ),
            "lost_frames",
            call(second(1.0, received_ms=600), ASKED, answer(3.2), late(*range(4, 20), by=0.29)),
        ),
        Row(
            (
                "The connection took too little: {} of the caller's audio was lost",
                "{} of the caller's audio never reached Phonic. What the connection does not take",
            ),
            call(
                ASKED,
                answer(3.2),
                second(5.0, overflowed_ms=400, dropped_ms=400, waiting_ms=2000),
                second(9.0),
            ),
            call(ASKED, answer(3.2), second(5.0, dropped_ms=400, waiting_ms=2000), second(9.0)),
        ),
        Row(
            (
                "What the caller had said before was still to be sent: the caller's audio fell ",
                "what is kept while there is no conversation is sent at twice the pace of speech",
                "More than {} of the caller's audio waited to be sent, for {}: {}.",
            ),
            "late_to_be_ready",
            call(ASKED, answer(3.2), second(5.0, sent_ms=500, waiting_ms=3000), second(9.0)),
        ),
        Row(
            (
                "Audio of the caller piled up: the caller's audio fell behind",
                "the network to Phonic is too slow, or more audio comes than time passes",
            ),
            call(ASKED, answer(3.2), second(5.0, sent_ms=500, waiting_ms=3000)),
            "late_to_be_ready",
        ),
        Row(
            (
                "Only digital silence came while the assistant began",
                "LiveKit handed over digital silence while the assistant spoke for the first time.",
            ),
            call(answer(1.0, 4.0), zeros(2.1), second(5.1), caller(5.2, 6.0)),
            call(zeros(1.5), answer(2.0, 4.0), second(4.0), caller(6.5, 7.0)),
        ),
    ),
    "_report/rules/connection.py": (
        Row(
            ("The process stood still: connecting took {}",),
            begins(
                SET,
                (4.0, EventLoopLate(3.5)),
                (4.0, ConnectionOpened(0.1)),
                (4.2, server.ConversationCreated("c")),
                (4.3, server.ReadyToStartConversation()),
            ),
            begins(
                SET,
                (4.0, EventLoopLate(0.5)),
                (4.0, ConnectionOpened(0.1)),
                (4.2, server.ConversationCreated("c")),
                (4.3, server.ReadyToStartConversation()),
            ),
        ),
        Row(
            ("The websocket handshake took long", "It took {} and {} until Phonic was ready."),
            begins(
                SET,
                (4.0, ConnectionOpened(3.9)),
                (4.2, server.ConversationCreated("c")),
                (4.3, server.ReadyToStartConversation()),
            ),
            begins(
                SET,
                (1.0, ConnectionOpened(0.9)),
                (1.2, server.ConversationCreated("c")),
                (1.3, server.ReadyToStartConversation()),
            ),
        ),
        Row(
            ("The session waited for instructions and tools: connecting took {}",),
            begins(
                (0.2, ConnectionOpened(0.1)),
                (4.0, SET[1]),
                (4.2, server.ConversationCreated("c")),
                (4.3, server.ReadyToStartConversation()),
            ),
            begins(
                (0.2, ConnectionOpened(0.1)),
                (1.0, SET[1]),
                (4.2, server.ConversationCreated("c")),
                (4.3, server.ReadyToStartConversation()),
            ),
        ),
        Row(
            ("Phonic took long to be ready: connecting took {}",),
            begins(
                SET,
                (0.5, ConnectFailed("HTTP 503")),
                (1.0, RetryDue()),
                (1.2, ConnectionOpened(0.1)),
                (5.2, server.ConversationCreated("c")),
                (5.3, server.ReadyToStartConversation()),
            ),
            "too_many_calls",
        ),
        Row(
            ("In {} and {}, no conversation was opened.", "the conversation never opened"),
            begins(SET, (0.2, ConnectionOpened(0.1)), close=5.0),
            begins(SET, (0.2, ConnectionOpened(0.1)), (5.0, RoundTrip(0.01)), close=None),
        ),
        Row(
            ("The session was closed at once",),
            begins(SET, (0.2, ConnectionOpened(0.1)), close=0.5),
            begins(SET, (0.2, ConnectionOpened(0.1)), close=5.0),
        ),
        Row(
            (
                "In {} and {}, no conversation was opened so far.",
                "the conversation is not open yet",
            ),
            begins(SET, (0.2, ConnectionOpened(0.1)), (5.0, RoundTrip(0.01)), close=None),
            begins(SET, (0.2, ConnectionOpened(0.1)), (2.0, RoundTrip(0.01)), close=None),
        ),
        Row(
            (
                "The connection {}: it did not come back",
                "The connection to Phonic {} and did not come back in {} and {}.",
            ),
            call(ASKED, answer(3.2), (5.0, LOST), close=7.0),
            call(ASKED, answer(3.2), resumed(5.0, 7.0)),
        ),
        Row(
            ("it is not back yet",),
            call(ASKED, answer(3.2), (5.0, LOST), (7.0, EventLoopLate(0.2)), close=None),
            call(ASKED, answer(3.2), (5.0, LOST), close=7.0),
        ),
        Row(
            (
                "{}: no connection for {}",
                "The connection to Phonic {}. After {} and {} the conversation was resumed.",
            ),
            call(ASKED, answer(3.2), resumed(5.0, 7.0)),
            call(ASKED, answer(3.2), (5.0, LOST), close=7.0),
        ),
        Row(
            (
                "{}. It could not be resumed; after {} and {} the call went on in a fresh",
                ", and until a fresh one is open, the newest {} s",
                "The last attempt that failed: {}.",
            ),
            call(ASKED, answer(3.2), afresh(5.0, 17.0)),
            call(ASKED, answer(3.2), resumed(5.0, 17.0)),
        ),
        Row(
            ("nothing got through, then {}",),
            "frozen_network",
            call(ASKED, answer(3.2), resumed(5.0, 7.0)),
        ),
        Row(
            ("{}'s output was ready {} into the outage and could not be sent until {} later.",),
            call(ASKED, called(3.4), resumed(4.0, 7.0), given(5.0), answer(7.5)),
            call(ASKED, called(3.4), given(3.9), resumed(4.0, 7.0), answer(7.5)),
        ),
        Row(
            ("{}'s output was ready {} into the outage and went with the history {} later.",),
            call(ASKED, called(3.4), given(5.0), afresh(4.0, 7.0), answer(7.5)),
            call(ASKED, called(3.4), resumed(4.0, 7.0), given(5.0), answer(7.5)),
        ),
        Row(
            ("{} into the outage and was never sent.",),
            call(ASKED, called(3.4), (4.0, LOST), given(5.0), close=6.0),
            call(
                ASKED,
                called(3.4),
                (3.6, server.ToolCallInterrupted("call_1")),
                resumed(4.0, 7.0),
                given(5.0),
                answer(7.5),
            ),
        ),
        Row(
            ("{}; Phonic, which did not await it, was told in words.",),
            call(
                ASKED,
                called(3.4),
                (3.6, server.ToolCallInterrupted("call_1")),
                resumed(4.0, 7.0),
                given(5.0),
                answer(7.5),
            ),
            call(ASKED, called(3.4), resumed(4.0, 7.0), given(5.0), answer(7.5)),
        ),
        Row(
            ("{} and is not sent yet.",),
            call(ASKED, called(3.4), (4.0, LOST), given(5.0), close=None),
            call(ASKED, called(3.4), (4.0, LOST), given(5.0), close=6.0),
        ),
        Row(
            (
                "An outage of {}: {} of the caller not heard",
                "{} of the caller's audio were dropped. {}.",
                "While a conversation is resumed, the newest {} s are kept",
            ),
            call(
                ASKED,
                answer(3.2),
                second(1.0),
                afresh(5.0, 12.0),
                second(8.0, sent_ms=0, dropped_ms=900),
                second(9.0, sent_ms=0),
            ),
            call(ASKED, answer(3.2), second(1.0), afresh(5.0, 12.0), nothing(6.0)),
        ),
        Row(
            (
                "{}: if the caller spoke all the time, {} never reached Phonic.",
                "up to {} of the caller not heard",
            ),
            call(ASKED, answer(3.2), afresh(5.0, 17.0)),
            call(ASKED, answer(3.2), afresh(5.0, 17.0), second(1.0), nothing(6.0)),
        ),
        Row(
            ("A round trip to Phonic took {}", "A ping and its answer took {}."),
            call(ASKED, answer(3.2), (5.0, RoundTrip(0.8))),
            call(ASKED, answer(3.2), (5.0, RoundTrip(0.4))),
        ),
    ),
    "_report/rules/ending.py": (
        Row(
            ("{}. The session ended with this.",),
            call(ASKED, (5.0, server.Error(server.Problem("bad"))), (5.1, ConnectionClosed(1011))),
            call(ASKED, (5.0, server.Error(server.Problem("bad")))),
        ),
        Row(
            ("the caller's last words had no answer",),
            "hung_up_on",
            "goodbye",
        ),
        Row(
            ("the caller's last words had no answer",),
            says_goodbye(8.0, caller(8.4, 10.4, "And when do you close?")),
            says_goodbye(9.0, caller(9.4, 9.9, "Bye.")),
        ),
        Row(
            ("the caller's last words had no answer",),
            says_goodbye(5.0, caller(9.4, 9.9, "Hello?")),
            says_goodbye(9.0, (9.6, server.UserStartedSpeaking())),
        ),
        Row(
            ("the caller's last words had no answer",),
            says_goodbye(5.0, (9.6, server.UserStartedSpeaking())),
            says_goodbye(9.0),
        ),
        Row(
            ("Phonic refuses the config: ",),
            "config_refused",
            call(ASKED, (5.0, server.Error(server.Problem("bad")))),
        ),
        Row(
            ("Phonic reports an error: ",),
            call(ASKED, (5.0, server.Error(server.Problem("bad")))),
            "config_refused",
        ),
        Row(
            ("The session broke: ",),
            ended((8.0, Break("KeyError"))),
            ended((8.0, ConnectionClosed(4400, "out of credit")), (8.0, PlaybackLeft(0.0))),
        ),
        Row(
            ("The session was closed while the assistant spoke: {} not heard",),
            call(ASKED, answer(3.2, 5.0), close=5.0),
            call(ASKED, answer(3.2, 5.0), close=9.0),
        ),
        Row(
            ("The session was closed while the assistant said goodbye: {} not heard",),
            "goodbye_cut_off",
            "caller_hangs_up",
        ),
        Row(
            ("{} of audio had come and had yet to be played.",),
            call(ASKED, answer(3.2, 5.0), close=5.0),
            call(ASKED, answer(3.2, 5.0), barge_in(5.0), close=7.0),
        ),
        Row(
            ("The last step leaves the session in {}.",),
            call(ASKED, answer(3.2), close=None),
            FINE,
        ),
        Row(
            (
                "The trace just ends",
                "{} The process ended before the session was closed, or the call was still going "
                "on.",
            ),
            call(ASKED, answer(3.2), close=None),
            call(ASKED, answer(3.2), close=None, ends="size_limit"),
        ),
        Row(
            (
                "The trace reached its largest size",
                "The call went on, and nothing more of it was recorded.",
            ),
            call(ASKED, answer(3.2), close=None, ends="size_limit"),
            call(ASKED, answer(3.2), close=None),
        ),
        Row(
            ("The disk could not keep up with the trace",),
            call(ASKED, answer(3.2), close=None, ends="overrun"),
            call(ASKED, answer(3.2), close=None, ends="size_limit"),
        ),
        Row(
            ("The trace is cut off", "The file that was redacted ended in the middle of a line"),
            call(ASKED, answer(3.2), close=None, ends="cut_off"),
            call(ASKED, answer(3.2), close=None, ends="size_limit"),
        ),
    ),
    "_report/rules/interruptions.py": (
        Row(
            (
                "Sounds of the caller cut off {} answers in {}",
                "In {}, {} answers were cut off. Noise, another voice",
            ),
            call(storm(4.0, 2.0, 6), close=28.0),
            call(storm(4.0, 2.0, 6, lambda at: [(at, Interrupt())]), close=28.0),
        ),
        Row(
            (
                "The caller interrupted {} answers in {}",
                "In {}, {} answers were cut off, most by what the caller said.",
            ),
            call(storm(4.0, 2.0, 6, lambda at: barge_in(at, "No, the other one.")), close=28.0),
            call(storm(4.0, 2.0, 6), close=28.0),
        ),
        Row(
            (
                "Sounds of the caller cut off {} in a row at the start",
                "Of each, less than {} was heard. Whoever listens hears",
            ),
            call(storm(20.0, 0.4, 3), close=60.0),
            call(storm(20.0, 0.4, 2), storm(20.0, 3.0, 1), close=60.0),
        ),
        Row(
            (
                "The agent's code cut off {} in a row at the start",
                "Of each, less than {} was heard. LiveKit called interrupt(), and Phonic had",
            ),
            call(storm(20.0, 0.4, 3, lambda at: [(at, Interrupt())]), close=60.0),
            call(storm(20.0, 0.4, 3), close=60.0),
        ),
        Row(
            (
                "The session interrupted an answer: {} of it dropped",
                "LiveKit called interrupt(), as an agent may, or a handoff.",
                "LiveKit called interrupt(), {} What Phonic still sent of the turn was dropped.",
            ),
            "interrupted_by_the_agent",
            RESET_IN_AN_ANSWER,
        ),
        Row(
            (
                "A reset cut an answer off",
                "Phonic was told of changed settings, or of another agent, by a reset, which ends",
            ),
            RESET_IN_AN_ANSWER,
            "interrupted_by_the_agent",
        ),
        Row(
            (
                "The session cut off an answer that was too long",
                "A turn of ten minutes, or with more text than that, is cut off.",
            ),
            call(
                ASKED,
                (3.2, server.AssistantStartedSpeaking()),
                part(3.2, 0.5, "x" * 49_000),
                part(3.3, 0.5, "x" * 40_000),
                part(3.4, 0.5, "x"),
                answer(9.0),
            ),
            "interrupted_by_the_agent",
        ),
        Row(
            (
                "The assistant began to speak while the caller spoke: {} over each other",
                "Both spoke for {}. The caller had begun {} before.",
            ),
            "assistant_cuts_in",
            call(
                (2.0, server.AssistantStartedSpeaking()),
                *(part(2.0 + number / 2, 0.5, "on and ") for number in range(10)),
                (3.1, server.UserStartedSpeaking()),
                (6.1, server.UserFinishedSpeaking()),
                (6.1, server.InputText("Mm-hmm, I see.")),
                (7.0, server.AssistantFinishedSpeaking()),
                config={"stream_ahead_of_real_time": False},
            ),
        ),
        Row(
            (
                "The assistant may have heard itself",
                "The caller's words, “{}”, are those that the assistant had just said",
            ),
            call(
                ASKED,
                answer(3.2, 4.0, "The museum opens at nine."),
                barge_in(5.0, "opens at nine"),
                answer(6.0),
            ),
            call(
                ASKED,
                answer(3.2, 4.0, "The museum opens at nine."),
                barge_in(5.0, "And when does it close at night?"),
                answer(6.0),
            ),
        ),
    ),
    "_report/rules/process.py": (
        Row(
            (
                "Another process took the call over after {}",
                "The process that had the call was gone. For {} nobody had it",
            ),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=1.5), answer(11.0)),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=1.5, cause="move"), answer(11.0)),
        ),
        Row(
            (
                "The call moved to another process in {}",
                "The process that had the call handed it over. {}",
            ),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=0.2, cause="move"), answer(11.0)),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=0.2), answer(11.0)),
        ),
        Row(
            ("From here on, the steps are those of another process.",),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=0.2, cause="move"), answer(11.0)),
            call(ASKED, answer(3.2), resumed(10.0, 10.5), answer(11.0)),
        ),
        Row(
            ("What the caller said meanwhile reached Phonic later.",),
            "moved",
            call(
                ASKED,
                answer(3.2),
                taken_over(10.0, lost_for=0.2, cause="move")[:2],
                (14.0, ConnectionOpened(3.9)),
                (14.1, server.ConversationReconnected()),
            ),
        ),
        Row(
            (
                "The process stood still for {}",
                "Its event loop was held up for {}: something in it blocks",
            ),
            call(ASKED, answer(3.2), (6.0, EventLoopLate(0.5))),
            call(ASKED, answer(3.2), (6.0, EventLoopLate(0.2))),
        ),
        Row(
            (
                "The process stood still {} times in {}",
                "Its event loop was held up for {} of {}: too little CPU, or many short calls",
            ),
            call(ASKED, answer(3.2), late(6.0, 6.3, 6.6, 6.9, 7.2, 7.5)),
            call(ASKED, answer(3.2), late(6.0, 8.3, 10.6, 12.9, 15.2, 17.5)),
        ),
        Row(
            (" {} ran meanwhile.",),
            "blocked_event_loop",
            call(ASKED, called(3.4), ran(3.4, 3.5), given(3.6), taken(3.7), late(6.0, by=1.5)),
        ),
    ),
    "_report/rules/silence.py": (
        Row(
            (
                "Nothing got through to Phonic for {}: {} of silence",
                "nothing got through, until the connection was given up",
            ),
            call(
                ASKED,
                (16.0, ConnectionClosed(1006, "no answer to a ping within 10 s")),
                (16.1, ConnectionOpened(0.1)),
                (16.2, server.ConversationReconnected()),
                answer(16.3),
            ),
            call(ASKED, resumed(16.0, 16.2), answer(16.3)),
        ),
        Row(
            ("the connection was lost",),
            "away_for_a_while",
            "late_answer",
        ),
        Row(
            ("the connection was lost ({})",),
            "away_for_a_while",
            call(ASKED, resumed(3.5, 7.5), answer(7.8)),
        ),
        Row(
            (
                "Nobody asked the assistant to speak first: {} of silence",
                "{}: the session has no welcome message, and the agent asked for no reply. The",
            ),
            call(caller(6.0, 7.0), answer(7.1), close=9.0),
            call((0.6, GenerateReply("r", None)), caller(6.0, 7.0), answer(7.1), close=9.0),
        ),
        Row(
            ("Nobody asked the assistant to speak first",),
            call(caller(6.0, 7.0), answer(7.1), close=9.0),
            call(caller(6.0, 7.0), answer(7.1), close=9.0, config={"agent": "front-desk"}),
        ),
        Row(
            ("Nobody asked the assistant to speak first",),
            call(caller(6.0, 7.0), answer(7.1), close=9.0),
            call(
                caller(6.0, 7.0),
                answer(7.1),
                close=9.0,
                config={"configuration_endpoint": {"url": "https://example.com"}},
            ),
        ),
        Row(
            (
                "The agent asked for its first reply after {}: {} of silence",
                "the agent had not asked for a reply, or Phonic had not begun it",
            ),
            "first_reply_late",
            call((0.6, GenerateReply("r", None)), answer(5.0)),
        ),
        Row(
            (
                "A reset cut the answer off: {} of silence",
                "a reset had cut the answer off, and no reply was asked for",
            ),
            cut_by_a_reset(answer(12.0)),
            call(
                ASKED, answer(3.2, 4.0)[:2], (4.0, Interrupt()), part(4.2, 0.5, "on"), answer(9.0)
            ),
        ),
        Row(
            ("a reset had cut the answer off, and no reply was asked for",),
            cut_by_a_reset(answer(12.0)),
            cut_by_a_reset((11.2, GenerateReply("r", None)), answer(12.0)),
        ),
        Row(
            ("a reset had cut the answer off, and no reply had begun",),
            cut_by_a_reset((11.2, GenerateReply("r", None)), answer(12.0)),
            cut_by_a_reset(answer(12.0)),
        ),
        Row(
            (
                "{} returned nothing, so that LiveKit asked for no answer: {} of silence",
                "the tool had returned nothing, and Phonic had not begun to answer",
            ),
            "empty_output",
            "no_answer_to_an_output",
        ),
        Row(
            ("No connection for {}: {} of silence",),
            "away_for_a_while",
            call(ASKED, resumed(3.2, 3.5), answer(6.9)),
        ),
        Row(
            ("The process stood still for {}: {} of silence", "the event loop was held up"),
            call(ASKED, (7.0, EventLoopLate(3.8)), answer(7.0)),
            call(ASKED, (7.0, EventLoopLate(0.3)), answer(7.0)),
        ),
        Row(
            (
                "Phonic began an answer and sent no audio of it for {}",
                "an answer had begun, and no audio of it came",
            ),
            "answer_without_a_sound",
            call(ASKED, answer(7.5)),
        ),
        Row(
            (
                "Phonic sent neither more of an answer nor its end for {}: {} of silence",
                "an answer had not come to its end, and nothing more of it came",
            ),
            call(
                ASKED,
                answer(3.2)[:2],
                (8.5, server.AssistantFinishedSpeaking()),
                caller(9, 10),
                answer(10.2),
            ),
            call(ASKED, answer(3.2), caller(9, 10), answer(10.2)),
        ),
        Row(
            ("get_weather had yet to give an output",),
            call(ASKED, called(3.1), given(8.0), taken(8.0), answer(8.1)),
            call(ASKED, called(3.1), given(3.1), taken(3.1), answer(8.1)),
        ),
        Row(
            ("get_weather took {}: {} of silence",),
            call(ASKED, called(3.1), resumed(4.0, 8.0), given(11.0), taken(11.0), answer(11.1)),
            call(ASKED, called(3.1), resumed(4.0, 11.0), given(4.3), answer(11.1)),
        ),
        Row(
            ("get_weather took 7.0 s: 7.1 s of silence",),
            CALLED_LATER_TOO,
            call(ASKED, called(3.0), given(3.0), taken(3.0), answer(10.1)),
        ),
        Row(
            ("Phonic did not answer for 7.1 s",),
            call(ASKED, called(3.0), given(3.0), taken(3.0), answer(10.1)),
            CALLED_LATER_TOO,
        ),
        Row(
            ("get_weather gave no output for {}: {} of silence",),
            call(ASKED, called(3.1), (9.5, EventLoopLate(0.1)), close=None),
            call(ASKED, called(3.1), given(9.5), taken(9.5), answer(9.6)),
        ),
        Row(
            ("get_weather took 7.0 s: 7.1 s of silence",),
            call(SLOW_TOOL, CALLED_LATER, close=None),
            call(SLOW_TOOL[: len(ASKED) + 1], (10.1, EventLoopLate(0.1)), close=None),
        ),
        Row(
            (
                "Phonic did not begin the reply that was asked for, for {}: {} of silence",
                "a reply had been asked for, and Phonic had not begun it",
            ),
            call(ASKED, answer(3.2), (4.2, GenerateReply("r", None)), answer(9.0), close=11.0),
            call(ASKED, answer(3.2), (8.9, GenerateReply("r", None)), answer(9.0), close=11.0),
        ),
        Row(
            (
                "Nobody asked the new agent to speak: {} of silence",
                "another agent had taken over, and no reply was asked for",
            ),
            "silent_handoff",
            "polite_handoff",
        ),
        Row(
            (
                "The new agent was asked to speak after {}: {} of silence",
                "another agent had taken over, and no reply had begun",
            ),
            call(
                ASKED,
                answer(3.2),
                handoff(4.5),
                (8.5, GenerateReply("r", None)),
                answer(9.2),
                close=11.0,
            ),
            call(ASKED, answer(3.2), handoff(4.5), answer(9.2), close=11.0),
        ),
        Row(
            (
                "The caller's turn was never committed: {} of silence",
                "the agent's code had not committed the caller's turn",
            ),
            "never_committed",
            "push_to_talk",
        ),
        Row(
            (
                "A sound was taken for the caller and cut the answer off: {} of silence",
                "the assistant did not go on, although there had been no speech",
            ),
            "turn_taken_back",
            call(
                ASKED,
                answer(3.2),
                (5.0, server.UserStartedSpeaking()),
                (5.3, server.InputCancelled()),
                caller(11.0, 12.0),
                answer(12.2),
            ),
        ),
        Row(
            (
                "Nobody was heard for {} while the caller waited: for {}.",
                " while the caller waited",
                "Phonic did not answer for {}: {} of silence",
                "Phonic had not begun to answer",
            ),
            "late_answer",
            "asked_to_wait",
        ),
        Row(
            (
                "Phonic sent the text of an answer and no audio of it: {} of silence",
                "only the text of an answer had come",
            ),
            call(ASKED, WRITTEN, caller(7.0, 8.0), answer(8.2)),
            call(ASKED, WRITTEN, part(3.4, 0.5, "Well."), caller(7.0, 8.0), answer(8.2)),
        ),
        Row(
            ("Phonic did not answer for {}: {} of silence",),
            call(ASKED, caller(7.0, 8.0), answer(8.2)),
            call(ASKED, DIALLED, caller(7.0, 8.0), answer(8.2)),
        ),
        Row(
            ("No welcome came: {} of silence", "the welcome had not come"),
            "no_welcome",
            call(caller(6.0, 7.0), answer(7.1), close=9.0),
        ),
        Row(
            (
                "Phonic heard no speech of the caller",
                "Nobody was heard for {}: it was the caller's turn.",
            ),
            "thinking_caller",
            "late_answer",
        ),
    ),
    "_report/rules/tools.py": (
        Row(
            (
                "The agent has no tool {}",
                "The assistant called a tool that the agent has not given.",
            ),
            call(ASKED, called(3.4, name="rent_boat"), close=6.0),
            call(ASKED, called(3.4), close=6.0),
        ),
        Row(
            (" It was told so as the tool's output.",),
            "unknown_tool",
            call(ASKED, called(3.4, name="rent_boat"), close=6.0),
        ),
        Row(
            (
                "{} was called with arguments that do not fit",
                "The tool did not run: what the assistant gave does not fit the tool's parameters",
            ),
            "bad_arguments",
            "failed_tool",
        ),
        Row(
            ("LiveKit did not run {}", "The answer that the call belonged to was cut off before"),
            call(ASKED, called(3.4), DROPPED, answer(4.0)),
            call(ASKED, called(3.4), (3.5, server.ToolCallInterrupted("call_1")), answer(4.0)),
        ),
        Row(
            (" Phonic was told so as the tool's output.",),
            call(ASKED, called(3.4), DROPPED, answer(4.0)),
            call(ASKED, called(3.4), (3.4, Close()), DROPPED, close=None),
        ),
        Row(
            (" Phonic was told so as the tool's output.",),
            call(ASKED, called(3.4), (3.45, LOST), DROPPED, resumed(3.5, 4.0)[1:], answer(4.1)),
            call(
                ASKED,
                called(3.4),
                (3.4, UpdateOptions(config=ConfigOptions(voice_id="x"))),
                (3.4, ChangesDue()),
                DROPPED,
                answer(4.0),
            ),
        ),
        Row(
            (", and the caller has spoken since",),
            call(ASKED, TOOL, caller(4.5, 5.0), called(5.5, "call_2", city="Paris"), answer(6.0)),
            call(ASKED, TOOL, called(5.5, "call_2", city="Paris"), caller(6.0, 6.5), answer(7.0)),
        ),
        Row(
            ("{} raised an error", "The tool raised an error {} after the call."),
            call(ASKED, called(3.4), ran(3.5, 3.6, "error"), close=6.0),
            call(ASKED, called(3.4), ran(3.5, 3.6, "cancelled"), close=6.0),
        ),
        Row(
            (" Phonic got the error as its output.",),
            call(ASKED, called(3.4), given(3.6, error=True), taken(3.7), answer(3.8), close=6.0),
            call(ASKED, called(3.4), ran(3.5, 3.6, "error"), close=6.0),
        ),
        Row(
            (
                "{} took longer than Phonic waits",
                "Phonic gave the call up {}. configs_for_tools sets how long it waits",
            ),
            "tool_timed_out",
            call(ASKED, called(3.4), given(8.6), taken(8.7), answer(8.8), close=12.0),
        ),
        Row(
            ("{} failed", "Phonic says of the call: {}."),
            call(ASKED, called(3.4), given(4.0), taken(4.1, error_message="no JSON"), answer(5.0)),
            call(ASKED, called(3.4), given(4.0), taken(4.1), answer(5.0)),
        ),
        Row(
            (
                "{}'s output came late",
                "The output came {}, when Phonic no longer awaited it; Phonic was told in words.",
            ),
            call(
                ASKED,
                called(3.4),
                (4.0, UpdateOptions(config=ConfigOptions(voice_id="x"))),
                (4.0, ChangesDue()),
                given(5.0),
                answer(5.5),
            ),
            call(ASKED, called(3.4), given(5.0), taken(5.0), answer(5.5)),
        ),
        Row(
            ("The output came {}, when the caller had interrupted it; Phonic was told in words.",),
            call(
                ASKED,
                called(3.4),
                (4.0, server.ToolCallInterrupted("call_1")),
                given(5.0),
                answer(5.5),
            ),
            call(ASKED, called(3.4), (4.0, server.ToolCallInterrupted("call_1")), answer(5.5)),
        ),
        Row(
            (
                "{} gave no output: the session ended {} after the call",
                "The assistant called the tool and got no output before the session ended.",
            ),
            "tool_without_output",
            call(ASKED, called(3.4), (9.5, EventLoopLate(0.1)), close=None),
        ),
        Row(
            (
                "{} has given no output so far: the trace ends {} after the call",
                "The assistant called the tool, which may still run.",
            ),
            call(ASKED, called(3.4), (9.5, EventLoopLate(0.1)), close=None),
            "tool_without_output",
        ),
        Row(
            (
                "{}'s output was never sent",
                "The output came {}, when there was no connection to send",
            ),
            call(ASKED, called(3.4), (4.0, LOST), given(5.0), close=6.0),
            call(ASKED, called(3.4), resumed(4.0, 7.0), given(5.0), answer(7.5)),
        ),
        Row(
            (
                "{} was called again with the same arguments",
                "The assistant had called it {} before{}.",
                ", and Phonic had its output, which may not say what the assistant needed to know",
            ),
            call(
                ASKED,
                TOOL,
                called(5.0, "call_2", city="Paris"),
                given(5.5, "call_2"),
                taken(5.5, "call_2"),
                answer(6.0),
            ),
            call(
                ASKED,
                TOOL,
                called(5.0, "call_2", city="Rome"),
                given(5.5, "call_2"),
                taken(5.5, "call_2"),
                answer(6.0),
            ),
        ),
        Row(
            (", and that call had failed",),
            call(
                ASKED,
                called(3.4),
                given(4.0),
                taken(4.1, error_message="no JSON"),
                called(5.0, "call_2"),
                answer(6.0),
            ),
            call(ASKED, called(3.4), given(4.0), taken(4.1), called(5.0, "call_2"), answer(6.0)),
        ),
        Row(
            (", and the tool had not given its output yet",),
            call(ASKED, called(3.4), called(5.0, "call_2"), given(6.0), taken(6.0), answer(7.0)),
            call(
                ASKED,
                called(3.4),
                (4.0, server.ToolCallInterrupted("call_1")),
                called(5.0, "call_2"),
                given(6.0),
                answer(7.0),
            ),
        ),
        Row(
            (", and its output had not been sent yet",),
            call(
                ASKED,
                called(3.4),
                (4.0, LOST),
                given(5.0),
                (6.9, ConnectionOpened(0.1)),
                (7.0, server.ToolCall("call_2", "get_weather", {})),
                answer(8.0),
            ),
            call(
                ASKED,
                called(3.4),
                given(4.0),
                resumed(4.1, 6.0),
                called(7.0, "call_2"),
                answer(8.0),
            ),
        ),
        Row(
            (", and Phonic had not said that it took the output",),
            call(
                ASKED,
                called(3.4),
                given(4.0),
                resumed(4.1, 6.0),
                called(7.0, "call_2"),
                answer(8.0),
            ),
            call(ASKED, called(3.4), given(4.0), taken(4.1), called(5.0, "call_2"), answer(6.0)),
        ),
    ),
    "_report/end.py": (
        Row(
            ("the AgentSession was observed and gave no reason: it went on, or was slow to close",),
            ended(CLOSED),
            ended(CLOSED, livekit("user_initiated")),
        ),
        Row(
            (
                "Its aclose() was called; {}",
                "no AgentSession was observed, so the agent's code may have called it, or LiveKit",
                "The session was closed",
            ),
            call(ASKED, answer(3.2), close=9.0),
            ended((9.0, ConnectionClosed(4400, "out of credit")), (9.0, PlaybackLeft(0.0))),
        ),
        Row(
            (
                "The agent's code ended the call",
                "It called aclose() or shutdown() of the AgentSession",
            ),
            ended(CLOSED, livekit("user_initiated")),
            ended(CLOSED, livekit("user_initiated"), shut_down("parent process shutdown")),
        ),
        Row(
            (
                "The caller left",
                "LiveKit closed the AgentSession when the participant had left the room",
            ),
            ended(CLOSED, livekit("participant_disconnected", caller_left="CLIENT_INITIATED")),
            ended(CLOSED, livekit("participant_disconnected", caller_left="USER_REJECTED")),
        ),
        Row(
            ("LiveKit closed the AgentSession at the end of its job",),
            ended(CLOSED, livekit("job_shutdown")),
            ended(CLOSED, livekit("user_initiated"), shut_down("all is said")),
        ),
        Row(
            (
                "The room was deleted",
                "LiveKit closed the AgentSession when the room was no longer there",
            ),
            ended(CLOSED, livekit("participant_disconnected", caller_left="ROOM_DELETED")),
            ended(
                CLOSED,
                livekit("user_initiated", room_left="STATE_MISMATCH"),
                shut_down("room disconnected"),
            ),
        ),
        Row(
            (
                "The call was declined",
                "LiveKit closed the AgentSession when the person called had declined, or was busy",
            ),
            ended(CLOSED, livekit("participant_disconnected", caller_left="USER_REJECTED")),
            ended(CLOSED, livekit("participant_disconnected", caller_left="CLIENT_INITIATED")),
        ),
        Row(
            ("The agent's task was done", "LiveKit closed the AgentSession then"),
            ended(CLOSED, livekit("task_completed")),
            ended(CLOSED, livekit("user_initiated")),
        ),
        Row(
            ("The job was shut down", "the worker ended it: it was stopped, or LiveKit's server"),
            ended(CLOSED, livekit("user_initiated"), shut_down("parent process shutdown")),
            ended(CLOSED, livekit("user_initiated")),
        ),
        Row(
            ("the room was disconnected",),
            ended(
                CLOSED,
                livekit("user_initiated", room_left="STATE_MISMATCH"),
                shut_down("room disconnected"),
            ),
            ended(CLOSED, livekit("user_initiated"), shut_down("room disconnected")),
        ),
        Row(
            (" Then the job was shut down: {}.",),
            ended(CLOSED, livekit("user_initiated"), shut_down("all is said")),
            ended(CLOSED, livekit("participant_disconnected"), shut_down("all is said")),
        ),
        Row(
            ("An error ended the call", "LiveKit closed the AgentSession: {}"),
            ended(CLOSED, livekit("error", error="tts: no voice")),
            ended(CLOSED, livekit("user_initiated")),
        ),
        Row(
            ("LiveKit ended the call",),
            ended(CLOSED, livekit("bored")),
            ended(CLOSED, livekit("user_initiated")),
        ),
        Row(
            (
                "The call went on with another agent",
                "LiveKit handed it over to {}, which has a session of its own",
            ),
            ended(CLOSED, (9.1, AgentChanged("billing", "front"))),
            ended((8.0, AgentChanged("billing", "front")), CLOSED, livekit("user_initiated")),
        ),
        Row(
            ("The assistant ended the conversation",),
            ended(
                (8.0, server.AssistantEndedConversation()),
                (8.0, PlaybackLeft(0.0)),
                (8.5, LastWordsOver()),
                (8.5, PlaybackLeft(0.0)),
            ),
            ended((8.0, ConnectionClosed(1000, "no input")), (8.0, PlaybackLeft(0.0))),
        ),
        Row(
            ("The session was closed while its last words were played",),
            ended(
                answer(7.9, 4.0, "Bye."),
                (8.0, server.AssistantEndedConversation()),
                (8.5, Close()),
                (8.6, AgentSessionClosed("user_initiated")),
            ),
            ended(
                answer(7.9, 0.1, "Bye."),
                (8.0, server.AssistantEndedConversation()),
                (8.0, PlaybackLeft(0.0)),
                (8.5, LastWordsOver()),
                (8.5, PlaybackLeft(0.0)),
            ),
        ),
        Row(
            ("Its last words were interrupted, as LiveKit does when the AgentSession is closed",),
            "goodbye_cut_off",
            "goodbye",
        ),
        Row(
            ("Phonic ended the conversation",),
            ended((8.0, ConnectionClosed(1000, "no input")), (8.0, PlaybackLeft(0.0))),
            ended((8.0, server.Error(server.Problem("bad"))), (8.1, ConnectionClosed(1011))),
        ),
        Row(
            ("Phonic closed the connection after an error",),
            ended((8.0, server.Error(server.Problem("bad"))), (8.1, ConnectionClosed(1011))),
            ended((8.0, server.Error(server.Problem("bad"))), CLOSED),
        ),
        Row(
            ("Phonic refused the configuration",),
            "config_refused",
            ended((8.0, server.Error(server.Problem("bad"))), (8.1, ConnectionClosed(1011))),
        ),
        Row(
            ("No connection to Phonic could be opened",),
            "wrong_key",
            "away_for_good",
        ),
        Row(
            ("The connection to Phonic was lost for good",),
            "away_for_good",
            "wrong_key",
        ),
        Row(
            ("The session broke",),
            ended((8.0, Break("KeyError"))),
            ended((8.0, LeaseLost())),
        ),
        Row(
            ("Another process took the call over",),
            ended((8.0, LeaseLost())),
            ended((8.0, Break("KeyError"))),
        ),
    ),
    "_report/changes.py": (
        Row(
            ("New instructions",),
            call(ASKED, (5.0, UpdateInstructions("Be long."))),
            call(ASKED, (5.0, UpdateTools(()))),
        ),
        Row(
            ("New options: {}", "a reset"),
            call(
                ASKED, (5.0, UpdateOptions(config=ConfigOptions(voice_id="x"))), (5.0, ChangesDue())
            ),
            call(ASKED, (5.0, UpdateTools(())), (5.0, ChangesDue())),
        ),
        Row(
            ("New tools: none",),
            call(ASKED, (5.0, UpdateTools(()))),
            call(ASKED, (5.0, UpdateToolChoice(()))),
        ),
        Row(
            ("Tools offered: {}",),
            call(ASKED, (5.0, UpdateToolChoice(()))),
            call(ASKED, (5.0, UpdateTools(()))),
        ),
        Row(
            ("Handoff from {} to {}",),
            call(ASKED, (5.0, AgentChanged("billing", "front")), handoff(5.1)),
            call(ASKED, handoff(5.1)),
        ),
        Row(
            ("Handoff to another agent",),
            call(ASKED, handoff(5.1)),
            call(ASKED, (5.0, AgentChanged("billing", "front")), handoff(5.1)),
        ),
        Row(
            ("What Phonic remembers is changed",),
            call(ASKED, answer(3.2), (6.0, FORGOTTEN), (6.1, ChangesDue())),
            call(ASKED, answer(3.2), (6.0, UpdateInstructions("Be long.")), (6.1, ChangesDue())),
        ),
    ),
    "_report/numbers.py": (
        Row(
            ("from when Phonic said that the caller had finished to the first audio",),
            FINE,
            call(ASKED, answer(3.6), LEVELS, close=6.0),
        ),
        Row(
            ("from the caller's last sound to the first audio",),
            call(ASKED, answer(3.6), LEVELS, close=6.0),
            FINE,
        ),
        Row(
            ("from the caller's last sound, or in {} the end of the turn, to the first ",),
            call(ASKED, answer(3.6), LEVELS, caller(8.0, 9.0), answer(9.2), close=12.0),
            call(ASKED, answer(3.6), LEVELS, close=6.0),
        ),
        Row(
            ("from when the caller's turn was committed to the first audio",),
            call(PRESSED, answer(3.6), config={"push_to_talk": True}, close=6.0),
            call(PRESSED, answer(3.6), LEVELS, config={"push_to_talk": True}, close=6.0),
        ),
        Row(
            ("from the end of the caller's turn to the first audio",),
            call(
                PRESSED,
                answer(3.6),
                (6.0, StartUserActivity()),
                *caller(6.1, 7.0),
                answer(7.2),
                config={"push_to_talk": True},
                close=9.0,
            ),
            call(PRESSED, answer(3.6), config={"push_to_talk": True}, close=6.0),
        ),
        Row(
            ("from the call to the output, with any speech that LiveKit played first",),
            call(ASKED, TOOL, answer(5.0)),
            call(ASKED, TOOL, ran(3.5, 3.9), answer(5.0)),
        ),
        Row(
            ("as long as LiveKit ran the tool",),
            call(ASKED, TOOL, ran(3.5, 3.9), answer(5.0)),
            call(ASKED, TOOL, answer(5.0)),
        ),
        Row(
            ("as long as LiveKit ran the tool; where that was not observed, from the call to",),
            call(
                ASKED,
                TOOL,
                called(6.0, "call_2", city="Rome"),
                ran(6.1, 6.2, "done", "call_2"),
                given(6.3, "call_2"),
                answer(7.0),
            ),
            call(ASKED, TOOL, ran(3.5, 3.9), answer(5.0)),
        ),
        Row(
            ("at most, of the caller's audio, in outages",),
            call(ASKED, answer(3.2), resumed(5.0, 9.0)),
            call(ASKED, answer(3.2), second(1.0), resumed(5.0, 9.0), second(8.0, dropped_ms=900)),
        ),
        Row(
            ("\nof the caller's audio, in outages",),
            call(ASKED, answer(3.2), second(1.0), resumed(5.0, 9.0), second(8.0, dropped_ms=900)),
            call(ASKED, answer(3.2), resumed(5.0, 9.0)),
        ),
        Row(
            ("the median of {}, {}",),
            call(slow(0.2, 0.4), close=20.0),
            FINE,
        ),
    ),
    "trace/_turns.py": (
        Row(
            ("until Phonic noticed the end of the turn",),
            call(ASKED, answer(3.6), LEVELS, close=6.0),
            call(PRESSED, answer(3.6), LEVELS, config={"push_to_talk": True}, close=6.0),
        ),
        Row(
            ("until the turn was committed",),
            call(PRESSED, answer(3.6), LEVELS, config={"push_to_talk": True}, close=6.0),
            call(ASKED, answer(3.6), LEVELS, close=6.0),
        ),
    ),
    "_report/waterfall.py": (
        Row(
            ("until the first audio",),
            FINE,
            call(ASKED, called(3.4), close=6.0),
        ),
        Row(
            ("until the first audio (Phonic: {})",),
            call(ASKED, TIMED, close=6.0),
            FINE,
        ),
        Row(
            ("until Phonic called {}",),
            call(ASKED, TOOL, answer(5.0)),
            FINE,
        ),
        Row(
            ("until Phonic called {}, after it had begun to speak",),
            call(ASKED, answer(3.1)[:2], TOOL, answer(5.0)),
            call(ASKED, TOOL, answer(5.0)),
        ),
        Row(
            ("until LiveKit ran get_weather, after what was said before",),
            call(ASKED, answer(3.1)[:2], TOOL, ran(3.8, 3.9), answer(5.0)),
            call(ASKED, TOOL, ran(3.8, 3.9), answer(5.0)),
        ),
        Row(
            ("get_weather, and what LiveKit played before it",),
            call(ASKED, answer(3.1)[:2], TOOL, answer(5.0)),
            call(ASKED, TOOL, answer(5.0)),
        ),
        Row(
            ("until LiveKit played it",),
            call(ASKED, answer(3.2), (3.4, PlaybackStarted()), close=6.0),
            FINE,
        ),
    ),
    "_report/lanes/connection.py": (
        Row(
            ("was lost with the process that had the call",),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=1.5), answer(11.0)),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=0.2, cause="move"), answer(11.0)),
        ),
        Row(
            ("was handed over to another process",),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=0.2, cause="move"), answer(11.0)),
            call(ASKED, answer(3.2), taken_over(10.0, lost_for=1.5), answer(11.0)),
        ),
        Row(
            ("was closed by Phonic (code {}{})",),
            "phonic_restarts",
            call(ASKED, answer(3.2), resumed(5.0, 7.0)),
        ),
        Row(
            ("broke off (no close frame)",),
            call(ASKED, answer(3.2), resumed(5.0, 7.0)),
            "frozen_network",
        ),
        Row(
            ("the connection was closed by Phonic (code 4800{})",),
            call(ASKED, answer(3.2), afresh(5.0, 7.0)),
            call(ASKED, answer(3.2), resumed(5.0, 7.0)),
        ),
        Row(
            ("Phonic did not say in time that it is ready",),
            begins(
                SET,
                (0.2, ConnectionOpened(0.1)),
                (10.2, AnswerOverdue()),
                (11.0, RetryDue()),
                (11.1, ConnectionOpened(0.1)),
                (11.2, server.ConversationCreated("c")),
                (11.3, server.ReadyToStartConversation()),
            ),
            begins(
                SET,
                (0.2, ConnectionOpened(0.1)),
                (9.2, server.ConversationCreated("c")),
                (9.3, server.ReadyToStartConversation()),
            ),
        ),
    ),
    "trace/_standing.py": (
        Row(
            ("waits for the caller to speak",),
            stands(ASKED, answer(3.2)),
            stands(ASKED),
        ),
        Row(
            ("waits for Phonic's answer",),
            stands(ASKED),
            stands(ASKED, DIALLED),
        ),
        Row(
            ("waits for Phonic's answer to a tool's output",),
            stands(ASKED, called(3.4), given(4.0)),
            stands(ASKED),
        ),
        Row(
            ("waits for the first audio of the answer",),
            stands(ASKED, (3.5, server.AssistantStartedSpeaking())),
            stands(ASKED, answer(3.5)[:2]),
        ),
        Row(
            ("waits for the rest of the answer",),
            stands(ASKED, answer(3.5)[:2]),
            stands(ASKED, answer(3.5)),
        ),
        Row(
            ("waits for the output of {}",),
            stands(ASKED, called(3.4)),
            stands(ASKED, called(3.4), given(4.0)),
        ),
        Row(
            ("waits for the caller to stop speaking",),
            stands((2.0, server.UserStartedSpeaking())),
            stands(ASKED),
        ),
        Row(
            ("waits for LiveKit to give instructions and tools",),
            begins((0.2, ConnectionOpened(0.1)), close=None),
            begins((0.2, ConnectionOpened(0.1)), SET, close=None),
        ),
        Row(
            ("waits for a connection to Phonic",),
            begins(close=None),
            begins((0.2, ConnectionOpened(0.1)), close=None),
        ),
        Row(
            (", after {} failed",),
            begins(SET, (0.5, ConnectFailed("HTTP 503")), (1.0, RetryDue()), close=None),
            begins(SET, close=None),
        ),
        Row(
            ("waits for Phonic to say that it is ready",),
            begins(SET, (0.2, ConnectionOpened(0.1)), close=None),
            stands(),
        ),
        Row(
            ("waits for a new connection to Phonic",),
            stands((3.0, LOST)),
            begins(close=None),
        ),
        Row(
            ("waits for the assistant's last words to be played",),
            stands(
                answer(3.0, 4.0),
                (3.1, server.AssistantEndedConversation()),
                (3.1, PlaybackLeft(3.9)),
            ),
            stands(answer(3.0, 4.0)),
        ),
        Row(
            ("waits for the rest of the text that is to be said",),
            stands((3.0, Say("r", "It is ", complete=False))),
            stands((3.0, Say("r", "It is nine."))),
        ),
        Row(
            ("waits for the moment in which Phonic can be asked for a reply",),
            stands((0.6, GenerateReply("r", None)), config={"welcome_message": "Welcome."}),
            stands((3.0, GenerateReply("r", None))),
        ),
        Row(
            ("waits for Phonic to begin the reply that was asked for",),
            stands((3.0, GenerateReply("r", None))),
            stands((3.0, GenerateReply("r", None)), answer(4.0)),
        ),
        Row(
            ("waits for Phonic to begin without being asked, or the caller to speak",),
            stands(config={"welcome_message": "Welcome."}),
            stands((3.0, OpeningOverdue()), config={"welcome_message": "Welcome."}),
        ),
        Row(
            ("waits for the caller's turn to be ended",),
            stands(TALKS, config={"push_to_talk": True}),
            stands(TALKS, (4.0, CommitAudio()), config={"push_to_talk": True}),
        ),
        Row(
            ("waits for LiveKit to ask for the answer",),
            stands(TALKS, answer(4.1), (5.0, CommitAudio()), config={"push_to_talk": True}),
            stands(TALKS, (4.0, CommitAudio()), config={"push_to_talk": True}),
        ),
    ),
    "_report/page.py": (
        Row(
            (
                "The replay diverges",
                "The machine of this version does not do what was recorded: {} ",
            ),
            call(ASKED, answer(3.2), ends="diverged"),
            call(ASKED, answer(3.2)),
        ),
    ),
    "_report/overview.py": (
        Row(
            ("The file cannot be read further",),
            call(ASKED, answer(3.2), ends="garbled"),
            call(ASKED, answer(3.2), close=None),
        ),
    ),
}
"""By the module that says it."""

IN_EVERY_CALL = {
    "_report/numbers.py": {
        "Response latency",
        "Tool calls",
        "Time to ready",
        "Audio lost",
        "from {} to the first audio of the answer",
        "from the first step until the conversation was open",
        "answers that were cut off",
        "without a connection, in mid-call",
    },
}
"""What names a figure, whatever the figure is."""

NOT_SAID = {
    "_report/end.py": {"room disconnected", "parent process shutdown"},  # LiveKit's reasons
    "_report/lanes/tools.py": {"handed over", "not made"},  # how a call ended
    "_report/rules/tools.py": {"handed over", "not made", "Error parsing arguments"},
    "_report/rules/answers.py": {", the request "},  # where a text is cut
    "_report/page.py": {
        '<audio id="{}" preload="auto" src="data:audio/wav;base64,{}"></audio>',
        '<p class="muted">Without {}: {}.</p>',
        '<a href="{}">All calls</a>',
        "the call's audio",
        "Phonic's recording",
    },
}
"""What is no sentence about a call."""


# -- the tests -----------------------------------------------------------------------------------


def _claimed(module: str, phrases: set[str]) -> set[str]:
    """The sentences of a module that the rows are about: a row names all of a sentence, or a part
    that no other one has."""
    all_of_it = {text for where, text in sentences() if where == module}
    claimed = set()
    for phrase in phrases:
        claimed |= {text for text in all_of_it if pattern(text.strip(), empty=True).search(phrase)}
        partly = {text for text in all_of_it if phrase in text}
        claimed |= {phrase} & partly or (partly if len(partly) == 1 else set())
    return claimed


def test_every_sentence_has_a_row():
    lack = []
    for module in sorted({where for where, _ in sentences()}):
        rows = ROWS.get(module, ())
        there = {text for where, text in sentences() if where == module}
        there -= IN_EVERY_CALL.get(module, set()) | NOT_SAID.get(module, set())
        lack += [
            (module, text) for text in there - _claimed(module, {s for r in rows for s in r.says})
        ]
    assert sorted(lack) == []


def test_every_row_is_about_a_sentence():
    stale = [
        (module, phrase)
        for module, rows in ROWS.items()
        for row in rows
        for phrase in row.says
        if not _claimed(module, {phrase})
    ]
    assert stale == []


def test_every_module_of_the_report_is_known_to_speak_or_not():
    names = {path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "_report").rglob("*.py")}
    unknown = {
        name
        for name in names
        if name not in SILENT
        and not any(name == known or name.startswith(f"{known}/") for known in SPEAKING)
    }
    assert {name for name in unknown if not name.endswith("__init__.py")} == set()


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is said of a call; each call is looked at once."""
    known: dict[str, str] = {}
    place = tmp_path_factory.mktemp("calls")

    def look(at: Call | str) -> str:
        key = repr(at)
        if key not in known:
            trace = (
                KINDS / f"{at}.jsonl"
                if isinstance(at, str)
                else written(place / f"{len(known)}.jsonl", at)
            )
            known[key] = said_of(trace)
        return known[key]

    return look


CASES = [
    pytest.param(row, id=f"{module.rpartition('/')[2]}: {row.says[0][:60]}")
    for module, rows in ROWS.items()
    for row in rows
]


@pytest.mark.parametrize("row", CASES)
def test_a_sentence_is_said_where_it_is_true_and_only_there(row: Row, said: Any):
    where_true, where_wrong = said(row.of), said(row.but_not_of)
    for phrase in row.says:
        assert pattern(phrase).search(where_true), where_true
        assert not pattern(phrase).search(where_wrong), where_wrong
