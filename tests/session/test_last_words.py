"""The assistant's last words are heard before the session ends, unless somebody ends it at once."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from livekit.agents import function_tool
from support import clock
from support.job import job, until
from support.receptionist import Receptionist, call
from support.scripted import PATIENCE, SILENCE, conversation, read
from support.states import session_in

from phonic_fsm import ConversationEnded, State
from phonic_fsm._adapter import playback
from phonic_fsm._adapter.playback import TO_THE_EAR
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import assert_replays
from phonic_fsm.trace import TraceReader

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is waited for takes a quarter of its time."""
    return clock.backend(speed=4)


SOUND = b"\1\0" * 480
"""20 ms that is not silent."""

GOODBYE = (phonic.AudioChunk(SOUND * 25, "Good"), phonic.AudioChunk(SOUND * 25, "bye."))
"""1 s."""

LONG = SILENCE * 600
"""12 s."""


async def end_by_message(peer):
    await peer.send(phonic.AssistantEndedConversation())


async def end_by_message_and_close(peer):
    await peer.send(phonic.AssistantEndedConversation())
    await peer.close(1000)


async def end_by_close(peer):
    await peer.close(1000, "goodbye")


ENDS = [end_by_message, end_by_message_and_close, end_by_close]


@pytest.mark.parametrize("end", ENDS)
async def test_a_goodbye_that_was_streamed_ahead_is_heard(end, make_model, server):
    async with call(make_model(), server) as (session, peer, seen):
        playback = session.output.audio
        await peer.send(
            phonic.AssistantStartedSpeaking(), *GOODBYE, phonic.AssistantFinishedSpeaking()
        )
        await end(peer)
        event = await seen.close()
        assert isinstance(event.error.error, ConversationEnded)
        message = await seen.message("assistant")
        assert (message.text_content, message.interrupted) == ("Goodbye.", False)
        assert len(playback.recording().pcm.replace(b"\0\0", b"")) == len(SOUND * 50)


async def test_the_rest_of_a_turn_that_comes_after_the_end_is_heard(make_model, server):
    async with call(make_model(stream_ahead_of_real_time=False), server) as (session, peer, seen):
        playback = session.output.audio
        first, rest = GOODBYE
        await peer.send(phonic.AssistantStartedSpeaking(), first)
        await peer.send(phonic.AssistantEndedConversation())
        await until(lambda: playback.playing)
        await peer.send(rest, phonic.AssistantFinishedSpeaking())
        await seen.close()
        message = await seen.message("assistant")
        assert (message.text_content, message.interrupted) == ("Goodbye.", False)
        assert len(playback.recording().pcm.replace(b"\0\0", b"")) == len(SOUND * 50)


@pytest.mark.parametrize("connection", ["resumed", "begun afresh"])
async def test_a_goodbye_is_heard_if_the_end_comes_on_another_connection(
    connection, make_model, server
):
    async with call(make_model(), server) as (session, peer, seen):
        playback = session.output.audio
        phonic_session = session.current_agent.realtime_llm_session
        await peer.send(
            phonic.AssistantStartedSpeaking(), *GOODBYE, phonic.AssistantFinishedSpeaking()
        )
        await until(lambda: playback.playing)
        if connection == "resumed":
            peer.cut()
        else:
            phonic_session.restart()
        other = await server.accept()
        if connection == "begun afresh":
            await other.expect(client.Config)
        await end_by_message(other)
        event = await seen.close()
        assert isinstance(event.error.error, ConversationEnded)
        assert len(playback.recording().pcm.replace(b"\0\0", b"")) == len(SOUND * 50)


class Clerk(Receptionist):
    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    @function_tool
    async def note(self) -> str:
        """Note how the call went."""
        await asyncio.sleep(2)
        self.noted.append("well")
        return "noted"


@pytest.mark.parametrize("end", ENDS)
async def test_a_tool_that_is_called_with_the_last_words_runs(end, make_model, server):
    agent = Clerk()
    async with call(make_model(), server, agent) as (_, peer, seen):
        await peer.send(phonic.ToolCall("c1", "note"))
        await end(peer)
        assert isinstance((await seen.close()).error.error, ConversationEnded)
    assert agent.noted == ["well"]


async def test_the_reason_of_the_end_is_told_at_the_end(make_model, server, tmp_path):
    path = tmp_path / "call.jsonl"
    async with conversation(make_model(trace=path), server) as (_, peer, emitted):
        await peer.speak("Goodbye.", audio=SILENCE * 5)
        await peer.close(4000, "no input")
        await emitted.state("last_words")
        event = await emitted.next("error")
        assert not event.recoverable
        assert isinstance(event.error, ConversationEnded)
        assert "Phonic closed the connection (code 4000: no input)" in str(event.error)
        await emitted.state("closed")
    assert_replays(path)
    steps = [line for line in TraceReader(path) if line.source == "last_words"]
    assert [step.event["type"] for step in steps] == [
        "playback_left",
        "last_words_over",
        "playback_left",
    ]
    assert 0 < steps[0].event["seconds"] <= 0.1 + TO_THE_EAR
    assert steps[-1].event["seconds"] == 0


async def test_where_nothing_is_played_the_session_ends_at_once(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        began = asyncio.get_running_loop().time()
        await peer.send(phonic.AssistantEndedConversation())
        assert not (await emitted.next("error")).recoverable
        assert asyncio.get_running_loop().time() - began < TO_THE_EAR
        await emitted.state("closed")


async def test_where_the_caller_only_reads_there_is_nothing_to_wait_for(make_model, server):
    async with job(make_model(), server) as (session, peer):
        playback = session.current_agent.realtime_llm_session._answers.playback
        await peer.speak("Goodbye.", audio=LONG)
        await until(lambda: playback.left > 0)
        session.output.set_audio_enabled(False)
        assert playback.left == 0


@pytest.mark.parametrize("end", ENDS)
async def test_a_reply_that_is_awaited_fails_when_the_conversation_ends(end, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("Goodbye.", audio=LONG)
        await emitted.state("ready")
        reply = session.generate_reply()
        await end(peer)
        await emitted.state("last_words")
        assert reply.exception().code == "closed"
        late = session.generate_reply()
        assert late.exception().code == "closed"


async def test_the_caller_who_speaks_ends_it(make_model, server):
    async with session_in("last_words", make_model, server) as (_, emitted, peer):
        await peer.send(phonic.UserStartedSpeaking())
        assert isinstance((await emitted.next("error")).error, ConversationEnded)
        await emitted.state("closed")


@pytest.mark.parametrize("interruption", ["interrupt", "start_user_activity"])
async def test_whoever_interrupts_ends_it(interruption, make_model, server):
    async with session_in("last_words", make_model, server) as (session, emitted, _):
        getattr(session, interruption)()
        assert isinstance((await emitted.next("error")).error, ConversationEnded)
        assert session.state is State.closed


async def test_a_caller_who_has_interrupted_the_goodbye_waits_for_nothing(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(LONG, "Goodbye"))
        await peer.send(phonic.UserStartedSpeaking(), phonic.AssistantEndedConversation())
        await emitted.next("error")
        await emitted.state("closed")


async def test_an_agent_session_that_is_closed_meanwhile_waits_for_nothing(make_model, server):
    async with call(make_model(), server) as (session, peer, _):
        phonic_session = session.current_agent.realtime_llm_session
        await peer.speak("Goodbye.", audio=LONG)
        await peer.send(phonic.AssistantEndedConversation())
        await until(lambda: phonic_session.state is State.last_words)
        with anyio.fail_after(PATIENCE):
            await session.aclose()
        assert phonic_session.state is State.closed


async def test_what_is_said_meanwhile_is_not_lost(make_model, server):
    async with session_in("last_words", make_model, server) as (session, emitted, peer):
        await peer.send(phonic.InputText("Goodbye then."))
        event = await emitted.next("input_audio_transcription_completed")
        assert event.transcript == "Goodbye then."
        assert session.chat_ctx.items[-1].text_content == "Goodbye then."


async def test_a_goodbye_that_nobody_reads_ends_by_the_clock(make_model, server, monkeypatch):
    monkeypatch.setattr(playback, "TO_THE_EAR", 0.0)
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.speak("Goodbye.", audio=SILENCE * 5)
        generation = await emitted.next("generation_created")
        began = asyncio.get_running_loop().time()
        await end_by_message(peer)
        await emitted.state("last_words")
        await emitted.state("closed")
        assert asyncio.get_running_loop().time() - began > 0.08
        assert (await read(generation)).text == "Goodbye."
