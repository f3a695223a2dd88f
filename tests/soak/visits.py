"""One call of the soak in rooms: what its caller says, and what must be true of it afterwards.

A visit is examined from what was kept of it: the journal, Phonic's record and what the caller
noted. Times are in seconds since 1970, as in a journal.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import numpy as np
from support.chirp import HOP, RATE, chirp, moments
from support.rooms import greeted, said

from phonic_fsm._core.states import CONVERSING
from phonic_fsm._wire import client, server
from phonic_fsm.simulator import Call, ConversationRecord, Scenario, Turn
from phonic_fsm.testing import RoomCall, Sound
from phonic_fsm.trace import replay
from phonic_fsm.trace._reader import TraceReader

QUESTION = 4.0
"""How long (s) a caller speaks."""

QUIET = 3.0
"""After so many seconds of silence the answer is over, what a tool brings included."""

MOST_QUESTIONS = 8
"""Of a visit."""

TOLERANCE = 2.0
"""Seconds of a question that a busy machine may lose or repeat on its way through the room. On a
quiet one it is a tenth of that."""

PATIENCE = 30.0
"""How long (s) a caller waits for an answer until they ask again."""

MOST_REPETITIONS = 2
"""Then they wait until their patience with the call is over."""

LATE = 1.0
"""If the process of a call, or the caller's, does not run for so many seconds while a question is
asked and answered, audio and text are lost on their way through the room. What such a question has
lost says nothing about the call."""

KEPT = 30.0
"""How long (s) Phonic keeps a conversation. One that is lost sooner is resumed."""


def _turn(number: int) -> Turn:
    tool = {1: "book_table", 3: "find_table"}.get(number % 4)
    calls = (Call(tool=tool, parameters={"guests": 2}, then="That is {output}."),) if tool else ()
    return Turn(
        caller=f"Question {number}.",
        assistant=f"Answer {number}: there is a table by the window, and one in the garden.",
        calls=calls,
    )


SCENARIO = Scenario(
    replies=("Welcome to the house.",), turns=tuple(_turn(n) for n in range(2 * MOST_QUESTIONS))
)

ANSWERS = {turn.caller: turn.assistant or "" for turn in SCENARIO.turns}

_WHOLE_TONE = chirp(MOST_QUESTIONS * QUESTION).pcm


def _part(number: int) -> Sound:
    """What the caller gives as the question of this number: its pitch tells which part it is."""
    size = round(QUESTION * RATE) * 2
    return Sound(_WHOLE_TONE[number * size : (number + 1) * size], RATE)


class Question(NamedTuple):
    """One question of the caller's, and what came of it."""

    since: float
    """When the caller began to wait for a moment to ask."""
    began: float
    ended: float
    again: int
    """How often the caller had to say it again. Nobody knows of what was said while no process had
    the call."""
    quiet: float
    """When the answer was over."""
    told: list[tuple[str, str]]
    """The transcripts that came meanwhile: ``agent`` or ``caller``, and the words."""


@dataclass
class Visit:
    """A caller's call."""

    call: RoomCall
    questions: list[Question] = field(default_factory=list)
    blows: int = 0
    """How much has been done to the process of the call since the last answer."""
    is_struck_down: bool = False
    """Whether it was killed since."""
    is_open: bool = False
    """Whether the agent has greeted the caller, who has not hung up."""

    @property
    def room(self) -> str:
        return self.call.room.name

    def owns(self, journal: str) -> bool:
        """Whether the journal of this name is one of the call's; there should be one."""
        return journal.startswith(f"{self.room}.")

    def strike(self, *, deadly: bool) -> None:
        """Note that something was done to the process of the call."""
        self.blows += 1
        self.is_struck_down = self.is_struck_down or deadly

    async def live(self, rng: random.Random) -> str | None:
        """Talk for a while; returns what the caller has to complain of."""
        since = time.time()
        try:
            await greeted(self.call)
            self.is_open = True
            for number in range(rng.randint(3, MOST_QUESTIONS)):
                await self._ask(number, since)
                since = time.time()
                await anyio.sleep(rng.uniform(0, 2))
        except TimeoutError as error:
            return f"question {len(self.questions)}: {error}"
        finally:
            self.is_open = False
        return "the call ended before the caller hung up" if self.call.over else None

    async def _ask(self, number: int, since: float) -> None:
        known = len(self.call.transcripts)
        again = -1
        answered = False
        while not answered:
            again += 1
            began = time.time()
            await self.call.say(_part(number))
            ended, said_at = time.time(), anyio.current_time()
            with anyio.move_on_after(PATIENCE if again < MOST_REPETITIONS else math.inf):
                await self.call.until(partial(self._hears_after, said_at), "the agent's voice")
                answered = True
        self.blows, self.is_struck_down = 0, False
        await self.call.until(self._is_answered, "the end of the answer")
        told = said(self.call)[known:]
        self.questions.append(Question(since, began, ended, again, time.time(), told))

    def _is_answered(self) -> bool:
        """Whether the agent has nothing more to say. A tool may still be about to start."""
        return self.call.ear.silence >= QUIET and self.call.agent_state == "listening"

    def _hears_after(self, moment: float) -> bool:
        """Whether the agent was heard after this moment, also if it began to speak before."""
        stretches = self.call.ear.stretches
        return any((s.ended or s.heard_until) > moment + 0.3 for s in stretches[-2:])


class Outage(NamedTuple):
    """A time in which no process had the call, or none had Phonic's conversation."""

    cause: str
    """``death`` or ``move``; ``forced`` is a move at a moment at which somebody spoke."""
    began: float
    ended: float | None
    """``None`` if the caller hung up before."""

    def overlap(self, began: float, ended: float) -> float:
        last = ended if self.ended is None else min(ended, self.ended)
        return max(0.0, last - max(began, self.began))


class Stall(NamedTuple):
    """A time in which a process did not run, though it wanted to."""

    began: float
    ended: float


@dataclass
class Account:
    """What has become of a visit."""

    losses: list[str] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    steps: int = 0
    afresh: int = 0
    """How many conversations Phonic had to begin, beside the first."""
    unclear: list[str] = field(default_factory=list)
    """Losses of questions during which the machine was too busy."""


def examine(
    journal: Path, questions: Sequence[Question], audio: bytes, stalls: Sequence[Stall]
) -> Account:
    """The visit whose journal this is, of which Phonic has heard ``audio``.

    ``stalls`` are those of the callers' process.
    """
    account = Account()
    steps = []
    for step in replay(journal):
        if step.difference is not None:
            account.losses.append(f"a replay differs: {step}")
        steps.append(step.line)
    account.steps = len(steps)
    began = datetime.fromisoformat(TraceReader(journal).header.started).timestamp()
    lines = [(began + line.t, line.event, line.source, line.target) for line in steps]
    account.outages += _outages(lines)
    account.losses += _needlessly_afresh(lines)
    account.afresh = max(0, _count(lines, "conversation_created") - 1)
    stalls = [*stalls, *_stalls(lines)]
    misunderstood = _misunderstood(questions, account.outages)
    for number, loss in [*misunderstood, *_unheard(questions, account.outages, audio)]:
        is_clear = _stalled(stalls, questions[number]) < LATE
        (account.losses if is_clear else account.unclear).append(loss)
    return account


_Lines = Sequence[tuple[float, dict[str, Any], str, str]]
_OPEN = {state.value for state in CONVERSING}
_BACK = ("conversation_reconnected", "ready_to_start_conversation")


def _count(lines: _Lines, kind: str) -> int:
    return sum(event["type"] == kind for _, event, _, _ in lines)


def _outages(lines: _Lines) -> Iterator[Outage]:
    for place, (at, event, source, _) in enumerate(lines):
        if event["type"] != "take_over":
            continue
        cause = event.get("cause", "death")
        if cause == "move" and (source != "ready" or event.get("unheard")):
            cause = "forced"
        back = (at for at, later, _, _ in lines[place:] if later["type"] in _BACK)
        began = min(lines[place - 1][0], at - event["lost_for"])
        yield Outage(cause, began, next(back, None))


def _stalls(lines: _Lines) -> Iterator[Stall]:
    """Those of the processes that had the call."""
    for at, event, _, _ in lines:
        if event["type"] == "event_loop_late":
            yield Stall(at - event["seconds"], at)


def _stalled(stalls: Sequence[Stall], question: Question) -> float:
    """For how long (s) processes did not run from the question's beginning to its answer's end."""
    return sum(
        max(0.0, min(stall.ended, question.quiet) - max(stall.began, question.since))
        for stall in stalls
    )


def _needlessly_afresh(lines: _Lines) -> Iterator[str]:
    """Conversations that were begun though Phonic still had the one before."""
    last_open = 0.0
    for at, event, source, _ in lines:
        if source in _OPEN:
            last_open = at
        elif event["type"] == "conversation_created" and at - last_open < KEPT:
            yield f"a new conversation begins {at - last_open:.1f} s after the last one"


def _misunderstood(
    questions: Sequence[Question], outages: Sequence[Outage]
) -> Iterator[tuple[int, str]]:
    """What was not answered, or answered twice, though no process died meanwhile."""
    for number, question in enumerate(questions):
        if _seconds(outages, question.since, question.quiet) > 0:
            continue
        asked = [words for who, words in question.told if who == "caller"]
        answered = [words for who, words in question.told if who == "agent"]
        if len(asked) != 1 or answered.count(ANSWERS[asked[0]]) != 1:
            yield number, f"question {number} is not answered as it should be: {question.told}"


def _unheard(
    questions: Sequence[Question], outages: Sequence[Outage], audio: bytes
) -> Iterator[tuple[int, str]]:
    """What Phonic has not heard though a process had the call, or has heard twice."""
    heard = moments(audio) if audio else np.array([])
    for number, question in enumerate(questions):
        start = number * QUESTION
        times = np.arange(start, start + QUESTION, HOP / RATE)
        came, _ = np.histogram(heard, [*times, start + QUESTION])
        lost = float((came == 0).sum()) * HOP / RATE
        doubled = float((came[came > 1] - 1).sum()) * HOP / RATE
        excused = _seconds(outages, question.began, question.ended)
        if question.again and not _seconds(outages, question.since, question.ended):
            yield number, f"question {number} was asked {1 + question.again} times"
        if lost > excused + TOLERANCE:
            nobody = f"{excused:.1f} s nobody could hear"
            yield number, f"of question {number}, {lost:.1f} s are lost; {nobody}"
        if doubled > TOLERANCE and not question.again:
            yield number, f"of question {number}, {doubled:.1f} s were heard twice"


def _seconds(outages: Sequence[Outage], began: float, ended: float) -> float:
    return sum(one.overlap(began, ended) for one in outages if one.cause != "move")


def examine_phonic(conversations: Sequence[ConversationRecord], runs: Sequence[str]) -> list[str]:
    """What is wrong with the tools of one visit; ``runs``: the notes of all tools that ran."""
    wrong = []
    ran = [line.split() for line in runs]
    for conversation in conversations:
        sent = conversation.sent
        turns = [n for n, message in enumerate(sent) if isinstance(message, server.InputText)]
        called = {m.tool_call_id: n for n, m in enumerate(sent) if isinstance(m, server.ToolCall)}
        settled = {
            message.tool_call_id
            for message in [*conversation.received, *sent]
            if isinstance(message, (client.ToolCallOutput, server.ToolCallInterrupted))
        }
        for call_id, place in called.items():
            pids = [pid for _, one, pid in ran if one == call_id]
            name = next((name for name, one, _ in ran if one == call_id), None)
            if name == "book_table" and len(pids) > 1:
                wrong.append(f"book_table ran {len(pids)} times for {call_id}")
            if max(Counter(pids).values(), default=0) > 1:
                wrong.append(f"{name} ran more than once in a process, for {call_id}")
            if call_id not in settled and any(turn > place for turn in turns):
                wrong.append(f"Phonic was told nothing of the tool call {call_id}")
    return wrong
