"""Options: checked when they are given, changed in mid-conversation, and of single tools."""

from __future__ import annotations

import pytest
from livekit.agents import function_tool
from support.scripted import conversation, settle

from phonic_fsm import RealtimeModel
from phonic_fsm._adapter.options import OPTIONS
from phonic_fsm._wire import client
from phonic_fsm._wire.config import BuiltInTool, ConfigOptions


@function_tool
async def get_weather(city: str) -> str:
    """Look up the weather."""
    return city


FROM_ELSEWHERE = {"system_prompt", "input_format", "output_format"}
"""Fields of the config that no option sets."""


def test_every_option_is_a_field_of_the_config():
    forgotten = {
        name
        for name, option in OPTIONS.items()
        if (option.wire or name) not in ConfigOptions.__struct_fields__
    }
    assert not forgotten, "the fields of these options are missing in _wire/config.py"


def test_every_field_of_the_config_has_an_option():
    reached = {option.wire or name for name, option in OPTIONS.items()}
    forgotten = set(ConfigOptions.__struct_fields__) - FROM_ELSEWHERE - reached
    assert not forgotten, "the options for these fields are missing in _adapter/options.py"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"multilingual_mode": "guess"}, "multilingual_mode must be one of auto, request, initial"),
        ({"intelligence_level": "low"}, "intelligence_level must be one of standard, high"),
        ({"phonic_model": "phonic-9"}, "phonic_model must be one of phonic-0.5"),
        ({"model": "other"}, "model must be one of merritt"),
        ({"background_noise": "sea"}, "background_noise must be one of office"),
        ({"observability_integrations": ["x"]}, "observability_integrations must be one of"),
        ({"no_input_poke_sec": -1}, "no_input_poke_sec must not be below 0; the value is -1"),
        ({"vad_threshold": 1.5}, "vad_threshold must not be above 1"),
        ({"mcp_servers": ["a", "b", "a"]}, "mcp_servers 'a' stands more than once"),
        (
            {"pronunciation_dictionary": [{"word": "a", "pronunciation": "b"}] * 2},
            "pronunciation_dictionary 'a' stands more than once",
        ),
        (
            {"default_language": "en", "additional_languages": ["de", "en"]},
            "additional_languages must not include default_language; both have 'en'",
        ),
        ({"voice": "a", "additional_voice_ids": ["a"]}, "must not include voice"),
        ({"external_id": "  "}, "external_id must not be empty"),
        ({"configuration_endpoint": {"timeout_ms": 3}}, "must have a url"),
        ({"vad_prebuffer_duration_ms": "long"}, "vad_prebuffer_duration_ms: Expected `int"),
        ({"configs_for_tools": [{"allow_tool_chaining": True}]}, "must have a name"),
        ({"configs_for_tools": [{"name": "a"}, {"name": "a"}]}, "'a' stands more than once"),
        ({"configs_for_tools": [{"name": "a", "allow_tool_chaining": "yes"}]}, "Expected `bool`"),
        (
            {"configs_for_tools": [{"name": "keypad_input", "respond_after_sec": 1}]},
            "keypad_input has no respond_after_sec; it has speech_before_tool_call",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_value_that_cannot_be_is_refused_when_the_model_is_made(options, says):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is held below
        RealtimeModel(api_key="any", **options)
    assert says in str(caught.value)


@pytest.mark.anyio
async def test_a_former_name_of_a_model_still_works(make_model, server):
    async with conversation(make_model(phonic_model="phonic_v1_1"), server) as (session, peer, _):
        session.update_options(phonic_model="phonic_v1")
        assert (await peer.expect(client.Reset)).config.phonic_model == "phonic-1"


@pytest.mark.anyio
async def test_a_changed_option_goes_out_as_one_reset(make_model, server):
    async with conversation(make_model(voice="ann"), server) as (session, peer, emitted):
        await peer.speak("Hello.")
        await emitted.state("speaking")
        await emitted.state("ready")
        session.update_options(voice="ben")
        session.update_options(audio_speed=1.5)
        reset = await peer.expect(client.Reset)
        assert (reset.config.voice_id, reset.config.audio_speed) == ("ben", 1.5)
        assert reset.config.system_prompt.startswith("Be kind.")
        assert "Hello." in reset.config.system_prompt
        assert await settle(peer, emitted) == []


@pytest.mark.anyio
async def test_an_option_that_keeps_its_value_changes_nothing(make_model, server):
    async with conversation(make_model(voice="ann"), server) as (session, peer, emitted):
        session.update_options(voice="ann")
        assert await settle(peer, emitted) == []


@pytest.mark.anyio
async def test_an_option_changed_before_the_config_is_in_the_config(make_model, server):
    session = make_model(voice="ann").session()
    try:
        session.update_options(voice="ben")
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        peer = await server.accept()
        assert (await peer.expect(client.Config)).voice_id == "ben"
    finally:
        await session.aclose()


@pytest.mark.anyio
async def test_a_new_default_language_keeps_the_former_one(make_model, server):
    model = make_model(default_language="en", additional_languages=["de", "fr"])
    async with conversation(model, server) as (session, peer, _):
        session.update_options(default_language="de")
        config = (await peer.expect(client.Reset)).config
        assert (config.default_language, config.additional_languages) == ("de", ["en", "fr"])
        session.update_options(default_language="it", additional_languages=[])
        config = (await peer.expect(client.Reset)).config
        assert (config.default_language, config.additional_languages) == ("it", [])


@pytest.mark.anyio
async def test_a_wrong_change_is_refused_and_changes_nothing(make_model, server):
    async with conversation(make_model(voice="ann"), server) as (session, peer, emitted):
        with pytest.raises(ValueError, match="vad_threshold"):
            session.update_options(voice="ben", vad_threshold=7)
        with pytest.raises(TypeError, match="voise"):
            session.update_options(voise="ben")  # type: ignore[call-arg]
        assert await settle(peer, emitted) == []


@pytest.mark.anyio
async def test_a_model_changes_its_sessions_and_those_to_come(make_model, server):
    model = make_model(voice="ann")
    async with conversation(model, server) as (_, peer, _):
        model.update_options(voice="ben")
        assert (await peer.expect(client.Reset)).config.voice_id == "ben"
    session = model.session()
    try:
        await session._update_session(instructions="Be kind.", tools=[])
        peer = await server.accept()
        assert (await peer.expect(client.Config)).voice_id == "ben"
    finally:
        await session.aclose()


@pytest.mark.anyio
async def test_single_tools_have_settings_of_their_own(make_model, server):
    model = make_model(
        phonic_tools=["lookup", "keypad_input", "choose_not_to_respond"],
        configs_for_tools=[
            {"name": "get_weather", "execution_mode": "async", "wait_for_response": True},
            {"name": "keypad_input", "speech_before_tool_call": "suppressed"},
        ],
        forbid_speech_after_tool_call=["get_weather"],
    )
    session = model.session()
    try:
        await session._update_session(instructions="Be kind.", tools=[get_weather])
        peer = await server.accept()
        *phonic, own = (await peer.expect(client.Config)).tools
        keypad = BuiltInTool("keypad_input", {"speech_before_tool_call": "suppressed"})
        assert phonic == ["lookup", keypad, "choose_not_to_respond"]
        assert own.name == "get_weather"
        assert (own.execution_mode, own.wait_for_response) == ("async", True)
        assert own.forbid_speech_after_tool_call is True
        assert own.wait_for_speech_before_tool_call is True
        assert own.tool_call_output_timeout_ms == 60_000
    finally:
        await session.aclose()


@pytest.mark.anyio
async def test_settings_of_tools_can_be_changed_too(make_model, server):
    async with conversation(make_model(), server, tools=[get_weather]) as (session, peer, _):
        session.update_options(configs_for_tools=[{"name": "get_weather", "uninterruptible": True}])
        [tool] = (await peer.expect(client.UpdateToolsSubset)).tools
        assert tool.uninterruptible is True


@pytest.mark.anyio
async def test_an_external_id_can_be_set_at_any_time(make_model, server):
    session = make_model().session()
    try:
        session.set_external_id("call-1")
        await session._update_session(instructions="Be kind.", tools=[])
        peer = await server.accept()
        assert (await peer.open_conversation()).external_id == "call-1"
        session.set_external_id("call-2")
        assert await peer.expect(client.SetExternalId) == client.SetExternalId("call-2")
        session.update_options(voice="ben")
        assert (await peer.expect(client.Reset)).config.external_id == "call-2"
        with pytest.raises(ValueError, match="external_id must not be empty"):
            session.set_external_id(" ")
    finally:
        await session.aclose()
