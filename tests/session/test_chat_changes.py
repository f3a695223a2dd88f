"""What Phonic is told of messages that are added to the chat context, changed or taken out."""

from __future__ import annotations

import json

import pytest
from livekit.agents import llm
from support.scripted import conversation

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


async def add(session, *items):
    context = session.chat_ctx
    context.items.extend(items)
    await session.update_chat_ctx(context)


def told(message):
    """The texts in a system message that tells what was said or written."""
    assert isinstance(message, client.AddSystemMessage), message
    lines = message.system_message.splitlines()
    return [json.loads(line)["text"] for line in lines if line.startswith("{")]


def warnings(caplog):
    return [record for record in caplog.records if record.levelname == "WARNING"]


async def answered(peer, emitted, question, answer):
    """A question of the caller's, and the whole answer to it."""
    await peer.send(phonic.InputText(question))
    await peer.speak(answer)
    await emitted.state("speaking")
    await emitted.state("ready")


async def test_what_was_typed_is_told_if_the_caller_speaks_first(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await add(session, llm.ChatMessage(role="user", content=["Order 17, {{not}} 71."]))
        await peer.send(phonic.UserStartedSpeaking())
        assert told(await peer.receive()) == ["Order 17, {{not}} 71."]
        await add(session, llm.ChatMessage(role="user", content=["Or 18."]))
        await peer.send(phonic.UserFinishedSpeaking())
        assert told(await peer.receive()) == ["Or 18."]
        await emitted.state("ready")
        session.generate_reply()
        assert await peer.receive_json() == {"type": "generate_reply"}


async def test_what_was_typed_is_told_before_words_that_are_given(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(session, llm.ChatMessage(role="user", content=["Order 17."]))
        session.say("One moment.")
        assert told(await peer.receive()) == ["Order 17."]
        await peer.expect(client.Say)


async def test_what_was_typed_is_told_before_a_turn_is_committed(make_model, server):
    async with conversation(make_model(push_to_talk=True), server) as (session, peer, _):
        session.start_user_activity()
        await peer.expect(client.Unmute)
        await add(session, llm.ChatMessage(role="user", content=["Order 17."]))
        session.commit_audio()
        session.generate_reply()
        assert told(await peer.receive()) == ["Order 17."]
        await peer.expect(client.Mute)
    assert await peer.receive() is None, "the answer is the reply that was asked for"


async def test_what_was_typed_and_taken_out_again_is_not_sent(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(session, llm.ChatMessage(role="user", content=["Order 17."]))
        await session.update_chat_ctx(llm.ChatContext.empty())
        session.generate_reply()
        assert await peer.receive_json() == {"type": "generate_reply"}


async def test_messages_that_nothing_else_can_carry_are_told_in_words(make_model, server, caplog):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(
            session,
            llm.ChatMessage(role="user", content=["Is it sunny?"]),
            llm.ChatMessage(role="assistant", content=["It is."]),
            llm.ChatMessage(role="user", content=["Where?"]),
        )
        assert told(await peer.receive()) == ["Is it sunny?", "It is."]
        session.generate_reply()
        assert (await peer.expect(client.GenerateReply)).user_message == "Where?"
    assert not warnings(caplog)


async def test_what_is_told_keeps_its_order(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(
            session,
            llm.ChatMessage(role="assistant", content=["One."]),
            llm.ChatMessage(role="system", content=["Two."]),
            llm.ChatMessage(role="user", content=["Three."]),
            llm.ChatMessage(role="assistant", content=["Four."]),
        )
        assert told(await peer.receive()) == ["One."]
        assert await peer.receive() == client.AddSystemMessage("Two.")
        assert told(await peer.receive()) == ["Three.", "Four."]


@pytest.mark.parametrize("lost", ["restart", "resumed", "resumed with typed"])
async def test_what_was_only_typed_asks_for_nothing_when_a_call_goes_on(lost, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await answered(peer, emitted, "Hello.", "Hello!")
        if lost != "resumed with typed":
            await add(session, llm.ChatMessage(role="user", content=["Order 17."]))
        if lost == "restart":
            session.restart()
            now = await server.accept()
            config = await now.open_conversation("conv_2")
            assert "Order 17." not in config.system_prompt
        else:
            peer.cut()
            await emitted.state("reconnecting")
            if lost == "resumed with typed":
                await add(session, llm.ChatMessage(role="user", content=["Order 17."]))
            now = await server.accept()
            await now.send(phonic.ConversationReconnected())
        await emitted.next("session_reconnected")
        session.set_external_id("nothing before this")
        await now.expect(client.SetExternalId)
        assert session._runtime._machine.context.reply is None
        session.generate_reply()
        assert (await now.expect(client.GenerateReply)).user_message == "Order 17."


async def test_what_phonic_cannot_take_of_a_message_is_named_once(make_model, server, caplog):
    image = llm.ImageContent(image="data:image/png;base64,AA==")
    async with conversation(make_model(), server) as (session, peer, _):
        for _ in range(2):
            await add(session, llm.ChatMessage(role="user", content=["Look:", image]))
        await session._update_session(chat_ctx=session.chat_ctx)
        await peer.expect(client.Reset)
    [warning] = warnings(caplog)
    assert "ImageContent in a chat context is not supported by Phonic" in warning.getMessage()


@pytest.mark.parametrize("change", ["edit", "remove"])
async def test_a_changed_past_is_told_by_a_reset_once_all_is_quiet(
    change, make_model, server, caplog
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await answered(peer, emitted, "My card is 1234.", "Thank you.")
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"", "Now "))
        await emitted.state("speaking")
        context = session.chat_ctx.copy()
        if change == "edit":
            edited = {"content": ["My card is a secret."]}
            context.items[0] = context.items[0].model_copy(update=edited)
        else:
            del context.items[0]
        await session.update_chat_ctx(context)
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await emitted.state("ready")
        await peer.send(phonic.InputText("What?"))
        while (await emitted.next("input_audio_transcription_completed")).transcript != "What?":
            pass
        session.set_external_id("nothing before this: an answer is due")
        await peer.expect(client.SetExternalId)
        await peer.speak("Anything else?")
        prompt = (await peer.expect(client.Reset)).config.system_prompt
        assert "1234" not in prompt
        assert "Anything else?" in prompt
        assert ("a secret" in prompt) == (change == "edit")
    assert not warnings(caplog)


async def test_a_past_that_changes_in_a_quiet_moment_is_told_at_once(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await answered(peer, emitted, "My card is 1234.", "Thank you.")
        await session.update_chat_ctx(llm.ChatContext.empty())
        assert (await peer.expect(client.Reset)).config.system_prompt == "Be kind."


async def test_what_livekit_takes_out_at_a_barge_in_needs_no_word(make_model, server, caplog):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await answered(peer, emitted, "Hello.", "Hello, how can I help?")
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.state("listening")
        context = session.chat_ctx.copy()
        assert context.items.pop().role == "assistant"
        await session.update_chat_ctx(context)
        await peer.send(phonic.UserFinishedSpeaking())
        await emitted.state("ready")
        await answered(peer, emitted, "Well?", "Yes?")
    assert await peer.receive() is None
    assert not warnings(caplog)


async def test_an_item_that_only_changes_its_place_is_not_told_again(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await answered(peer, emitted, "Hello.", "Hello!")
        context = session.chat_ctx.copy()
        context.items.reverse()
        await session.update_chat_ctx(context)
        session.generate_reply()
        assert await peer.receive_json() == {"type": "generate_reply"}
    assert await peer.receive() is None
