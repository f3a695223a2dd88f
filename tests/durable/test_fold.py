"""A journal's lines become the machine that wrote them, from a checkpoint on if there is one."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest
from support.record_traces import TRACES

from phonic_fsm._core import events, memory
from phonic_fsm._core.context import Settings
from phonic_fsm._core.machine import SessionMachine, Step
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.durable._account import Account
from phonic_fsm.durable._fold import Folded, Unreadable, fold
from phonic_fsm.trace import TraceReader
from phonic_fsm.trace._format import event_from
from phonic_fsm.trace._lines import StepLines

RECORDED = sorted(TRACES.glob("*.jsonl"))
SECOND = b"\0\0" * 24_000


class Written:
    """A session's journal, written as its recorder does."""

    def __init__(self, settings: Settings) -> None:
        self.machine = SessionMachine(settings)
        self.account = Account(settings.config)
        self._lines = StepLines(settings, Secrets("key"))
        self.lines = [self._lines.header(datetime.now(timezone.utc))]

    def take(self, t: float, event: events.Event) -> Step:
        step = self.machine.step(event)
        self.account.follow(t, step)
        self.lines.append(self._lines.of([(t, step)]))
        return step

    def checkpoint(self, t: float) -> None:
        self.take(t, self.account.checkpoint(self.machine.context.history))


def same(folded: Folded, written: Written) -> bool:
    return memory.encode(folded.machine.context) == memory.encode(written.machine.context)


def remembered(account: Account) -> dict[str, Any]:
    """All that it holds, but for the times of items that the history no longer has."""
    return {name: value for name, value in vars(account).items() if name not in ("_on", "times")}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_it_is_the_machine_that_wrote_it(path):
    reader = TraceReader(path)
    whole, marked = Written(reader.header.settings), Written(reader.header.settings)
    lines = list(reader)
    for line in lines:
        whole.take(line.t, event_from(line.event))
        marked.take(line.t, event_from(line.event))
        if line.seq == len(lines) // 2:
            marked.checkpoint(line.t)
    for written in (whole, marked):
        folded = fold(written.lines)
        assert same(folded, written)
        assert folded.steps == len(written.lines) - 1
        assert folded.last == lines[-1].t
        assert folded.is_complete
        assert remembered(folded.account) == remembered(whole.account)
    assert fold(whole.lines).account.times == fold(marked.lines).account.times


def test_the_lines_before_a_checkpoint_are_not_read():
    written = talking()
    written.checkpoint(3.0)
    lines = [written.lines[0], *([b"damaged\n"] * (len(written.lines) - 2)), written.lines[-1]]
    assert same(fold(lines), written)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"no JSON\n", "line 3: DecodeError"),
        (b'{"seq":2,"t":1,"event":{"type":"new"},"from":"a","to":"b","effects":[]}\n', "line 3: V"),
    ],
)
def test_a_line_that_is_no_step_is_named(line, problem):
    written = talking()
    with pytest.raises(Unreadable, match=problem):
        fold([*written.lines[:2], line])
    with pytest.raises(Unreadable, match="line 1"):
        fold([])


def test_a_journal_that_ends_before_its_call_says_so():
    written = talking()
    end = StepLines(written.machine.context.settings, Secrets("key")).end("overrun")
    folded = fold([*written.lines, end])
    assert not folded.is_complete
    assert same(folded, written)


def test_a_journal_with_a_hole_says_so():
    """As where Redis has failed over, and the replica had not heard all."""
    written = talking()
    assert fold(written.lines).is_complete
    assert not fold(written.lines[:4] + written.lines[5:]).is_complete


def test_phonic_is_away_since_before_the_takeover():
    """So that the next one knows, if the successor dies before the conversation goes on."""
    written = talking()
    written.take(2.0, phonic.ConversationCreated("conv_1"))
    written.take(20.0, events.TakeOver(lost_for=3.0))
    assert fold(written.lines).account.lost_at == 17.0
    written.take(21.0, events.ConnectionOpened())
    written.take(21.5, phonic.ConversationReconnected())
    assert fold(written.lines).account.lost_at is None


# -- what was played ---------------------------------------------------------------------------


def talking() -> Written:
    """A call with an answer, 1 s after the journal's begin."""
    written = Written(Settings(id_seed="seed", config=ConfigOptions(output_format="pcm_24000")))
    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=(), items=()),
        events.ConnectionOpened(),
        phonic.ReadyToStartConversation(),
    ):
        written.take(0.5, event)
    answer(written, 1.0)
    return written


def answer(written: Written, t: float) -> None:
    """An answer of 4 s, one word a second, that comes at once."""
    written.take(t, phonic.AssistantStartedSpeaking())
    for word in ("one ", "two ", "three ", "four "):
        written.take(t, phonic.AudioChunk(SECOND, word))
    written.take(t, phonic.AssistantFinishedSpeaking())


def heard(written: Written, t: float) -> list[tuple[str, float]]:
    told = fold(written.lines).account.unheard(t)
    assert told == written.account.unheard(t)
    return [(answer.text, answer.seconds) for answer in told]


def test_what_is_heard_follows_from_when_livekit_plays():
    written = talking()
    written.take(2.0, events.PlaybackStarted())
    assert heard(written, 4.5) == [("one two ", 2.5)]
    assert heard(written, 5.9) == []
    written.take(3.5, events.PlaybackFinished(1.5, interrupted=True))
    assert heard(written, 4.5) == []


def test_where_livekit_says_nothing_it_follows_from_when_the_audio_came():
    assert heard(talking(), 3.2) == [("one two ", 2.2)]


def test_a_first_answer_that_livekit_has_yet_to_play_is_not_heard():
    """The greeting: nothing was played before, which would show that LiveKit says when it plays."""
    written = talking()
    written.take(1.1, events.AgentState("listening"))
    assert heard(written, 9.0) == [("", 0.0)]
    written.take(8.5, events.PlaybackStarted())
    written.take(8.5, events.AgentState("speaking"))
    assert heard(written, 9.7) == [("one ", 1.2)]


def test_an_agent_session_that_speaks_and_does_not_play_has_no_output_that_would_tell():
    written = talking()
    written.take(0.9, events.AgentState("listening"))
    written.take(1.1, events.AgentState("speaking"))
    written.take(1.2, events.AgentState("listening"))
    assert heard(written, 3.2) == [("one two ", 2.2)]


def test_a_checkpoint_knows_what_is_played():
    written = talking()
    written.take(2.0, events.PlaybackStarted())
    written.checkpoint(3.0)
    assert heard(written, 4.5) == [("one two ", 2.5)]


def test_a_checkpoint_knows_what_livekit_has_said_of_playback():
    """Of one answer that was played before it, and of a second that waits to be."""
    written = talking()
    written.take(2.0, events.AgentState("speaking"))
    written.take(2.0, events.PlaybackStarted())
    written.take(6.0, events.PlaybackFinished(4.0, interrupted=False))
    written.checkpoint(7.0)
    answer(written, 8.0)
    assert heard(written, 60.0) == [("", 0.0)]


def test_a_checkpoint_knows_that_livekit_says_nothing_of_playback():
    written = talking()
    written.checkpoint(2.0)
    assert heard(written, 3.2) == [("one two ", 2.2)]


def test_a_checkpoint_knows_what_livekit_has_just_cut_off():
    written = talking()
    written.take(2.0, events.PlaybackStarted())
    written.take(4.5, events.Interrupt())
    written.checkpoint(4.6)
    assert heard(written, 5.0) == [("one two ", 2.5)]


def test_a_checkpoint_knows_since_when_phonic_is_away():
    written = talking()
    written.take(2.0, phonic.ConversationCreated("conv_1"))
    written.take(3.0, events.ConnectionClosed(1006))
    written.checkpoint(4.0)
    assert fold(written.lines).account.lost_at == 3.0


def test_of_an_older_journals_checkpoint_livekit_is_taken_to_say_when_it_plays():
    written = talking()
    written.take(2.0, events.PlaybackStarted())
    written.take(6.0, events.PlaybackFinished(4.0, interrupted=False))
    written.checkpoint(7.0)
    line = msgspec.json.decode(written.lines[-1])
    for name in ("playback", "cut", "lost_at"):
        del line["event"][name]
    written.lines[-1] = msgspec.json.encode(line) + b"\n"
    answer(written, 8.0)
    assert heard(written, 60.0) == [("", 0.0)]


def test_the_caller_stops_what_is_played():
    written = talking()
    written.take(2.0, phonic.UserStartedSpeaking())
    assert heard(written, 2.1) == []


def test_what_an_agent_session_cuts_off_as_it_is_closed_was_meant_to_be_heard():
    written = talking()
    written.take(2.0, events.PlaybackStarted())
    written.take(4.5, events.Interrupt())
    written.take(4.6, events.PlaybackFinished(2.5, interrupted=True))
    assert heard(written, 5.0) == [("one two ", 2.5)]
    assert heard(written, 9.0) == []
    written.take(4.7, phonic.UserStartedSpeaking())
    assert heard(written, 5.0) == []


def test_what_the_application_remembers_comes_back():
    written = talking()
    written.take(2.0, events.RememberState({"guests": 2}))
    assert fold(written.lines).account.state == {"guests": 2}
    written.checkpoint(3.0)
    state = fold(written.lines).account.state
    assert msgspec.json.encode(state) == b'{"guests":2}'
