"""An answer that LiveKit does not take is told to the log and to the trace."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from livekit import rtc
from support.job import job, until
from support.scripted import PATIENCE, SILENCE, conversation, read, settle

from phonic_fsm._adapter import listener
from phonic_fsm._adapter.generation import AudioStream
from phonic_fsm._adapter.listener import Listener
from phonic_fsm._core.events import AudioNotTaken
from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import assert_replays
from phonic_fsm.trace import TraceReader

pytestmark = pytest.mark.anyio

FRAME = rtc.AudioFrame(SILENCE, 24_000, 1, len(SILENCE) // 2)


@pytest.fixture
def impatient(monkeypatch):
    """An answer may not wait at all."""
    monkeypatch.setattr(listener, "PATIENCE", 0.0)


async def test_an_answer_that_nobody_reads_is_found_in_the_log_and_in_the_trace(
    make_model, server, impatient, caplog, tmp_path
):
    trace = tmp_path / "unheard.jsonl"
    async with conversation(make_model(trace=trace), server) as (_, peer, emitted):
        await peer.speak("Good ", "morning.")
        await settle(peer, emitted)
    assert "nobody hears the assistant: for 0 s LiveKit has not read its audio" in caplog.text
    assert_replays(trace)
    events = [line.event for line in TraceReader(trace)]
    [found] = [event for event in events if event["type"] == "audio_not_taken"]
    assert found["reason"] == "not_read"


async def test_a_caller_who_has_not_subscribed_is_named(make_model, server, impatient, caplog):
    async with job(make_model(), server) as (_, peer):
        await peer.speak("Good ", "morning.")
        await until(lambda: "nobody hears the assistant" in caplog.text)
    assert "no caller has subscribed to the agent's audio track" in caplog.text


async def test_a_wait_that_livekit_has_given_up_is_named(make_model, server, caplog):
    async with job(make_model(), server) as (session, peer):
        session.room_io.subscribed_fut.cancel()
        await peer.speak("Good ", "morning.")
        await until(lambda: "nobody hears the assistant" in caplog.text)
    assert "LiveKit no longer waits for the caller to subscribe" in caplog.text


async def test_an_answer_that_is_read_is_not_reported(make_model, server, caplog):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.speak("Good ", "morning.")
        await read(await emitted.next("generation_created"))
        await settle(peer, emitted)
    assert not caplog.text


async def test_text_alone_needs_no_listener(make_model, server, impatient, caplog):
    async with job(make_model(), server) as (session, peer):
        session.output.set_audio_enabled(False)
        await peer.speak("Good ", "morning.")
        with anyio.fail_after(PATIENCE):
            await session.current_agent.realtime_llm_session.generate_reply()
    assert "nobody hears" not in caplog.text


class Answers:
    """Answers of a listener's session, and what it reports of them."""

    def __init__(self) -> None:
        self.reported: list[AudioNotTaken] = []
        self.listener = Listener(self.reported.append)

    def answer(self, name: str, seconds: float) -> AudioStream:
        audio = AudioStream(name)
        audio.send_nowait(FRAME)
        audio.seconds = seconds
        self.listener.expect(audio)
        return audio


async def test_an_answer_may_wait_until_the_one_before_is_heard(impatient, monkeypatch):
    answers = Answers()
    monkeypatch.setattr(listener, "PATIENCE", 3600.0)
    first = answers.answer("first", seconds=3600.0)
    monkeypatch.setattr(listener, "PATIENCE", 0.0)
    await anext(first)
    answers.answer("second", seconds=1.0)
    assert not answers.reported
    # Long enough ago: T + 3600.0 - 3600.0 may be later than T, and the clock may stand at T.
    first.ends_at -= 3601.0
    answers.answer("third", seconds=1.0)
    assert [event.response_id for event in answers.reported] == ["second"]
    answers.listener.forget()


async def test_what_was_interrupted_need_not_be_taken(monkeypatch):
    answers = Answers()
    answers.answer("first", seconds=1.0)
    answers.listener.forget()
    monkeypatch.setattr(listener, "PATIENCE", 0.0)
    answers.listener._look()
    assert not answers.reported


async def test_it_is_said_once_until_an_answer_is_taken(impatient):
    answers = Answers()
    for name in ("first", "second"):
        answers.answer(name, seconds=0.0)
    third = answers.answer("third", seconds=0.0)
    assert [event.response_id for event in answers.reported] == ["first"]
    await anext(third)
    answers.answer("fourth", seconds=0.0)
    assert [event.response_id for event in answers.reported] == ["first", "fourth"]
    answers.listener.forget()


async def test_no_timer_is_left_behind(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Good "))
        await emitted.next("generation_created")
        await settle(peer, emitted)
        timer = session._answers.listener._timer
        assert timer is not None
    assert timer.cancelled()
    assert asyncio.get_running_loop().time() < timer.when()
