"""Tool calls: handed over in a generation, answered through the chat context."""

from __future__ import annotations

import json

import pytest
from livekit.agents import function_tool, llm
from support.scripted import SILENCE, Impatient, conversation, read, settle

from phonic_fsm import State
from phonic_fsm._core.prompt import STILL_RUNNING
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


@function_tool
async def look_up_weather() -> str:
    """Look up the weather."""
    return "sunny"


def output(call_id, text="sunny", **fields):
    return llm.FunctionCallOutput(
        call_id=call_id, name="look_up_weather", output=text, is_error=False, **fields
    )


def call(call_id, **parameters):
    return phonic.ToolCall(call_id, "look_up_weather", parameters)


async def add(session, *items):
    context = session.chat_ctx
    context.items.extend(items)
    await session.update_chat_ctx(context)


async def called(peer, emitted, *call_ids):
    for call_id in call_ids:
        await peer.send(call(call_id))
        await read(await emitted.next("generation_created"))


async def test_a_tool_call_is_handed_over_and_ends_the_generation(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Let me look."),
            call("c1", city="Rome", days=[1, 2]),
        )
        heard = await read(await emitted.next("generation_created"))
        [function_call] = heard.calls
        assert heard.text == "Let me look."
        assert (function_call.call_id, function_call.name) == ("c1", "look_up_weather")
        assert json.loads(function_call.arguments) == {"city": "Rome", "days": [1, 2]}
        assert session.state is State.tool_pending


async def test_a_call_is_in_the_chat_context_behind_what_was_said(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Let me look."),
            call("c1"),
        )
        heard = await read(await emitted.next("generation_created"))
        message, function_call = session.chat_ctx.items
        assert (message.text_content, message.interrupted) == ("Let me look.", False)
        assert (function_call.id, function_call.call_id) == (heard.calls[0].id, "c1")


async def test_a_call_without_a_turn_opens_a_generation(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(call("c1"))
        heard = await read(await emitted.next("generation_created"))
        assert [function_call.call_id for function_call in heard.calls] == ["c1"]


async def told(peer, text):
    """Phonic is told a tool's output in words: the next message, which names call and output."""
    message = (await peer.expect(client.AddSystemMessage)).system_message
    entry = json.loads(message.splitlines()[-1])
    assert (entry["tool_output"], entry["output"]) == ("look_up_weather", text)


async def test_an_output_is_sent_exactly_once(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1", "sunny"))
        assert await peer.expect(client.ToolCallOutput) == client.ToolCallOutput("c1", "sunny")
        await session.update_chat_ctx(session.chat_ctx)
    assert await peer.receive() is None


async def test_a_further_output_of_a_call_is_told_in_words_and_spoken_about(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1", "sunny"))
        await peer.expect(client.ToolCallOutput)
        await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="c1"))
        await peer.speak("It is sunny.")
        await read(await emitted.next("generation_created"))
        await emitted.state("ready")
        await add(session, output("c1", "rainy"))
        await told(peer, "rainy")
        await peer.expect(client.GenerateReply)
        await peer.speak("It is rainy.")
        assert (await read(await emitted.next("generation_created"))).text == "It is rainy."
    assert await peer.receive() is None


async def test_an_output_that_comes_with_its_call_is_told_and_livekit_asks(make_model, server):
    """As LiveKit adds the later results of a tool that goes on behind ``RunContext.update()``."""
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1", "looking"))
        await peer.expect(client.ToolCallOutput)
        await peer.speak("I am looking.")
        await read(await emitted.next("generation_created"))
        await emitted.state("ready")
        made = llm.FunctionCall(call_id="c1_final", name="look_up_weather", arguments="{}")
        await add(session, made, output("c1_final", "sunny"))
        await told(peer, "sunny")
        session.generate_reply(instructions="Summarize.")
        assert await peer.receive() == client.GenerateReply("Summarize.")
    assert await peer.receive() is None


async def test_a_long_output_that_is_told_in_words_is_told_whole(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(session, output("never-called", "sunny " * 2_000))
        await told(peer, "sunny " * 2_000)


@pytest.mark.parametrize("acknowledges", [True, False])
async def test_the_answer_to_an_output_is_announced_when_phonic_has_taken_it(
    acknowledges, make_model, server
):
    """LiveKit listens for the answer only when ``update_chat_ctx`` has returned."""
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1", "c2")
        await add(session, output("c1"), output("c2"))
        assert session.state is State.speaking
        assert "generation_created" not in await settle(peer, emitted)
        if acknowledges:
            await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="c2"))
            assert "generation_created" not in await settle(peer, emitted)
            await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="c1"))
            generation = await emitted.next("generation_created")
            await peer.speak("It is sunny.")
        else:
            await peer.speak("It is sunny.")
            generation = await emitted.next("generation_created")
        assert (await read(generation)).text == "It is sunny."
        assert "generation_created" not in await settle(peer, emitted)


async def test_an_answer_to_an_output_that_is_another_call_is_announced_with_it(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1"))
        await called(peer, emitted, "c2")
        await add(session, output("c2"))
        await peer.speak("It is sunny.")
        assert (await read(await emitted.next("generation_created"))).text == "It is sunny."


@pytest.mark.parametrize(
    "instead", ["the assistant chose not to respond", "the caller speaks", "interrupt", "reset"]
)
async def test_where_no_answer_to_an_output_comes_livekit_gets_an_empty_one(
    instead, make_model, server
):
    """Otherwise the agent would be ``thinking`` for good."""
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1"))
        await peer.expect(client.ToolCallOutput)
        if instead == "the assistant chose not to respond":
            await peer.send(phonic.AssistantChoseNotToRespond())
        elif instead == "the caller speaks":
            await peer.send(phonic.UserStartedSpeaking())
        elif instead == "interrupt":
            session.interrupt()
        else:
            session.update_options(voice="ann")
        heard = await read(await emitted.next("generation_created"))
        assert (heard.text, heard.audio, heard.calls) == ("", b"", [])


async def test_a_late_output_that_is_never_spoken_about_gives_livekit_an_empty_answer(
    make_model, server
):
    async with conversation(Impatient(make_model()), server) as (session, peer, emitted):
        await add(session, output("never-called"))
        await peer.expect(client.AddSystemMessage)
        heard = await read(await emitted.next("generation_created"))
        assert (heard.text, heard.audio) == ("", b"")
        assert session.state is State.ready


async def test_an_output_that_needs_no_reply_opens_no_generation(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1", reply_required=False))
        await peer.expect(client.ToolCallOutput)
        assert "generation_created" not in await settle(peer, emitted)
        assert session.state is State.ready


@pytest.mark.parametrize(
    ("fields", "speaks"),
    [
        ({"forbid_speech_after_tool_call": True}, False),
        ({"execution_mode": "async"}, False),
        ({"execution_mode": "async", "wait_for_response": True}, True),
        ({"execution_mode": "sync"}, True),
    ],
)
async def test_an_answer_is_awaited_only_from_tools_that_are_spoken_about(
    fields, speaks, make_model, server
):
    model = make_model(configs_for_tools=[{"name": "look_up_weather", **fields}])
    async with conversation(model, server, tools=[look_up_weather]) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1"))
        await peer.expect(client.ToolCallOutput)
        assert session.state is (State.speaking if speaks else State.ready)
        if speaks:
            assert "generation_created" not in await settle(peer, emitted)
        else:
            # An empty one tells LiveKit so.
            assert (await read(await emitted.next("generation_created"))).text == ""


async def test_the_output_of_an_async_tool_may_come_turns_later(make_model, server):
    model = make_model(configs_for_tools=[{"name": "look_up_weather", "execution_mode": "async"}])
    async with conversation(model, server, tools=[look_up_weather]) as (session, peer, emitted):
        await called(peer, emitted, "c1", "c2")
        await peer.speak("I am looking it up.")
        await emitted.state("speaking")
        await emitted.state("tool_pending")
        await peer.send(
            phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(), phonic.InputText("Thanks.")
        )
        await emitted.state("listening")
        await emitted.state("tool_pending")
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "You are "))
        await emitted.state("speaking")
        await add(session, output("c2", "rainy"))
        assert (await peer.expect(client.ToolCallOutput)).output == "rainy"
        assert session.state is State.speaking, "the turn goes on"
        await peer.send(phonic.AssistantFinishedSpeaking())
        await emitted.state("tool_pending")
        await add(session, output("c1"))
        assert (await peer.expect(client.ToolCallOutput)).output == "sunny"
        await emitted.state("ready")


async def test_an_answer_to_an_output_that_does_not_come_is_given_up(make_model, server, caplog):
    async with conversation(Impatient(make_model()), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1"))
        heard = await read(await emitted.next("generation_created"))
        assert (heard.text, heard.audio) == ("", b"")
        assert session.state is State.ready
        assert "has not begun to answer" in caplog.text
        await peer.speak("It is sunny after all.")
        heard = await read(await emitted.next("generation_created"))
        assert heard.text == "It is sunny after all."


async def test_several_calls_are_answered_in_any_order(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1", "c2", "c3")
        for call_id in ("c3", "c1"):
            await add(session, output(call_id, f"for {call_id}"))
            assert session.state is State.tool_pending
        await add(session, output("c2", "for c2"))
        assert session.state is State.speaking
        sent = [await peer.expect(client.ToolCallOutput) for _ in range(3)]
    assert [(message.tool_call_id, message.output) for message in sent] == [
        ("c3", "for c3"),
        ("c1", "for c1"),
        ("c2", "for c2"),
    ]


async def test_several_outputs_at_once_are_all_sent(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1", "c2")
        await add(session, output("c1"), output("c2"))
        sent = [await peer.expect(client.ToolCallOutput) for _ in range(2)]
        assert [message.tool_call_id for message in sent] == ["c1", "c2"]
        await peer.speak("Sunny.")
        names = await settle(peer, emitted)
        assert names.count("generation_created") == 1


async def test_the_output_of_an_interrupted_call_is_told_and_spoken_about(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await peer.send(phonic.ToolCallInterrupted("c1", "look_up_weather"))
        await emitted.state("ready")
        await add(session, output("c1"))
        await told(peer, "sunny")
        await peer.expect(client.GenerateReply)
        await peer.speak("It is sunny.")
        assert (await read(await emitted.next("generation_created"))).text == "It is sunny."
    assert await peer.receive() is None


async def test_the_answer_to_a_caller_who_speaks_is_the_answer_to_a_late_output(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await peer.send(
            phonic.ToolCallInterrupted("c1", "look_up_weather"), phonic.UserStartedSpeaking()
        )
        await emitted.state("listening")
        await add(session, output("c1"))
        await told(peer, "sunny")
        await peer.send(phonic.UserFinishedSpeaking(), phonic.InputText("And?"))
        await peer.speak("It is sunny.")
        assert (await read(await emitted.next("generation_created"))).text == "It is sunny."
        await settle(peer, emitted)
    assert await peer.receive() is None


async def test_a_late_output_is_spoken_about_when_the_assistant_has_finished(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await peer.send(
            phonic.ToolCallOutputProcessed(tool_call_id="c1", timed_out=True),
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "That took too long."),
        )
        generation = await emitted.next("generation_created")
        await add(session, output("c1"))
        await told(peer, "sunny")
        await peer.send(phonic.AssistantFinishedSpeaking())
        assert (await read(generation)).text == "That took too long."
        await peer.expect(client.GenerateReply)
        await peer.speak("It is sunny.")
        assert (await read(await emitted.next("generation_created"))).text == "It is sunny."
    assert await peer.receive() is None


@pytest.mark.parametrize("how", ["the caller answers first", "only the timer is left"])
async def test_a_late_output_is_spoken_about_also_if_the_turn_is_interrupted(
    how, make_model, server
):
    model = Impatient(make_model()) if how == "only the timer is left" else make_model()
    async with conversation(model, server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well, "))
        await emitted.next("generation_created")
        await add(session, output("c0"))
        await told(peer, "sunny")
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.state("listening")
        if how == "only the timer is left":
            await peer.send(phonic.InputCancelled())
            await peer.expect(client.GenerateReply)
        else:
            await peer.send(phonic.UserFinishedSpeaking(), phonic.InputText("And?"))
            await peer.speak("It is sunny.")
            await emitted.next("generation_created")
            await settle(peer, emitted)
            await session.aclose()
            assert await peer.receive() is None


async def test_an_interrupted_call_leaves_the_other_pending(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1", "c2")
        await peer.send(phonic.ToolCallInterrupted("c1", "look_up_weather"))
        await settle(peer, emitted)
        assert session.state is State.tool_pending
        await add(session, output("c1", "for c1"), output("c2"))
        await told(peer, "for c1")
        assert (await peer.expect(client.ToolCallOutput)).tool_call_id == "c2"


async def test_the_output_of_an_unknown_call_is_told_in_words(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(session, output("never-called", reply_required=False))
        await told(peer, "sunny")
        assert session.state is State.ready
    assert await peer.receive() is None


@pytest.mark.parametrize("ends", ["interrupted", "timed out", "refused"])
@pytest.mark.parametrize("complains", [True, False])
async def test_an_output_that_crosses_the_end_of_its_call_is_told_once(
    ends, complains, make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        settled = []
        session.on("tool_call_settled", settled.append)
        await called(peer, emitted, "c1")
        await add(session, output("c1"))
        await peer.expect(client.ToolCallOutput)
        if ends == "interrupted":
            await peer.send(phonic.ToolCallInterrupted("c1", "look_up_weather"))
        elif ends == "timed out":
            await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="c1", timed_out=True))
        if complains or ends == "refused":
            await peer.send(phonic.Error(phonic.Problem("no call 'c1' is waiting")))
        await told(peer, "sunny")
        assert "error" not in await settle(peer, emitted)
        if ends == "refused":
            await peer.expect(client.GenerateReply)
        elif ends == "timed out":
            await peer.speak("That took too long.")
            await peer.expect(client.GenerateReply)
        else:
            await peer.send(
                phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking(), phonic.InputText("?")
            )
        await peer.speak("It is sunny.")
        await settle(peer, emitted)
        assert "It is sunny." in [item.text_content for item in session.chat_ctx.messages()]
        assert len(settled) == 1
    assert await peer.receive() is None


@pytest.mark.parametrize("first", ["interrupted", "timed out", "timed out behind the second"])
async def test_an_output_that_is_refused_is_spoken_about_with_one_that_came_late(
    first, make_model, server
):
    """Phonic is asked once, and at once: the answer that is due would not come by itself."""
    model = Impatient(make_model(), reply_timeout=60)
    async with conversation(model, server) as (session, peer, emitted):
        await called(peer, emitted, "c1", "c2")
        timed_out = phonic.ToolCallOutputProcessed(tool_call_id="c1", timed_out=True)
        if first == "interrupted":
            await peer.send(phonic.ToolCallInterrupted("c1", "look_up_weather"))
            await settle(peer, emitted)
        await add(session, output("c1", "for c1"))
        if first == "timed out":
            await peer.expect(client.ToolCallOutput)
            await peer.send(timed_out)
        if first == "timed out behind the second":
            await peer.expect(client.ToolCallOutput)
            await add(session, output("c2", "for c2"))
            await peer.expect(client.ToolCallOutput)
            await peer.send(timed_out)
            await told(peer, "for c1")
        else:
            await told(peer, "for c1")
            await add(session, output("c2", "for c2"))
            await peer.expect(client.ToolCallOutput)
        await peer.send(phonic.Error(phonic.Problem("no call 'c2' is waiting")))
        await told(peer, "for c2")
        await peer.expect(client.GenerateReply)
        await peer.speak("It is sunny.")
        assert (await read(await emitted.next("generation_created"))).text == "It is sunny."
        await settle(peer, emitted)
    assert await peer.receive() is None, "one answer is enough"


async def test_two_outputs_that_are_refused_are_spoken_about_together(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1", "c2")
        await add(session, output("c1", "for c1"), output("c2", "for c2"))
        for call_id in ("c1", "c2"):
            await peer.expect(client.ToolCallOutput)
            await peer.send(phonic.Error(phonic.Problem(f"no call {call_id!r} is waiting")))
        await told(peer, "for c1")
        await told(peer, "for c2")
        await peer.expect(client.GenerateReply)
    assert await peer.receive() is None


@pytest.mark.parametrize("tells_by", ["update_options", "instructions and tools"])
async def test_a_reset_within_a_tool_loses_no_output(tells_by, make_model, server):
    async with conversation(make_model(), server, tools=[look_up_weather]) as (
        session,
        peer,
        emitted,
    ):
        await called(peer, emitted, "c1")
        if tells_by == "update_options":
            session.update_options(voice="ann")
        else:
            await session.update_instructions("Be brief.")
            await session.update_tools([])
        # Phonic may forget the call, or go on waiting for it.
        placeholder = await peer.expect(client.ToolCallOutput)
        assert placeholder == client.ToolCallOutput("c1", STILL_RUNNING)
        assert '"status":"no output yet"' in (await peer.expect(client.Reset)).config.system_prompt
        await emitted.state("ready")
        await add(session, output("c1"))
        await told(peer, "sunny")
        await peer.expect(client.GenerateReply)
        await peer.speak("It is sunny.")
        assert (await read(await emitted.next("generation_created"))).text == "It is sunny."
    assert await peer.receive() is None


async def test_an_output_in_the_tick_of_a_reset_is_told_once(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        session.update_options(voice="ann")
        await add(session, output("c1"))
        await peer.expect(client.ToolCallOutput)
        assert "tool_output" not in (await peer.expect(client.Reset)).config.system_prompt
        await told(peer, "sunny")
        await peer.expect(client.GenerateReply)
    assert await peer.receive() is None


async def test_an_output_that_a_reset_carries_is_spoken_about(make_model, server):
    """Phonic had taken the output, and the reset cut its answer off before that began."""
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1"))
        await peer.expect(client.ToolCallOutput)
        session.update_options(voice="ann")
        reset = await peer.expect(client.Reset)
        assert '{"tool_output":"look_up_weather","id":"c1","output":"sunny"}' in (
            reset.config.system_prompt
        )
        await peer.send(phonic.Error(phonic.Problem("no call 'c1' is waiting")))
        assert "error" not in await settle(peer, emitted)
        await peer.expect(client.GenerateReply)
    assert await peer.receive() is None


async def test_a_tool_that_forbids_speech_stays_silent_also_if_its_output_is_late(
    make_model, server
):
    silent = {"name": "look_up_weather", "forbid_speech_after_tool_call": True}
    model = make_model(configs_for_tools=[silent])
    async with conversation(model, server, tools=[look_up_weather]) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="c1", timed_out=True))
        await emitted.state("ready")
        await add(session, output("c1"))
        await told(peer, "sunny")
    assert await peer.receive() is None


async def test_an_output_is_kept_while_the_caller_speaks(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.state("listening")
        await add(session, output("c1"))
        await peer.expect(client.ToolCallOutput)
        assert session.state is State.listening


async def test_the_caller_may_speak_while_an_output_is_awaited(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await emitted.state("listening")
        await emitted.state("tool_pending")
        await add(session, output("c1"))
        await peer.expect(client.ToolCallOutput)


async def test_a_repeated_call_is_not_handed_over_twice(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await called(peer, emitted, "c1")
        await peer.send(call("c1"))
        assert "generation_created" not in await settle(peer, emitted)


async def test_a_call_that_was_answered_is_not_handed_over_again(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await add(session, output("c1", reply_required=False))
        await peer.expect(client.ToolCallOutput)
        await peer.send(call("c1"))
        assert "generation_created" not in await settle(peer, emitted)


async def test_a_call_that_phonic_gave_up_is_no_longer_pending(make_model, server, caplog):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await called(peer, emitted, "c1")
        await peer.send(phonic.ToolCallOutputProcessed(tool_call_id="c1", timed_out=True))
        await emitted.state("ready")
        await add(session, output("c1"))
        await told(peer, "sunny")
    assert "c1" in caplog.text


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_a_system_message_is_passed_on(role, make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(session, llm.ChatMessage(role=role, content=["The shop closes now."]))
        message = await peer.expect(client.AddSystemMessage)
        assert message.system_message == "The shop closes now."
    assert await peer.receive() is None


async def test_a_user_message_goes_out_with_the_reply_to_it(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(session, llm.ChatMessage(role="user", content=["I typed this."]))
        session.generate_reply(instructions="Be short.")
        assert await peer.receive() == client.GenerateReply("Be short.", "I typed this.")


async def test_a_user_message_goes_out_only_once(make_model, server):
    async with conversation(make_model(), server) as (session, peer, _):
        await add(session, llm.ChatMessage(role="user", content=["I typed this."]))
        session.generate_reply()
        session.generate_reply()
        assert (await peer.expect(client.GenerateReply)).user_message == "I typed this."
        assert await peer.receive_json() == {"type": "generate_reply"}


@function_tool
async def book_table() -> str:
    """Book a table."""
    return "booked"


async def test_tool_choice_none_takes_the_tools_away_until_it_is_changed(make_model, server):
    model = make_model(phonic_tools=["web_search"])
    async with conversation(model, server, tools=[look_up_weather]) as (session, peer, emitted):
        session.update_options(tool_choice="none")
        session.generate_reply()
        assert (await peer.expect(client.UpdateToolsSubset)).tools == ["web_search"]
        await peer.expect(client.GenerateReply)
        # Phonic may have decided on a call before. LiveKit drops it.
        await peer.send(phonic.AssistantStartedSpeaking(), call("c1"))
        answer = await peer.expect(client.ToolCallOutput)
        assert answer.tool_call_id == "c1"
        assert answer.output.startswith("The tool was not run")
        await peer.send(phonic.AudioChunk(SILENCE, "Fine."), phonic.AssistantFinishedSpeaking())
        heard = await read(await emitted.next("generation_created"))
        assert (heard.text, heard.calls) == ("Fine.", [])
        session.update_options(tool_choice=None)
        update = await peer.expect(client.UpdateToolsSubset)
        assert [getattr(tool, "name", tool) for tool in update.tools] == [
            "web_search",
            "look_up_weather",
        ]
        await called(peer, emitted, "c2")
    assert await peer.receive() is None


async def test_a_named_tool_takes_the_others_away(make_model, server):
    async with conversation(make_model(), server, tools=[look_up_weather, book_table]) as (
        session,
        peer,
        _,
    ):
        choice: llm.ToolChoice = {"type": "function", "function": {"name": "book_table"}}
        session.update_options(tool_choice=choice)
        update = await peer.expect(client.UpdateToolsSubset)
        assert [tool.name for tool in update.tools if not isinstance(tool, str)] == ["book_table"]
    assert await peer.receive() is None


@pytest.mark.parametrize("tool_choice", ["auto", "required", None])
async def test_another_tool_choice_leaves_phonic_all_tools(tool_choice, make_model, server):
    async with conversation(make_model(), server, tools=[look_up_weather]) as (
        session,
        peer,
        emitted,
    ):
        session.update_options(tool_choice=tool_choice)
        await settle(peer, emitted)
    assert await peer.receive() is None
