"""A real AgentSession on top: what a developer of LiveKit agents gets."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from support.receptionist import Billing, Receptionist, call
from support.scripted import PATIENCE, SILENCE, Impatient, conversation

from phonic_fsm import ConversationEnded, RealtimeModel
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


async def test_a_spoken_turn_reaches_the_history(make_model, server):
    async with call(make_model(), server) as (session, peer, seen):
        await peer.send(
            phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(), phonic.InputText("Hello?")
        )
        assert (await seen.message("user")).text_content == "Hello?"
        await peer.speak("Good ", "morning.")
        assert (await seen.message("assistant")).text_content == "Good morning."
        assert session.output.audio.recording().pcm.endswith(SILENCE)


async def test_a_tool_runs_and_its_output_is_spoken_about(make_model, server):
    agent = Receptionist()
    async with call(make_model(), server, agent) as (_, peer, seen):
        await peer.send(phonic.ToolCall("call_1", "opening_hours", {"day": "Monday"}))
        output = await peer.expect(client.ToolCallOutput)
        assert (output.tool_call_id, output.output) == ("call_1", "nine to five")
        await peer.speak("Nine to five.")
        assert (await seen.message("assistant")).text_content == "Nine to five."
    assert agent.asked == ["Monday"]


async def test_a_caller_who_barges_in_cuts_the_message_off(make_model, server):
    async with call(make_model(), server) as (session, peer, seen):
        began = asyncio.Event()
        session.output.audio.on("playback_started", lambda _: began.set())
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            *(phonic.AudioChunk(SILENCE * 50, word) for word in ("One ", "two ", "three ")),
        )
        with anyio.fail_after(PATIENCE):
            await began.wait()
        await peer.send(phonic.UserStartedSpeaking(), phonic.InterruptedResponse("One"))
        assert (await seen.message("assistant")).interrupted is True

        await peer.send(phonic.UserFinishedSpeaking(), phonic.InputText("Stop."))
        assert (await seen.message("user")).text_content == "Stop."
        [spoken, _] = session.current_agent.realtime_llm_session.chat_ctx.items
        assert (spoken.text_content, spoken.interrupted) == ("One", True)


async def test_a_handoff_is_one_reset_on_the_open_connection(make_model, server):
    async with call(make_model(), server) as (session, peer, seen):
        await peer.speak("How can I help?")
        await seen.message("assistant")
        await peer.send(phonic.ToolCall("call_1", "transfer"))
        message = await peer.receive()
        while not isinstance(message, client.Reset):
            assert isinstance(message, client.ToolCallOutput)
            message = await peer.receive()

        assert message.config.system_prompt.startswith("You do the billing.")
        assert "How can I help?" in message.config.system_prompt
        assert [tool.name for tool in message.config.tools] == ["balance"]
        await peer.speak("Billing here.")
        assert (await seen.message("assistant")).text_content == "Billing here."
        assert isinstance(session.current_agent, Billing)
    assert server.handshakes == 1
    assert await peer.receive() is None, "nothing but the reset went out"


async def test_say_speaks_the_words(make_model, server):
    async with call(make_model(), server) as (session, peer, _):
        handle = session.say("Please hold the line.")
        assert (await peer.expect(client.Say)).text == "Please hold the line."
        await peer.speak("Please hold the line.")
        with anyio.fail_after(PATIENCE):
            await handle.wait_for_playout()
        [message] = [item for item in handle.chat_items if item.type == "message"]
        assert message.text_content == "Please hold the line."


async def test_the_handle_of_an_answer_that_stalls_completes(make_model, server):
    class Hasty(RealtimeModel):
        def session(self, **_):
            return Impatient(self).session()

    async with call(Hasty(api_key="key", base_url=server.url), server) as (session, peer, _):
        handle = session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well, "))
        with anyio.fail_after(PATIENCE):
            await handle.wait_for_playout()
        session.say("Still here.")
        await peer.expect(client.Say)


class Greeter(Receptionist):
    """Has something to say from the start."""

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Offer help.")


def said_in(session):
    return [
        (item.text_content, item.interrupted)
        for item in session.history.items
        if item.type == "message"
    ]


async def test_a_welcome_is_heard_before_the_reply_that_an_agent_asks_for(make_model, server):
    async with call(make_model(welcome_message="Welcome."), server, Greeter()) as calling:
        session, peer, seen = calling
        await peer.speak("Welcome.", audio=SILENCE * 5)
        await peer.expect(client.GenerateReply)
        await peer.speak("How can I help?", audio=SILENCE * 3)
        assert (await seen.message("assistant")).text_content == "Welcome."
        assert (await seen.message("assistant")).text_content == "How can I help?"
        await session.current_speech
        assert said_in(session) == [("Welcome.", False), ("How can I help?", False)]
        assert session.output.audio.recording().pcm.endswith(SILENCE * 8)


async def test_a_welcome_that_the_caller_interrupts_is_not_heard_later(make_model, server):
    async with call(make_model(welcome_message="Welcome."), server, Greeter()) as calling:
        session, peer, seen = calling
        await peer.speak("Welcome.")
        await peer.expect(client.GenerateReply)
        await peer.send(
            phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(), phonic.InputText("Hello?")
        )
        await seen.message("user")
        session.generate_reply()
        await peer.expect(client.GenerateReply)
        await peer.speak("Yes?")
        assert (await seen.message("assistant")).text_content == "Yes?"
        assert said_in(session) == [("Hello?", False), ("Yes?", False)]


async def test_typed_text_is_answered(make_model, server):
    async with call(make_model(), server) as (session, peer, _):
        handle = session.generate_reply(user_input="Are you there?", instructions="Be short.")
        request = await peer.expect(client.GenerateReply)
        assert (request.user_message, request.system_message) == ("Are you there?", "Be short.")
        await peer.speak("Yes.")
        with anyio.fail_after(PATIENCE):
            await handle.wait_for_playout()
        [message] = [item for item in handle.chat_items if item.type == "message"]
        assert message.text_content == "Yes."


async def test_typed_text_that_phonic_repeats_is_said_once(make_model, server):
    async with call(make_model(), server) as (session, peer, _):
        heard = []
        session.on("user_input_transcribed", lambda event: heard.append(event.transcript))
        handle = session.generate_reply(user_input="Are you there?")
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.InputText("Are you there?"))
        await peer.speak("Yes.")
        with anyio.fail_after(PATIENCE):
            await handle.wait_for_playout()
        told = session.current_agent.realtime_llm_session.chat_ctx
        for context in (told, session.history):
            said = [item.text_content for item in context.items if item.type == "message"]
            assert said == ["Are you there?", "Yes."]
        assert heard == []


@pytest.mark.parametrize("when", ["answer begun", "answer over"])
async def test_a_transcript_that_comes_late_stands_before_its_answer(when, make_model, server):
    async with call(make_model(), server) as (session, peer, seen):
        began = asyncio.Event()
        session.output.audio.on("playback_started", lambda _: began.set())
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Yes?"))
        with anyio.fail_after(PATIENCE):
            await began.wait()
        if when == "answer begun":
            await peer.send(phonic.InputText("Hello?"), phonic.AssistantFinishedSpeaking())
            await seen.message("assistant")
        else:
            await peer.send(phonic.AssistantFinishedSpeaking())
            await seen.message("assistant")
            await peer.send(phonic.InputText("Hello?"))
            await seen.message("user")
        agent = session.current_agent
        for context in (agent.realtime_llm_session.chat_ctx, session.history, agent.chat_ctx):
            said = [item.text_content for item in context.items if item.type == "message"]
            assert said[-2:] == ["Hello?", "Yes?"]


async def test_transcripts_of_two_turns_that_come_late_each_stand_before_their_answer(
    make_model, server
):
    async with call(make_model(), server) as (session, peer, seen):
        for answer in ("One.", "Two."):
            await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
            await peer.speak(answer)
            await seen.message("assistant")
        await peer.send(phonic.InputText("One?"), phonic.InputText("Two?"))
        await seen.message("user")
        await seen.message("user")
        agent = session.current_agent
        for context in (agent.realtime_llm_session.chat_ctx, session.history, agent.chat_ctx):
            said = [item.text_content for item in context.items if item.type == "message"]
            assert said == ["One?", "One.", "Two?", "Two."]


async def test_the_session_ends_when_phonic_ends_the_conversation(make_model, server):
    async with call(make_model(), server) as (_, peer, seen):
        await peer.close(1000, "no input")
        event = await seen.close()
        assert isinstance(event.error.error, ConversationEnded)
        assert "no input" in str(event.error.error)


async def test_the_session_survives_an_outage(make_model, server):
    async with call(make_model(), server) as (_, peer, seen):
        await peer.speak("Hello.")
        await seen.message("assistant")
        peer.cut()
        resumed = await server.accept()
        assert "reconnect_conv_id=conv_1" in resumed.path
        await resumed.send(phonic.ConversationReconnected())
        await resumed.speak("Still here.")
        assert (await seen.message("assistant")).text_content == "Still here."
    assert await resumed.receive() is None, "the config was not sent again"


async def test_closing_leaves_no_task_behind(make_model, server):
    before = asyncio.all_tasks()
    async with conversation(make_model(), server) as (_, peer, _):
        await peer.send(phonic.AssistantStartedSpeaking())
    left = {task.get_name() for task in asyncio.all_tasks() - before}
    assert not [name for name in left if "phonic" in name.lower()]
