"""What was said stands in the history in the order in which it was said, each once.

Every course of a small conversation is tried: a letter is something that happens, and a word of
letters is a course.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from support.machines import conversing

from phonic_fsm._core import events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import Event
from phonic_fsm._core.history import Message
from phonic_fsm._wire import server
from phonic_fsm._wire.config import ConfigOptions

USUAL = ConfigOptions()
OVERLAPPING = ConfigOptions(stream_ahead_of_real_time=False)
PUSH_TO_TALK = ConfigOptions(push_to_talk=True)
CONFIGS = {"usual": USUAL, "overlapping": OVERLAPPING, "push_to_talk": PUSH_TO_TALK}

START, FINISH, TRANSCRIPT, ANSWER, END, OUTAGE, PRESS, RELEASE = "sftaeopr"
BUTTON = PRESS + RELEASE

CALLERS = "Hello. ", "And the weather? ", "Thank you. ", "Bye. ", "No. ", "Hm. "
ASSISTANTS = "Hi. ", "It is fine. ", "Any time. ", "Take care. ", "Well. ", "So. "


def said(course: str, config: ConfigOptions) -> list[str]:
    """What stands in the history after this course, and after the end of an open answer."""
    machine = conversing(Settings(id_seed="seed", config=config))
    transcripts, answers = iter(CALLERS), iter(ASSISTANTS)

    def happens(letter: str) -> tuple[Event, ...]:
        if letter == START:
            return (server.UserStartedSpeaking(),)
        if letter == FINISH:
            return (server.UserFinishedSpeaking(),)
        if letter == TRANSCRIPT:
            return (server.InputText(next(transcripts)),)
        if letter == ANSWER:
            chunk = server.AudioChunk(b"\0\0" * 480, next(answers))
            return (server.AssistantStartedSpeaking(), chunk)
        if letter == END:
            return (server.AssistantFinishedSpeaking(),)
        if letter == OUTAGE:
            lost = events.ConnectionClosed(1006)
            return (lost, events.ConnectionOpened(), server.ConversationReconnected())
        if letter == PRESS:
            return (events.StartUserActivity(),)
        return (events.CommitAudio(), events.GenerateReply(f"reply {machine.context.ids}"))

    for letter in course:
        for event in happens(letter):
            machine.step(event)
    machine.step(server.AssistantFinishedSpeaking())
    machine.step(events.AnswerUnclaimed())
    return [item.text for item in machine.context.history if isinstance(item, Message)]


@pytest.mark.parametrize("name", CONFIGS)
def test_transcripts_stand_in_the_order_in_which_they_come_whatever_comes_between(name):
    """Also what no service should send: messages are lost, come twice, or overtake each other."""
    letters = START + FINISH + TRANSCRIPT + ANSWER + END + OUTAGE
    if name == "push_to_talk":
        letters += BUTTON
    for course in product(letters, repeat=4):
        # A last transcript, and the one before it, are what can change places.
        words = said("".join(course) + 2 * TRANSCRIPT, CONFIGS[name])
        heard = [line for line in words if line in CALLERS]
        assert heard == list(CALLERS[: course.count(TRANSCRIPT) + 2]), course


def courses(config: ConfigOptions, length: int, turns: int, course: str = "") -> Iterator[str]:
    """The courses in which nobody begins to speak, or is transcribed, in an impossible moment.

    A transcript comes before, in or after the answer to its turn, but before the next one ends.
    """
    started, finished, transcribed = (course.count(x) for x in (START, FINISH, TRANSCRIPT))
    ends = END + PRESS if config is OVERLAPPING else END + PRESS + START
    answers = [x for x in course if x in ANSWER + ends][-1:] == [ANSWER]
    held = course.rfind(PRESS) > course.rfind(RELEASE)
    speaks = started > finished
    possible = {
        START: not speaks and started < turns,
        FINISH: speaks and transcribed >= finished,
        TRANSCRIPT: transcribed < finished,
        ANSWER: not answers and not speaks and course.count(ANSWER) < turns,
        END: answers,
        PRESS: config is PUSH_TO_TALK and not held and course.count(PRESS) < turns,
        RELEASE: config is PUSH_TO_TALK and held,
    }
    following = [letter for letter, may_happen in possible.items() if may_happen]
    if len(course) == length or not following:
        yield course
        return
    for letter in following:
        yield from courses(config, length, turns, course + letter)


@pytest.mark.parametrize(
    ("name", "length", "turns"),
    [("usual", 12, 3), ("overlapping", 9, 3), ("push_to_talk", 7, 2)],
)
def test_what_both_say_stands_in_its_order_however_late_the_transcripts_are(name, length, turns):
    for course in courses(CONFIGS[name], length, turns):
        lines = {FINISH: iter(CALLERS), ANSWER: iter(ASSISTANTS)}
        spoken = [next(lines[letter]) for letter in course if letter in lines]
        words = said(course, CONFIGS[name])
        assert words == [line for line in spoken if line in words], course
        assert set(CALLERS[: course.count(TRANSCRIPT)]) <= set(words), course
