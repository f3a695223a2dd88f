"""Changes while the conversation is under way, and handoffs."""

from __future__ import annotations

import asyncio
import json

import pytest
from livekit.agents import function_tool, llm
from msgspec import UNSET
from support.scripted import SILENCE, conversation, read, settle, started

from phonic_fsm import State
from phonic_fsm._core.prompt import render_new_instructions
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

VARIABLES = {"template_variables": {"shop": "Rossi"}}


@function_tool
async def look_up_weather(city: str) -> str:
    """Look the weather up."""
    return city


@function_tool
async def book_table(guests: int) -> str:
    """Book a table."""
    return str(guests)


def names_of(tools):
    return [tool if isinstance(tool, str) else tool.name for tool in tools]


def history(*texts):
    return llm.ChatContext([llm.ChatMessage(role="user", content=[text]) for text in texts])


async def open_turn(peer, emitted):
    """A turn of the assistant that has begun and not ended."""
    await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well, "))
    generation = await emitted.next("generation_created")
    message = await anext(aiter(generation.message_stream))
    await anext(aiter(message.text_stream))
    return generation


async def test_instructions_alone_replace_the_system_prompt(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await session.update_instructions("Be brief.")
        assert await peer.receive() == client.UpdateSystemPrompt("Be brief.")
    assert await peer.receive() is None


async def test_a_new_prompt_carries_the_history_that_the_first_one_carried(make_model, server):
    async with started(make_model()) as (session, _):
        await session.update_chat_ctx(history("Remember the milk."))
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        config = await peer.open_conversation()
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AssistantFinishedSpeaking())
        await session.update_instructions("Be brief.")
        update = await peer.expect(client.UpdateSystemPrompt)
    assert "Remember the milk." in update.system_prompt
    assert update.system_prompt == config.system_prompt.replace("Be kind.", "Be brief.")


async def test_instructions_with_template_variables_need_a_reset(make_model, server):
    async with conversation(make_model(**VARIABLES), server) as (
        session,
        peer,
        _,
    ):
        await session.update_instructions("You work for {{shop}}.")
        reset = await peer.expect(client.Reset)
    assert reset.config.system_prompt == "You work for {{shop}}."
    assert reset.config.template_variables == {"shop": "Rossi"}


@pytest.mark.parametrize("name", ["{{system_time}}", "{{ the_agents_own }}", "{{shop}}"])
async def test_any_template_variable_needs_a_reset(name, make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await session.update_instructions(f"It is {name}.")
        reset = await peer.expect(client.Reset)
    assert reset.config.system_prompt == f"It is {name}."


async def test_nothing_that_was_said_becomes_a_template_variable(make_model, server):
    async with conversation(make_model(), server, tools=[look_up_weather]) as (
        session,
        peer,
        emitted,
    ):
        await peer.send(phonic.InputText("{{secret}} {{{x}}}"))
        await peer.send(phonic.ToolCall("c1", "look_up_weather", {"city": "{{secret}}"}))
        await read(await emitted.next("generation_created"))
        context = session.chat_ctx
        context.items.append(
            llm.FunctionCallOutput(call_id="c1", output="}} {{secret}}", is_error=False)
        )
        context.add_message(role="system", content="The caller wrote {{secret}}.")
        await session.update_chat_ctx(context)
        await peer.expect(client.ToolCallOutput)
        told = await peer.expect(client.AddSystemMessage)
        session.generate_reply(instructions="Say {{secret}}.")
        asked = await peer.expect(client.GenerateReply)
        await session.update_instructions("It is {{system_time}}.")
        prompt = (await peer.expect(client.Reset)).config.system_prompt
    instructions, history = prompt.split("\n\n", 1)
    assert instructions == "It is {{system_time}}."
    assert "{{" not in history + told.system_message + asked.system_message
    assert "}}" not in history
    said = [json.loads(line) for line in history.splitlines() if line.startswith("{")]
    assert said[0]["text"] == "{{secret}} {{{x}}}"
    assert json.loads(said[1]["arguments"]) == {"city": "{{secret}}"}


WARNED = phonic.Warning(phonic.Problem("update_system_prompt is deprecated: it was ignored"))
REFUSED = phonic.Error(phonic.Problem("deprecated"), {"type": "update_system_prompt is deprecated"})


def named(instructions):
    return client.AddSystemMessage(render_new_instructions(instructions))


@pytest.mark.parametrize("complaint", [WARNED, REFUSED])
async def test_instructions_whose_update_is_refused_become_a_system_message(
    complaint, make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await session.update_instructions("Be brief.")
        await peer.expect(client.UpdateSystemPrompt)
        session.set_external_id("in between")
        await peer.expect(client.SetExternalId)
        await peer.send(complaint)
        assert await peer.receive() == named("Be brief.")
        await session.update_instructions("Be loud.")
        assert await peer.receive() == named("Be loud.")
        await peer.send(complaint)
        await settle(peer, emitted)
        assert "error" not in [name for name, _ in emitted.rest()]
        await session.update_instructions("It is {{system_time}}.")
        reset = await peer.expect(client.Reset)
        assert reset.config.system_prompt.startswith("It is {{system_time}}.")
    assert await peer.receive() is None


async def test_a_refused_update_that_a_reset_has_replaced_is_not_told_again(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await session.update_instructions("Be brief.")
        await peer.expect(client.UpdateSystemPrompt)
        session.update_options(voice="ann")
        await peer.expect(client.Reset)
        await peer.send(WARNED)
        await settle(peer, emitted)
        await session.update_instructions("Be loud.")
        assert await peer.receive() == named("Be loud.")
    assert await peer.receive() is None


async def test_instructions_that_use_no_variable_need_no_reset(make_model, server):
    async with conversation(make_model(**VARIABLES), server) as (
        session,
        peer,
        _,
    ):
        await session.update_instructions("Be brief.")
        await peer.expect(client.UpdateSystemPrompt)


async def test_tools_alone_replace_the_tools(make_model, server):
    model = make_model(phonic_tools=["web_search"])
    async with conversation(model, server, tools=[look_up_weather]) as (session, peer, _):
        await session.update_tools([book_table])
        update = await peer.expect(client.UpdateToolsSubset)
        assert list(session.tools.function_tools) == ["book_table"]
    assert names_of(update.tools) == ["web_search", "book_table"]
    assert await peer.receive() is None


async def test_instructions_and_tools_in_one_tick_are_one_reset(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await session.update_instructions("Be brief.")
        await session.update_tools([book_table])
        reset = await peer.expect(client.Reset)
    assert reset.config.system_prompt == "Be brief."
    assert names_of(reset.config.tools) == ["book_table"]
    assert await peer.receive() is None


async def test_several_changes_of_instructions_in_one_tick_are_one_message(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await session.update_instructions("Be loud.")
        await session.update_instructions("Be brief.")
        assert await peer.receive() == client.UpdateSystemPrompt("Be brief.")
    assert await peer.receive() is None


@pytest.mark.parametrize("through", ["single calls", "_update_session"])
async def test_the_same_values_again_send_nothing(through, make_model, server):
    model = make_model()
    async with conversation(model, server, tools=[book_table]) as (session, peer, emitted):
        if through == "_update_session":
            await session._update_session(instructions="Be kind.", tools=[book_table])
        else:
            await session.update_instructions("Be kind.")
            await session.update_tools([book_table])
        await settle(peer, emitted)
    assert await peer.receive() is None


@pytest.mark.parametrize("through", ["single calls", "_update_session"])
async def test_the_same_values_again_leave_the_turn_alone(through, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await open_turn(peer, emitted)
        if through == "_update_session":
            await session._update_session(instructions="Be kind.", tools=[])
        else:
            await session.update_instructions("Be kind.")
            await session.update_tools([])
        assert session.state is State.speaking
        await peer.send(phonic.AudioChunk(SILENCE, "hello."), phonic.AssistantFinishedSpeaking())
        await emitted.state("ready")
        [message] = session.chat_ctx.items
    assert (message.text_content, message.interrupted) == ("Well, hello.", False)


@pytest.mark.parametrize("change", ["instructions", "tools"])
async def test_a_small_change_leaves_the_turn_alone(change, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await open_turn(peer, emitted)
        if change == "instructions":
            await session.update_instructions("Be brief.")
            await peer.expect(client.UpdateSystemPrompt)
        else:
            await session.update_tools([book_table])
            await peer.expect(client.UpdateToolsSubset)
        assert session.state is State.speaking
        await peer.send(phonic.AudioChunk(SILENCE, "hello."), phonic.AssistantFinishedSpeaking())
        await emitted.state("ready")
        assert session.chat_ctx.items[0].text_content == "Well, hello."


async def test_changes_before_the_server_is_ready_wait_for_it(make_model, server):
    async with started(make_model()) as (session, emitted):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        config = await peer.expect(client.Config)
        await session.update_instructions("Be brief.")
        await peer.send(phonic.ReadyToStartConversation())
        assert config.system_prompt == "Be kind."
        assert await peer.receive() == client.UpdateSystemPrompt("Be brief.")
        await emitted.state("ready")
    assert await peer.receive() is None


async def test_a_handoff_is_one_reset_with_the_history(make_model, server):
    model = make_model(voice="sabrina", welcome_message="Hello!")
    async with conversation(model, server, tools=[look_up_weather]) as (session, peer, _):
        await session._update_session(
            instructions="You book tables.",
            chat_ctx=history("A table for two."),
            tools=[book_table],
        )
        reset = await peer.expect(client.Reset)
        assert list(session.tools.function_tools) == ["book_table"]
        assert [item.text_content for item in session.chat_ctx.items] == ["A table for two."]
    assert reset.config.system_prompt.startswith("You book tables.")
    assert "A table for two." in reset.config.system_prompt
    assert names_of(reset.config.tools) == ["book_table"]
    assert reset.config.voice_id == "sabrina"
    assert await peer.receive() is None


async def test_a_handoff_to_an_agent_without_tools_takes_the_tools_away(make_model, server):
    async with conversation(make_model(), server, tools=[book_table]) as (session, peer, _):
        await session._update_session(
            instructions="You listen.", chat_ctx=llm.ChatContext.empty(), tools=[]
        )
        reset = await peer.expect(client.Reset)
    assert reset.config.tools in (UNSET, [])


async def test_a_handoff_has_no_second_welcome(make_model, server):
    model = make_model(generate_welcome_message=True)
    async with conversation(model, server) as (session, peer, _):
        await session._update_session(chat_ctx=history("Hello?"))
        reset = await peer.receive_json()
    assert reset["type"] == "reset"
    assert reset["config"]["welcome_message"] is None
    assert reset["config"]["generate_welcome_message"] is False


async def test_a_handoff_closes_the_open_generation_and_its_context_is_the_whole(
    make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        generation = await open_turn(peer, emitted)
        context = session.chat_ctx
        await session._update_session(instructions="You book tables.", chat_ctx=context, tools=[])
        await read(generation)
        assert session.state is State.ready
        reset = await peer.expect(client.Reset)
        # The words that were cut off belong to the former agent; what it hands over is given.
        assert reset.config.system_prompt == "You book tables."
        assert session.chat_ctx.items == []


async def test_a_handoff_ends_the_callers_speech(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.state("listening")
        await session._update_session(
            instructions="You book tables.", chat_ctx=history("Hello?"), tools=[]
        )
        assert session.state is State.ready
        await emitted.next("input_speech_stopped")


async def test_a_handoff_as_livekit_does_it_is_one_reset(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        generation = await open_turn(peer, emitted)
        session.interrupt()
        session.clear_audio()
        await session._update_session(
            instructions="You book tables.", chat_ctx=session.chat_ctx, tools=[book_table]
        )
        await read(generation)
        reset = await peer.expect(client.Reset)
        assert '"text":"Well, ","interrupted":true' in reset.config.system_prompt
        await peer.speak("How many guests?")
        assert (await read(await emitted.next("generation_created"))).text == "How many guests?"
    assert await peer.receive() is None


async def test_the_output_of_the_former_agents_call_is_told_to_the_new_one(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.ToolCall("c1", "look_up_weather"))
        await read(await emitted.next("generation_created"))
        await session._update_session(
            instructions="You book tables.", chat_ctx=session.chat_ctx, tools=[book_table]
        )
        assert (await peer.expect(client.ToolCallOutput)).tool_call_id == "c1"
        await peer.expect(client.Reset)
        assert session.state is State.ready
        context = session.chat_ctx
        context.items.append(llm.FunctionCallOutput(call_id="c1", output="ok", is_error=False))
        await session.update_chat_ctx(context)
        assert '"output":"ok"' in (await peer.expect(client.AddSystemMessage)).system_message
        await peer.expect(client.GenerateReply)
    assert await peer.receive() is None


@pytest.mark.parametrize("asks", [True, False])
async def test_the_new_agent_gives_the_answer_that_the_former_one_owed(asks, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.ToolCall("c1", "transfer"))
        await read(await emitted.next("generation_created"))
        context = session.chat_ctx
        context.items.append(
            llm.FunctionCallOutput(call_id="c1", output="to billing", is_error=False)
        )
        await session.update_chat_ctx(context)
        await peer.expect(client.ToolCallOutput)
        await session._update_session(instructions="You do the billing.", chat_ctx=context)
        await peer.expect(client.Reset)
        if asks:
            session.generate_reply(instructions="Greet.")
        request = client.GenerateReply("Greet.") if asks else client.GenerateReply()
        assert await peer.receive() == request
    assert await peer.receive() is None


async def test_a_reply_asked_for_in_the_same_tick_goes_out_after_the_change(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await session._update_session(
            instructions="You book tables.", chat_ctx=history("Hello?"), tools=[]
        )
        session.generate_reply()
        await peer.expect(client.Reset)
        await peer.expect(client.GenerateReply)
    assert await peer.receive() is None


async def test_a_prompt_after_a_handoff_carries_the_history_of_the_reset(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await session._update_session(
            instructions="You book tables.", chat_ctx=history("A table."), tools=[]
        )
        reset = await peer.expect(client.Reset)
        await session.update_instructions("Be brief.")
        update = await peer.expect(client.UpdateSystemPrompt)
    assert update.system_prompt == reset.config.system_prompt.replace(
        "You book tables.", "Be brief."
    )


async def test_what_was_said_since_the_start_is_in_a_reset(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.InputText("Is it sunny?"))
        await peer.speak("It is.")
        await settle(peer, emitted)
        await session.update_instructions("Be brief.")
        await session.update_tools([book_table])
        prompt = (await peer.expect(client.Reset)).config.system_prompt
    assert '{"role":"user","text":"Is it sunny?"}\n{"role":"assistant","text":"It is."}' in prompt


async def test_changes_in_different_ticks_are_messages_of_their_own(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await session.update_instructions("Be brief.")
        await peer.expect(client.UpdateSystemPrompt)
        await session.update_tools([book_table])
        await peer.expect(client.UpdateToolsSubset)
        await asyncio.gather(
            session.update_instructions("Be loud."), session.update_tools([look_up_weather])
        )
        await peer.expect(client.Reset)
    assert await peer.receive() is None
