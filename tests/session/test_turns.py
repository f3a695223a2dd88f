"""The assistant's turns, as LiveKit reads them."""

from __future__ import annotations

import time

import pytest
from support.scripted import SILENCE, Impatient, conversation, read, settle, started

from phonic_fsm import State
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio


async def test_a_turn_becomes_a_generation_with_text_and_audio(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("Good ", "morning.")
        generation = await emitted.next("generation_created")
        heard = await read(generation)

    assert heard.text == "Good morning."
    assert heard.audio == SILENCE * 2
    assert heard.message_id == generation.response_id
    assert generation.user_initiated is False
    [message] = session.chat_ctx.items
    assert (message.id, message.role, message.text_content) == (
        heard.message_id,
        "assistant",
        "Good morning.",
    )
    assert message.interrupted is False


async def test_text_without_an_open_turn_opens_a_generation(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.AudioChunk(SILENCE, "Mm-hmm."), phonic.AssistantFinishedSpeaking())
        heard = await read(await emitted.next("generation_created"))

    assert heard.text == "Mm-hmm."


async def test_each_turn_is_a_generation_of_its_own(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("One.")
        await peer.speak("Two.")
        first = await emitted.next("generation_created")
        second = await emitted.next("generation_created")
        assert first.response_id != second.response_id
        assert [(await read(turn)).text for turn in (first, second)] == ["One.", "Two."]
    assert spoken(session) == [("One.", False), ("Two.", False)]


async def test_a_turn_that_starts_over_an_open_one_interrupts_it(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One"))
        await peer.speak("Two.")
        assert (await read(await emitted.next("generation_created"))).text == "One"
        assert (await read(await emitted.next("generation_created"))).text == "Two."
    assert spoken(session) == [("One", True), ("Two.", False)]


async def test_a_turn_that_starts_twice_with_nothing_between_is_one_generation(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking())
        await peer.speak("One.")
        heard = await read(await emitted.next("generation_created"))
        assert heard.text == "One."
        assert "generation_created" not in await settle(peer, emitted)


async def test_a_turn_without_words_leaves_no_message(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak()
        assert (await read(await emitted.next("generation_created"))).text == ""
    assert session.chat_ctx.items == []


async def test_the_callers_speech_closes_the_generation_as_interrupted(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Well, "),
            phonic.UserStartedSpeaking(),
        )
        assert (await read(await emitted.next("generation_created"))).text == "Well, "
        await emitted.state("listening")
        assert spoken(session) == [("Well, ", True)]


async def test_an_assistant_that_speaks_on_opens_a_new_generation(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Well, "),
            phonic.UserStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "as I said."),
            phonic.AssistantFinishedSpeaking(),
        )
        assert (await read(await emitted.next("generation_created"))).text == "Well, "
        assert (await read(await emitted.next("generation_created"))).text == "as I said."
    assert spoken(session) == [("Well, ", True), ("as I said.", False)]


async def test_an_interrupted_response_corrects_the_message(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Well, let me think about it."),
            phonic.UserStartedSpeaking(),
            phonic.InterruptedResponse("Well, let me"),
        )
        await settle(peer, emitted)
        assert spoken(session) == [("Well, let me", True)]


async def test_an_interrupted_response_during_the_turn_ends_and_corrects_it(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Well, let me think about it."),
            phonic.InterruptedResponse("Well,"),
        )
        await read(await emitted.next("generation_created"))
        await settle(peer, emitted)
        assert session.state is State.ready
        assert spoken(session) == [("Well,", True)]


async def test_a_message_of_which_nothing_was_spoken_is_taken_out(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Well"),
            phonic.UserStartedSpeaking(),
            phonic.InterruptedResponse(""),
        )
        await settle(peer, emitted)
        assert spoken(session) == []


async def test_a_correction_never_reaches_an_earlier_turn(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "The first turn,"),
            phonic.UserStartedSpeaking(),
            phonic.UserFinishedSpeaking(),
        )
        await peer.speak("The second turn.")
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.UserStartedSpeaking(),
            phonic.InterruptedResponse(""),
        )
        await settle(peer, emitted)
        assert spoken(session) == [("The first turn,", True), ("The second turn.", False)]


async def test_interrupt_ends_the_generation_at_once(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well, "))
        generation = await emitted.next("generation_created")
        await first_words(generation)
        session.interrupt()
        assert session.state is State.ready
        assert spoken(session) == [("Well, ", True)]
        await read(generation)


async def test_what_follows_an_interrupt_is_dropped_until_the_turn_ends(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await interrupted_turn(session, peer, emitted)
        await peer.send(phonic.AudioChunk(SILENCE, "as I said."))
        assert await settle(peer, emitted) == []
        await peer.send(
            phonic.AssistantFinishedSpeaking(),
            phonic.AudioChunk(SILENCE, "Mm-hmm."),
            phonic.AssistantFinishedSpeaking(),
        )
        assert (await read(await emitted.next("generation_created"))).text == "Mm-hmm."


@pytest.mark.parametrize("event", [phonic.AssistantStartedSpeaking(), phonic.UserStartedSpeaking()])
async def test_what_follows_an_interrupt_is_heard_again_after_a_start(event, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await interrupted_turn(session, peer, emitted)
        await peer.send(phonic.AudioChunk(SILENCE, "dropped"), event)
        await peer.send(phonic.AudioChunk(SILENCE, "heard"), phonic.AssistantFinishedSpeaking())
        assert (await read(await emitted.next("generation_created"))).text == "heard"


async def test_interrupt_with_nothing_open_drops_nothing(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        session.interrupt()
        await peer.send(phonic.AudioChunk(SILENCE, "Hello."), phonic.AssistantFinishedSpeaking())
        assert (await read(await emitted.next("generation_created"))).text == "Hello."


async def test_a_transcript_is_announced_and_kept_under_one_id(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.InputText("Is it sunny?"))
        transcript = await emitted.next("input_audio_transcription_completed")
        [message] = session.chat_ctx.items
    assert (transcript.transcript, transcript.is_final) == ("Is it sunny?", True)
    assert (message.id, message.role, message.text_content) == (
        transcript.item_id,
        "user",
        "Is it sunny?",
    )


async def test_the_callers_speech_is_announced(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        names = await settle(peer, emitted)
    assert names == [
        "input_speech_started",
        "state_changed",
        "input_speech_stopped",
        "state_changed",
    ]


async def test_the_end_of_speech_says_that_a_transcript_comes(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        assert (await emitted.next("input_speech_stopped")).user_transcription_enabled is True


async def test_input_that_is_cancelled_ends_the_callers_speech(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking(), phonic.InputCancelled())
        await emitted.next("input_speech_stopped")
        await emitted.state("ready")
        assert session.chat_ctx.items == []


async def test_a_transcript_that_is_cancelled_is_taken_back(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.UserStartedSpeaking(),
            phonic.UserFinishedSpeaking(),
            phonic.InputText("Never mind."),
            phonic.InputCancelled(),
        )
        said = await emitted.next("input_audio_transcription_completed")
        taken_back = await emitted.next("input_audio_transcription_completed")
        assert (taken_back.item_id, taken_back.transcript) == (said.item_id, "")
        assert session.chat_ctx.items == []
        await session.update_instructions("Be brief.")
        assert "Never mind" not in (await peer.expect(client.UpdateSystemPrompt)).system_prompt


async def test_a_transcript_that_was_answered_is_not_taken_back(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.InputText("Hello."))
        await peer.speak("Good day.")
        await peer.send(phonic.InputCancelled())
        await settle(peer, emitted)
        assert "Hello." in [item.text_content for item in session.chat_ctx.items]


@pytest.mark.parametrize("ahead", [True, False])
async def test_only_audio_that_comes_at_its_pace_may_overlap_the_callers(ahead, make_model, server):
    model = make_model(stream_ahead_of_real_time=ahead)
    assert model.capabilities.supports_overlapping_speech is not ahead
    async with conversation(model, server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "One "),
            phonic.UserStartedSpeaking(),
        )
        await emitted.next("input_speech_started")
        assert session.state is (State.listening if ahead else State.speaking)
        await peer.send(
            phonic.UserFinishedSpeaking(),
            phonic.AudioChunk(SILENCE, "two."),
            phonic.AssistantFinishedSpeaking(),
        )
        await settle(peer, emitted)
        assert [text for text, _ in spoken(session)] == (
            ["One ", "two."] if ahead else ["One two."]
        )


async def test_an_overlapped_turn_ends_where_phonic_yields(make_model, server):
    model = make_model(stream_ahead_of_real_time=False)
    async with conversation(model, server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "One two "),
            phonic.UserStartedSpeaking(),
            phonic.InterruptedResponse("One"),
        )
        await emitted.state("listening")
        [message] = session.chat_ctx.items
        assert (message.text_content, message.interrupted) == ("One", True)


def at_its_pace(make_model):
    """A model whose audio comes at its pace, so that the caller may speak over it."""
    return make_model(stream_ahead_of_real_time=False)


async def test_an_overlapped_turn_ends_where_no_words_follow(make_model, server):
    async with conversation(at_its_pace(make_model), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "One two "),
            phonic.UserStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "three "),
            phonic.UserFinishedSpeaking(),
            phonic.AudioChunk(SILENCE),
        )
        await emitted.state("ready")
        assert spoken(session) == [("One two three ", True)]


async def test_an_overlapped_turn_stands_before_what_interrupted_it(make_model, server):
    async with conversation(at_its_pace(make_model), server) as (session, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "One two "),
            phonic.UserStartedSpeaking(),
            phonic.UserFinishedSpeaking(),
            phonic.InputText("Stop."),
        )
        await peer.speak("Yes?")
        await settle(peer, emitted)
        said = [item.text_content for item in session.chat_ctx.items]
        assert said[:3] == ["One two ", "Stop.", "Yes?"]


async def test_a_call_after_an_overlapped_turn_is_no_part_of_it(make_model, server):
    async with conversation(at_its_pace(make_model), server) as (_, peer, emitted):
        await peer.send(
            phonic.AssistantStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "One two "),
            phonic.UserStartedSpeaking(),
            phonic.UserFinishedSpeaking(),
            phonic.ToolCall("c1", "look_up_weather"),
        )
        assert (await read(await emitted.next("generation_created"))).calls == []
        [call] = (await read(await emitted.next("generation_created"))).calls
        assert call.call_id == "c1"


async def test_an_answer_that_stalls_is_closed_with_a_warning(make_model, server, caplog):
    async with conversation(Impatient(make_model()), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well, "))
        assert (await read(await emitted.next("generation_created"))).text == "Well, "
        await emitted.state("ready")
        assert spoken(session) == [("Well, ", True)]
        assert "has stalled" in caplog.text
        await peer.send(
            phonic.AudioChunk(SILENCE, "as I said."), phonic.AssistantFinishedSpeaking()
        )
        assert (await read(await emitted.next("generation_created"))).text == "as I said."


@pytest.mark.parametrize("finishes", [True, False])
async def test_what_is_on_its_way_at_a_reset_opens_no_turn(finishes, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well, "))
        await first_words(await emitted.next("generation_created"))
        await session._update_session(
            instructions="You do the billing.", chat_ctx=session.chat_ctx, tools=[]
        )
        reply = session.generate_reply()
        await peer.expect(client.Reset)
        await peer.expect(client.GenerateReply)
        await peer.send(phonic.AudioChunk(SILENCE, "as I said."))
        assert "generation_created" not in await settle(peer, emitted)
        if finishes:
            await peer.send(phonic.AssistantFinishedSpeaking())
        await peer.speak("Billing here.")
        answer = await emitted.next("generation_created")
        assert await reply is answer
        assert (await read(answer)).text == "Billing here."


async def test_a_start_that_is_said_twice_is_announced_once(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserStartedSpeaking())
        assert (await settle(peer, emitted)).count("input_speech_started") == 1


async def test_a_backchannel_leaves_the_caller_speaking(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(
            phonic.UserStartedSpeaking(),
            phonic.AudioChunk(SILENCE, "Mm-hmm."),
            phonic.AssistantFinishedSpeaking(),
        )
        assert (await read(await emitted.next("generation_created"))).text == "Mm-hmm."
        assert "input_speech_stopped" not in await settle(peer, emitted)
        assert session.state is State.listening
        await peer.send(phonic.UserFinishedSpeaking())
        await emitted.next("input_speech_stopped")


@pytest.mark.parametrize("announced", [True, False])
async def test_speech_before_the_server_says_ready_is_heard(announced, make_model, server):
    async with started(make_model()) as (session, emitted):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        await peer.expect(client.Config)
        if announced:
            await peer.send(phonic.AssistantStartedSpeaking())
        await peer.send(
            phonic.AudioChunk(SILENCE, "Welcome."),
            phonic.ReadyToStartConversation(),
            phonic.AssistantFinishedSpeaking(),
        )
        assert (await read(await emitted.next("generation_created"))).text == "Welcome."
        await emitted.state("ready")


async def test_the_order_of_what_was_said_is_kept(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("Hello.")
        await peer.send(phonic.InputText("Hi."))
        await peer.speak("How are you?")
        await settle(peer, emitted)
        assert [item.text_content for item in session.chat_ctx.items][:3] == [
            "Hello.",
            "Hi.",
            "How are you?",
        ]


async def first_words(generation):
    """Wait until the first text of a generation is there; its streams can still be read."""
    message = await anext(aiter(generation.message_stream))
    return await anext(aiter(message.text_stream))


async def interrupted_turn(session, peer, emitted):
    await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "Well, "))
    await first_words(await emitted.next("generation_created"))
    session.interrupt()
    await emitted.state("ready")


def spoken(session):
    """The assistant's messages, each with whether it was interrupted."""
    return [
        (item.text_content, item.interrupted)
        for item in session.chat_ctx.items
        if item.type == "message" and item.role == "assistant"
    ]


def said_in(session):
    return [(item.role, item.text_content) for item in session.chat_ctx.items]


@pytest.mark.parametrize("when", ["answer begun", "answer over", "tool called"])
async def test_a_transcript_that_comes_late_stands_before_its_answer(when, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("How can I help?")
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        if when == "answer over":
            await peer.speak("It is sunny.")
        else:
            await peer.send(
                phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "It is sunny.")
            )
        if when == "tool called":
            await peer.send(phonic.ToolCall("call_1", "look_up"))
        await peer.send(phonic.InputText("What is it like outside?"))
        transcript = await emitted.next("input_audio_transcription_completed")
        if when == "answer begun":
            await peer.send(phonic.AssistantFinishedSpeaking())
        assert await settle(peer, emitted) is not None
        items = session.chat_ctx.items
        assert items[1].id == transcript.item_id
        kinds = [getattr(item, "text_content", item.type) for item in items]
        called = ["function_call"] if when == "tool called" else []
        assert kinds == [
            "How can I help?",
            "What is it like outside?",
            "It is sunny.",
            *called,
            "(marker)",
        ]


async def test_a_late_transcript_stands_behind_what_it_interrupted(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One two"))
        await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.speak("Yes?")
        await peer.send(phonic.InputText("Wait."))
        await settle(peer, emitted)
        expected = [("assistant", "One two"), ("user", "Wait."), ("assistant", "Yes?")]
        assert said_in(session)[:-1] == expected


async def test_a_late_transcript_keeps_its_place_if_what_it_interrupted_is_taken_out(
    make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("Hello.")
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One two"))
        await peer.send(
            phonic.UserStartedSpeaking(),
            phonic.InterruptedResponse(""),
            phonic.UserFinishedSpeaking(),
        )
        await peer.speak("Yes?")
        await peer.send(phonic.InputText("Wait."))
        await settle(peer, emitted)
        expected = [("assistant", "Hello."), ("user", "Wait."), ("assistant", "Yes?")]
        assert said_in(session)[:-1] == expected


async def test_a_late_transcript_over_a_turn_stands_behind_it(make_model, server):
    model = make_model(stream_ahead_of_real_time=False)
    async with conversation(model, server) as (session, peer, emitted):
        await peer.send(phonic.AssistantStartedSpeaking(), phonic.AudioChunk(SILENCE, "One "))
        await peer.send(phonic.UserStartedSpeaking(), phonic.AudioChunk(SILENCE, "two."))
        await peer.send(phonic.AssistantFinishedSpeaking(), phonic.UserFinishedSpeaking())
        await peer.speak("Yes?")
        await peer.send(phonic.InputText("Three."))
        await settle(peer, emitted)
        expected = [("assistant", "One two."), ("user", "Three."), ("assistant", "Yes?")]
        assert said_in(session)[:-1] == expected


async def turn(peer):
    await peer.send(phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking())


T1, T2 = phonic.InputText("One?"), phonic.InputText("Two?")
SPEAKS, SPOKE = phonic.UserStartedSpeaking(), phonic.UserFinishedSpeaking()
ANSWERS, ANSWERED = phonic.AssistantStartedSpeaking(), phonic.AssistantFinishedSpeaking()
A2 = phonic.AudioChunk(SILENCE, "2.")


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param((SPEAKS, SPOKE, ANSWERS, A2, ANSWERED, T1, T2), id="both at the end"),
        pytest.param((SPEAKS, SPOKE, ANSWERS, A2, T1, T2, ANSWERED), id="in the second answer"),
        pytest.param((SPEAKS, SPOKE, ANSWERS, A2, T1, ANSWERED, T2), id="one in it, one behind"),
        pytest.param((SPEAKS, T1, SPOKE, ANSWERS, A2, ANSWERED, T2), id="in the second turn"),
        pytest.param((SPEAKS, T1, SPOKE, T2, ANSWERS, A2, ANSWERED), id="the second in time"),
    ],
)
async def test_transcripts_of_two_turns_that_come_late_each_stand_before_their_answer(
    messages, make_model, server
):
    async with conversation(make_model(), server) as (session, peer, emitted):
        began = time.time()
        await turn(peer)
        await peer.speak("1.")
        await emitted.state("ready")
        first_answer = time.time()
        await peer.send(*messages)
        first = await emitted.next("input_audio_transcription_completed")
        second = await emitted.next("input_audio_transcription_completed")
        assert began <= first.turn_started_at <= first_answer <= second.turn_started_at
        await settle(peer, emitted)
        assert [words for _, words in said_in(session)][:-1] == ["One?", "1.", "Two?", "2."]


@pytest.mark.parametrize("taken_back", [True, False])
async def test_a_turn_without_words_takes_no_transcript_of_another(taken_back, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(SPEAKS, SPOKE)
        if taken_back:
            await peer.send(phonic.InputCancelled())
        await peer.speak("Are you there?")
        await peer.send(SPEAKS, SPOKE)
        if taken_back:
            await peer.speak("Yes.")
        await peer.send(phonic.InputText("I am."))
        await settle(peer, emitted)
        expected = ["Are you there?", "I am.", "Yes."][: 3 if taken_back else 2]
        assert [words for _, words in said_in(session)][:-1] == expected


@pytest.mark.parametrize("text", ["", " "])
async def test_a_transcript_without_words_is_none(text, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.send(SPEAKS, SPOKE, phonic.InputText(text))
        await peer.speak("Pardon?")
        await settle(peer, emitted)
        assert [words for _, words in said_in(session)] == ["Pardon?", "(marker)"]


async def test_an_answered_transcript_that_came_late_is_not_taken_back(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        await turn(peer)
        await peer.speak("1.")
        await peer.send(T1, phonic.InputCancelled())
        await settle(peer, emitted)
        assert [words for _, words in said_in(session)][:-1] == ["One?", "1."]


async def test_a_transcript_that_comes_after_a_reset_is_told(make_model, server):
    """The reset's history lacks it, and Phonic remembers nothing else."""
    async with conversation(make_model(), server) as (session, peer, emitted):
        await turn(peer)
        await peer.send(phonic.ToolCall("call_1", "transfer"))
        await emitted.state("tool_pending")
        await session._update_session(
            instructions="You do the billing.", chat_ctx=session.chat_ctx, tools=[]
        )
        await peer.expect(client.ToolCallOutput)
        assert "order" not in (await peer.expect(client.Reset)).config.system_prompt
        await peer.send(phonic.InputText("I call about order 7."))
        message = (await peer.expect(client.AddSystemMessage)).system_message
        assert message.endswith('{"role":"user","text":"I call about order 7."}')
        await turn(peer)
        await peer.send(phonic.InputText("Hello?"))
        await settle(peer, emitted)
    assert await peer.receive() is None


async def test_a_transcript_says_when_its_turn_began(make_model, server):
    async with conversation(make_model(), server) as (_, peer, emitted):
        before = time.time()
        await peer.send(phonic.UserStartedSpeaking())
        await emitted.next("input_speech_started")
        after = time.time()
        await peer.send(phonic.UserFinishedSpeaking(), phonic.InputText("Hello."))
        transcript = await emitted.next("input_audio_transcription_completed")
        assert before <= transcript.turn_started_at <= after
        await peer.send(phonic.InputText("And no more."))
        transcript = await emitted.next("input_audio_transcription_completed")
        assert transcript.turn_started_at is None, "nobody said when this began"
