"""Nothing is handed to LiveKit's room before the caller can hear it, and nothing hangs on it."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice import io
from support.job import job, until
from support.receptionist import Receptionist
from support.scripted import PATIENCE, SILENCE, conversation, read

from phonic_fsm._adapter.job import sink
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


def answers(session) -> asyncio.Queue[Any]:
    """The audio of each answer from now on."""
    audio = asyncio.Queue()
    phonic_session = session.current_agent.realtime_llm_session
    phonic_session.on(
        "generation_created", lambda _: audio.put_nowait(phonic_session._answers._generation.audio)
    )
    return audio


async def test_an_answer_waits_until_the_caller_can_hear_it(make_model, server):
    async with job(make_model(), server) as (session, peer):
        coming = answers(session)
        await peer.speak("Good ", "morning.")
        audio = await coming.get()
        await until(lambda: audio.qsize() == 1)
        assert sink().captured_playout_segments == 0
        session.room_io.subscribed_fut.set_result(None)
        await until(lambda: sink().captured_playout_segments == 1)
        await until(audio.empty)


async def test_a_caller_who_speaks_before_they_hear_is_answered(make_model, server):
    async with job(make_model(), server) as (session, peer):
        coming = answers(session)
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE * 2, "One "))
        await until((await coming.get()).empty)
        interrupted = session.current_speech
        await peer.send(phonic.UserStartedSpeaking())
        with anyio.fail_after(PATIENCE):
            await interrupted
        await peer.send(phonic.UserFinishedSpeaking())
        session.room_io.subscribed_fut.set_result(None)
        await peer.speak("Two.")
        await until(lambda: sink().captured_playout_segments == 1)


async def test_livekit_alone_leaves_the_caller_in_silence():
    """If this fails, LiveKit has mended its output, and _adapter/subscription.py can go.

    See its docstring. An answer that is cancelled before the caller has subscribed ends all later
    ones, whoever they come from.
    """
    session = AgentSession()
    await session.start(Receptionist(), room=rtc.Room())
    try:
        subscribed = session.room_io.subscribed_fut
        frame = rtc.AudioFrame(SILENCE, 24_000, 1, len(SILENCE) // 2)
        answer = asyncio.create_task(session.output.audio.capture_frame(frame))
        await anyio.lowlevel.checkpoint()
        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer
        assert subscribed.cancelled(), "mended: remove the wait of _adapter/subscription.py"
    finally:
        await session.aclose()


async def test_a_tool_does_not_wait_for_the_caller_to_hear(make_model, server):
    async with job(make_model(), server) as (session, peer):
        await peer.send(phonic.ToolCall("call_1", "opening_hours", {"day": "Monday"}))
        output = await peer.receive()
        assert output.output == "nine to five"
        assert not session.room_io.subscribed_fut.done()


async def test_closing_does_not_wait_for_the_caller_to_hear(make_model, server):
    async with job(make_model(), server) as (session, peer):
        subscribed = session.room_io.subscribed_fut
        others = len(subscribed._callbacks)
        await peer.speak("Good ", "morning.")
        await until(lambda: len(subscribed._callbacks) > others)
        with anyio.fail_after(PATIENCE):
            await session.aclose()
        assert not subscribed.done()
        assert len(subscribed._callbacks) == others, "the answer still waits"


class Tape(io.AudioOutput):
    """An output of one's own, which plays nothing."""

    def __init__(self) -> None:
        super().__init__(label="tape", capabilities=io.AudioOutputCapabilities(pause=False))

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)

    def flush(self) -> None:
        super().flush()

    def clear_buffer(self) -> None:
        self.on_playback_finished(playback_position=0.0, interrupted=True)


async def test_an_output_of_ones_own_does_not_wait(make_model, server):
    tape = Tape()
    async with job(make_model(), server, tape) as (_, peer):
        await peer.speak("Good ", "morning.")
        await until(lambda: tape.captured_playout_segments == 1)


async def test_an_output_that_was_put_in_later_does_not_wait(make_model, server):
    tape = Tape()
    async with job(make_model(), server) as (session, peer):
        session.output.replace_audio_tail(tape)
        await peer.speak("Good ", "morning.")
        await until(lambda: tape.captured_playout_segments == 1)
        assert not session.room_io.subscribed_fut.done()


async def test_outside_of_a_job_nothing_waits(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.speak("Good ", "morning.")
        heard = await read(await emitted.next("generation_created"))
        assert heard.audio == SILENCE * 2
