"""What was asked for and has not begun is interrupted: by the agent's code, or by the caller."""

from __future__ import annotations

import asyncio
import inspect

import anyio
import pytest
from livekit.agents.voice.agent_activity import AgentActivity
from support.receptionist import call
from support.scripted import PATIENCE, conversation

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


class Words:
    """A stream of words that stalls after the first."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()

    async def stream(self):
        yield "Welcome "
        self.has_begun.set()
        await asyncio.Event().wait()


async def ask(session, peer, what):
    """Ask for something, and return when Phonic has been asked, or the words begin to be read."""
    if what == "a reply":
        handle = session.generate_reply(instructions="Greet.")
        await peer.expect(client.GenerateReply)
    elif what == "words":
        handle = session.say("Welcome.")
        await peer.expect(client.Say)
    else:
        words = Words()
        handle = session.say(words.stream())
        with anyio.fail_after(PATIENCE):
            await words.has_begun.wait()
    return handle


def interrupt_all(session, handle):
    session.interrupt()


def interrupt_it(session, handle):
    handle.interrupt()


ASKED = ("a reply", "words", "a stream of words")


@pytest.mark.parametrize("interrupt", [interrupt_all, interrupt_it])
@pytest.mark.parametrize("what", ASKED)
async def test_what_has_not_begun_is_over_as_soon_as_it_is_interrupted(
    what, interrupt, make_model, server, caplog
):
    """LiveKit alone waits for 5 s for words that it has asked for, and plays nothing meanwhile."""
    async with call(make_model(), server) as (session, peer, seen):
        handle = await ask(session, peer, what)
        interrupt(session, handle)
        with anyio.fail_after(PATIENCE):
            await handle
        session.say("Goodbye.")
        assert (await peer.expect(client.Say)).text == "Goodbye."
        await peer.speak("Goodbye.")
        assert (await seen.message("assistant")).text_content == "Goodbye."
    assert "speech not done in time" not in caplog.text


@pytest.mark.parametrize("what", ASKED)
async def test_the_answer_to_a_caller_who_was_quicker_is_heard(what, make_model, server, caplog):
    """It must not be taken for what was asked for, which LiveKit has interrupted."""
    async with call(make_model(), server) as (session, peer, seen):
        await ask(session, peer, what)
        await peer.send(
            phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(), phonic.InputText("Hello?")
        )
        await peer.speak("Yes?")
        assert (await seen.message("assistant")).text_content == "Yes?"
    assert "speech not done in time" not in caplog.text


@pytest.mark.parametrize("what", ASKED)
async def test_closing_does_not_wait_for_what_has_not_begun(what, make_model, server, caplog):
    async with call(make_model(), server) as (session, peer, _):
        await ask(session, peer, what)
        await session.aclose()
    assert "speech not done in time" not in caplog.text


@pytest.mark.parametrize("what", ["a reply", "words"])
async def test_what_was_interrupted_before_phonic_is_ready_is_never_asked_for(
    what, make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        peer.cut()
        await emitted.state("reconnecting")
        reply = session.generate_reply() if what == "a reply" else session.say("Welcome.")
        session.interrupt()
        assert reply.cancelled()
        resumed = await server.accept()
        await resumed.send(phonic.ConversationReconnected())
        await emitted.state("ready")
    assert await resumed.receive() is None


def test_livekit_still_awaits_words_although_they_were_interrupted():
    """If this fails, LiveKit may have mended it, and ``_adapter/interruption.py`` can go."""
    source = inspect.getsource(AgentActivity._realtime_reply_task)
    assert "generation_ev = await self._rt_session.say(text)" in source
