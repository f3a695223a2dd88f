"""The assistant's turns, as LiveKit reads them."""

from __future__ import annotations

import pytest
from scripted import SILENCE, conversation, read

from phonic_fsm.wire import server as phonic

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
