"""The model's options: checked when it is made, sent with the config."""

from __future__ import annotations

import logging
import os

import pytest
from livekit.agents import NOT_GIVEN
from support.scripted import KEY, conversation, started

from phonic_fsm import RealtimeModel

OPTIONS = {
    "phonic_agent": ("agent", "concierge"),
    "voice": ("voice_id", "sabrina"),
    "welcome_message": ("welcome_message", "Hello!"),
    "generate_welcome_message": ("generate_welcome_message", True),
    "project": ("project", "main"),
    "default_language": ("default_language", "es"),
    "additional_languages": ("additional_languages", ["en", "fr"]),
    "audio_speed": ("audio_speed", 1.25),
    "phonic_tools": ("tools", ["web_search", "keypad_input"]),
    "boosted_keywords": ("boosted_keywords", ["LiveKit"]),
    "generate_no_input_poke_text": ("generate_no_input_poke_text", True),
    "no_input_poke_sec": ("no_input_poke_sec", 7),
    "no_input_poke_text": ("no_input_poke_text", "Still there?"),
    "no_input_end_conversation_sec": ("no_input_end_conversation_sec", 90.0),
}


async def config_of(model, server):
    async with started(model) as (session, _):
        await session.update_instructions("Be kind.")
        await session.update_tools([])
        return await (await server.accept()).receive_json()


@pytest.mark.anyio
@pytest.mark.parametrize("option", OPTIONS)
async def test_an_option_is_sent_under_its_wire_name(option, make_model, server):
    field, value = OPTIONS[option]
    plain = await config_of(make_model(), server)
    config = await config_of(make_model(**{option: value}), server)
    assert config == {**plain, field: value}


@pytest.mark.anyio
async def test_an_option_that_is_not_set_is_not_sent(make_model, server):
    config = await config_of(make_model(), server)
    assert config == {
        "type": "config",
        "system_prompt": "Be kind.",
        "input_format": "pcm_24000",
        "output_format": "pcm_24000",
        "stream_ahead_of_real_time": True,
    }


@pytest.mark.anyio
async def test_not_given_is_the_same_as_not_set(make_model, server):
    given = dict.fromkeys([*OPTIONS, "languages", "trace"], NOT_GIVEN)
    assert await config_of(make_model(**given), server) == await config_of(make_model(), server)


@pytest.mark.anyio
@pytest.mark.parametrize("option", ["welcome_message", "project"])
async def test_none_is_sent_as_null(option, make_model, server):
    assert (await config_of(make_model(**{option: None}), server))[option] is None


@pytest.mark.anyio
async def test_languages_become_a_default_and_additional_ones(make_model, server, caplog):
    config = await config_of(make_model(languages=["de", "en", "tr"]), server)
    assert config["default_language"] == "de"
    assert config["additional_languages"] == ["en", "tr"]
    assert "languages is deprecated" in caplog.text


@pytest.mark.anyio
async def test_the_address_comes_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("PHONIC_BASE_URL", server.url)
    assert (await config_of(RealtimeModel(api_key=KEY), server))["type"] == "config"


@pytest.mark.anyio
async def test_the_key_comes_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("PHONIC_API_KEY", "from-outside")
    async with started(RealtimeModel(base_url=server.url)):
        peer = await server.accept()
        assert peer.headers["Authorization"] == "Bearer from-outside"


@pytest.mark.anyio
async def test_a_given_key_wins_over_the_environment(make_model, server, monkeypatch):
    monkeypatch.setenv("PHONIC_API_KEY", "from-outside")
    async with started(make_model()):
        assert (await server.accept()).headers["Authorization"] == f"Bearer {KEY}"


def test_an_empty_key_means_the_one_from_the_environment(monkeypatch):
    monkeypatch.setenv("PHONIC_API_KEY", "from-outside")
    RealtimeModel(api_key="")


@pytest.mark.parametrize("key", [NOT_GIVEN, "", None])
def test_no_key_is_an_error_that_names_the_variable(key):
    with pytest.raises(ValueError, match="PHONIC_API_KEY"):
        RealtimeModel(api_key=key)


def test_an_unknown_option_is_a_type_error_that_names_it():
    with pytest.raises(TypeError, match="voise"):
        RealtimeModel(api_key=KEY, voise="sabrina")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("phonic_agent", 7),
        ("voice", ["sabrina"]),
        ("welcome_message", 3.5),
        ("generate_welcome_message", "yes"),
        ("audio_speed", "fast"),
        ("boosted_keywords", "LiveKit"),
        ("no_input_poke_sec", "soon"),
        ("phonic_tools", "web_search"),
        ("phonic_tools", [1]),
        ("languages", "en"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error_that_names_option_and_value(option, value):
    with pytest.raises(ValueError, match=option) as caught:
        RealtimeModel(api_key=KEY, **{option: value})
    assert repr(value) in str(caught.value)


def test_a_wrong_value_inside_a_list_is_named_with_its_option():
    with pytest.raises(ValueError, match="boosted_keywords") as caught:
        RealtimeModel(api_key=KEY, boosted_keywords=["LiveKit", 3])  # type: ignore[list-item]
    assert "got None" not in str(caught.value)


@pytest.mark.parametrize("audio_format", ["pcm_48000", "opus", ""])
def test_an_audio_format_that_cannot_be_is_an_error_that_says_which_can(audio_format):
    with pytest.raises(ValueError, match=r"audio_format.*pcm_24000") as caught:
        RealtimeModel(api_key=KEY, audio_format=audio_format)
    assert repr(audio_format) in str(caught.value)


@pytest.mark.parametrize("url", ["https://api.phonic.ai", "api.phonic.ai", "ws://"])
def test_an_address_that_is_no_websocket_url_is_an_error(url):
    with pytest.raises(ValueError, match="base_url") as caught:
        RealtimeModel(api_key=KEY, base_url=url)
    assert url in str(caught.value)


def test_the_model_names_itself_and_its_provider():
    model = RealtimeModel(api_key=KEY)
    assert (model.model, model.provider) == ("phonic", "phonic")


def test_the_key_shows_in_no_repr():
    model = RealtimeModel(api_key=KEY)
    assert KEY not in repr(model)
    assert KEY not in repr(vars(model))


@pytest.mark.anyio
async def test_the_key_is_in_no_log(make_model, server, caplog):
    caplog.set_level(logging.DEBUG)
    async with conversation(make_model(), server) as (session, peer, emitted):
        await peer.speak("Good morning.")
        await emitted.next("generation_created")
        assert KEY not in repr(vars(session))
    # The scripted server runs in the same process and logs the handshake that it gets.
    lines = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert lines
    assert not [line for line in lines if KEY in line]


@pytest.mark.anyio
async def test_the_key_is_in_no_trace(make_model, server, tmp_path):
    async with conversation(make_model(trace=tmp_path), server):
        pass
    [trace] = tmp_path.iterdir()
    assert trace.stat().st_size > 0
    assert os.fsencode(KEY) not in trace.read_bytes()
