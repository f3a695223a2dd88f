"""A caller who says with a button when their turn begins and ends, and whose process is killed.

Phonic is scripted, so that the process is killed exactly there.
"""

from __future__ import annotations

import pytest
from durable.test_recovery import nothing_else_is_sent, replays
from livekit import rtc
from support.durable_agent import PUSH_TO_TALK
from support.durable_calls import first_process, goes_on
from support.scripted import SILENCE

from phonic_fsm import RealtimeSession
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

FRAME = rtc.AudioFrame(b"\1\0" * 480, 24_000, 1, 480)
HEARD = (phonic.UserFinishedSpeaking(), phonic.InputText("When do you open?"))
ANSWER = (
    phonic.AssistantStartedSpeaking(),
    phonic.AudioChunk(SILENCE * 10, "At nine."),
    phonic.AssistantFinishedSpeaking(),
)


async def presses_and_speaks(first, server):
    """The first process's side of the call, once the caller has spoken for a while."""
    await first.says("started")
    peer = await server.accept()
    await peer.open_conversation()
    await first.says("state ready")
    first.ask("press")
    await peer.expect(client.Unmute)
    first.call(1.5)
    await peer.receive_audio(50)
    await peer.send(phonic.UserStartedSpeaking())
    await first.has_written('"user_started_speaking"')
    return peer


async def is_resumed(server):
    """The next process's side of the call, whose conversation goes on."""
    peer = await server.accept()
    assert "reconnect_conv_id=conv_1" in peer.path
    await peer.send(phonic.ConversationReconnected())
    return peer


async def answers_once(second, peer):
    """The turn has its answer, the history has both, and nothing more is asked for."""
    await second.is_heard()
    await nothing_else_is_sent(second, peer)
    assert texts(second)[0] == "When do you open?"


def texts(second):
    return [item.text_content for item in second.clerk.chat_ctx.items if item.type == "message"]


async def test_killed_while_the_caller_holds_the_button(tmp_path, server):
    with first_process(tmp_path, server.url, PUSH_TO_TALK) as first:
        await presses_and_speaks(first, server)
        name = await first.killed()
    async with goes_on(tmp_path, name, server.url, push_to_talk=True) as second:
        peer = await is_resumed(server)
        await peer.expect(client.Unmute)
        told = await peer.expect(client.AddSystemMessage)
        assert "while the user was speaking" in told.system_message
        phone = second.clerk.realtime_llm_session
        assert isinstance(phone, RealtimeSession)
        phone.push_audio(FRAME)
        assert await peer.receive_audio(1) == [bytes(FRAME.data)]
        second.session.commit_user_turn()
        await peer.expect(client.Mute)
        await peer.send(*HEARD, *ANSWER)
        await answers_once(second, peer)
    replays(second.journal)


async def test_killed_when_the_caller_has_let_go_during_an_outage_of_phonics(tmp_path, server):
    with first_process(tmp_path, server.url, PUSH_TO_TALK) as first:
        peer = await presses_and_speaks(first, server)
        peer.cut()
        await server.accept()  # it is resumed, and Phonic does not answer
        first.ask("let go")
        await first.has_written('"commit_audio"')
        name = await first.killed()
    async with goes_on(tmp_path, name, server.url, push_to_talk=True) as second:
        peer = await is_resumed(server)
        await peer.expect(client.Mute)
        await peer.send(*HEARD, *ANSWER)
        await answers_once(second, peer)
    replays(second.journal)


async def test_killed_between_the_commit_and_the_answer(tmp_path, server):
    with first_process(tmp_path, server.url, PUSH_TO_TALK) as first:
        peer = await presses_and_speaks(first, server)
        first.ask("let go")
        await peer.expect(client.Mute)
        await peer.send(*HEARD)
        await first.has_written("When do you open?")
        name = await first.killed()
    async with goes_on(tmp_path, name, server.url, push_to_talk=True) as second:
        peer = await is_resumed(server)
        await peer.expect(client.GenerateReply)
        await peer.send(*ANSWER)
        await answers_once(second, peer)
    replays(second.journal)
