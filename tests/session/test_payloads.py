"""What ``config`` and ``reset`` are on the wire, byte for byte, written down for review."""

from __future__ import annotations

import json

import pytest
from livekit.agents import function_tool, llm
from support.scripted import conversation, started
from syrupy.extensions.json import JSONSnapshotExtension

from phonic_fsm._adapter.options import OPTIONS

pytestmark = pytest.mark.anyio


@pytest.fixture
def payload(snapshot):
    return snapshot.use_extension(JSONSnapshotExtension)


@function_tool
async def book_table(guests: int) -> str:
    """Book a table.

    Args:
        guests: How many come.
    """
    return f"booked for {guests}"


@function_tool
async def hang_up() -> str:
    """End the call."""
    return "bye"


EVERYTHING = {
    "phonic_agent": "concierge",
    "project": "hotel",
    "model": "merritt",
    "voice": "sabrina",
    "additional_voice_ids": ["grant"],
    "welcome_message": "Welcome, {{name}}.",
    "generate_welcome_message": False,
    "is_welcome_message_interruptible": False,
    "default_language": "en",
    "additional_languages": ["de", "fr"],
    "multilingual_mode": "initial",
    "audio_speed": 1.1,
    "phonic_tools": ["lookup_guest", "choose_not_to_respond", "keypad_input"],
    "configs_for_tools": [
        {
            "name": "book_table",
            "execution_mode": "async",
            "tool_call_output_timeout_ms": 5000,
            "require_speech_before_tool_call": True,
            "wait_for_speech_before_tool_call": False,
            "forbid_speech_after_tool_call": False,
            "forbid_tool_call_after_speech": False,
            "allow_tool_chaining": True,
            "wait_for_response": True,
            "uninterruptible": False,
            "can_run_during_user_speech": True,
        },
        {"name": "choose_not_to_respond", "respond_after_sec": 5},
        {"name": "keypad_input", "speech_before_tool_call": "suppressed"},
    ],
    "boosted_keywords": ["Aston"],
    "min_words_to_interrupt": 2,
    "generate_no_input_poke_text": False,
    "no_input_poke_sec": 20,
    "no_input_poke_text": "Are you there?",
    "no_input_end_conversation_sec": 60,
    "websocket_timeout_sec": 120,
    "intelligence_level": "high",
    "phonic_model": "phonic-1.1",
    "vad_prebuffer_duration_ms": 500,
    "vad_min_speech_duration_ms": 40,
    "vad_min_silence_duration_ms": 600,
    "vad_threshold": 0.5,
    "push_to_talk": False,
    "enable_assistant_backchannel": True,
    "assistant_backchannel_aggressiveness": 0.5,
    "background_noise": "office",
    "background_noise_level": 0.2,
    "pronunciation_dictionary": [{"word": "Aston", "pronunciation": "AS-tun"}],
    "template_variables": {"name": "Ada"},
    "tasks": [{"name": "dates", "description": "Ask for the dates."}],
    "mcp_servers": ["calendar"],
    "observability_integrations": ["braintrust"],
    "configuration_endpoint": {
        "url": "https://example.com/config",
        "headers": {"Authorization": "Bearer x"},
        "timeout_ms": 1000,
    },
    "outbound_number_pool": {"active": ["+15550100"], "blocked": []},
    "external_id": "call-1",
    "enable_redaction": False,
    "enable_watermarking": True,
    "data_retention_policy": {"zero_data_retention": True},
    "external_storage_policy": "bucket",
    "additional_params": {"beta": True},
    "stream_ahead_of_real_time": False,
}


def history() -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="A table, please.")
    context.add_message(role="assistant", content="For how many?")
    return context


async def config_of(model, server, *, tools):
    async with started(model) as (session, _):
        await session.update_instructions("Be kind.")
        await session.update_tools(tools)
        return await (await server.accept()).receive_json()


async def test_nothing_set(make_model, server, payload):
    assert await config_of(make_model(), server, tools=[]) == payload


def test_everything_is_every_option():
    deprecated = {"languages", "forbid_speech_after_tool_call"}
    assert OPTIONS.keys() - EVERYTHING.keys() == deprecated


async def test_everything_set(make_model, server, payload):
    config = await config_of(make_model(**EVERYTHING), server, tools=[book_table, hang_up])
    assert len(config) == 1 + 48, "the type and every field"
    assert config == payload


async def test_a_handoff(make_model, server, payload):
    model = make_model(voice="sabrina", welcome_message="Welcome.")
    async with conversation(model, server, tools=[book_table]) as (session, peer, _):
        await session._update_session(
            instructions="You take bookings.", chat_ctx=history(), tools=[hang_up]
        )
        assert await peer.receive_json() == payload


async def test_a_language_switch(make_model, server, payload):
    model = make_model(default_language="en", additional_languages=["de", "fr"])
    async with conversation(model, server, tools=[book_table]) as (session, peer, _):
        session.update_options(default_language="de")
        assert await peer.receive_json() == payload


async def test_the_same_settings_make_the_same_bytes(make_model, server):
    first, second = [
        json.dumps(await config_of(make_model(**EVERYTHING), server, tools=[book_table]))
        for _ in range(2)
    ]
    assert first == second
