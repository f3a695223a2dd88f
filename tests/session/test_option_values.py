"""What an option can be: refused with its name and the rule, or sent, with a warning or without."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from livekit.agents import APIConnectOptions
from support.scripted import KEY, conversation, settle, started

from phonic_fsm import RealtimeModel
from phonic_fsm._adapter.options import OPTIONS, TYPES
from phonic_fsm._wire import client

NUMBERS = [name for name, kind in TYPES.items() if kind in (int, float, float | None)]

TAKE_NONE = {
    "welcome_message",
    "generate_welcome_message",
    "project",
    "no_input_poke_sec",
    "background_noise",
    "configuration_endpoint",
    "outbound_number_pool",
    "external_storage_policy",
}

RETENTION = {
    "zero_data_retention": False,
    "transcripts": {"delete_after_hours": 24},
    "audio_recordings": {"delete_after_hours": None},
}

ZERO_RETENTION = {"zero_data_retention": True}


WRONG: Any = 1.5


def refused(**options):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the callers hold what it says
        RealtimeModel(api_key=KEY, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def config_of(model, server):
    async with started(model) as (session, _):
        await session._update_session(instructions="Be kind.", tools=[])
        return await (await server.accept()).receive_json()


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "phonic_fsm")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "phonic_fsm"]


# -- types ---------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_none_switches_pokes_off(make_model, server):
    config = await config_of(make_model(no_input_poke_sec=None), server)
    assert config["no_input_poke_sec"] is None


@pytest.mark.anyio
async def test_pokes_can_be_switched_off_during_a_call(make_model, server):
    async with conversation(make_model(no_input_poke_sec=20), server) as (session, peer, _):
        session.update_options(no_input_poke_sec=None)
        assert (await peer.expect(client.Reset)).config.no_input_poke_sec is None


@pytest.mark.anyio
@pytest.mark.parametrize("option", sorted(TAKE_NONE))
async def test_none_where_phonic_documents_it_is_sent(option, make_model, server):
    config = await config_of(make_model(**{option: None}), server)
    assert config[option] is None


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - TAKE_NONE))
def test_none_anywhere_else_is_refused(option):
    message = refused(**{option: None})
    assert message.startswith(f"{option}: Expected ")
    assert message.endswith(
        "got `null`; leave the option out to keep Phonic's own setting; the value is None"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("option", NUMBERS)
def test_a_number_that_is_not_finite_is_refused(option, value):
    message = refused(**{option: value})
    assert message.startswith(option)
    assert message.endswith(f"the value is {value!r}")
    if TYPES[option] is not int:
        assert "must be finite" in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"additional_params": {"a": [1, {"b": math.nan}]}}, "_params.a[1].b must be finite"),
        ({"additional_params": {"a": object()}}, "_params.a cannot be sent as JSON: it is of type"),
        ({"additional_params": {"a": [{1}]}}, "a[0] cannot be sent as JSON: it is of type set"),
        ({"additional_params": {"a": b"b"}}, "_params.a cannot be sent as JSON: it is of type by"),
        ({"additional_params": {"a": {1: 2}}}, "_params.a must have strings as keys, not 1"),
        ({"additional_params": {"a": 10**5000}}, "additional_params.a has too many digits"),
        (
            {"additional_params": {"a": "b\udc80"}},
            "additional_params.a has half of a surrogate pair as character 2; the value is",
        ),
        (
            {"additional_params": {"a": {"b\udc80": 1}}},
            "a key of additional_params.a has half of a surrogate pair as character 2",
        ),
        (
            {"template_variables": {"name": "\ud83d"}},
            "template_variables.name has half of a surrogate pair as character 1",
        ),
        (
            {"configuration_endpoint": {"url": "https://a", "headers": {"X-Name": "\ud83d"}}},
            "configuration_endpoint.headers.X-Name has half of a surrogate pair",
        ),
        ({"voice": "\udc80"}, "voice has half of a surrogate pair as character 1"),
        ({"configuration_endpoint": {"url": "https://[::1"}}, "must have an HTTPS url"),
        ({"configuration_endpoint": {"url": "https://a:99999"}}, "must have an HTTPS url"),
        ({"configuration_endpoint": {"url": "https://a\n.b"}}, "must have an HTTPS url"),
        (
            {"configuration_endpoint": {"url": "https://a", "headers": {"X": "from a file\n"}}},
            "must have headers without line breaks",
        ),
        (
            {"configuration_endpoint": {"url": "https://a", "headers": {"X\r\nY": "1"}}},
            "must have headers without line breaks",
        ),
        ({"conn_options": 5}, "must be APIConnectOptions, got 5"),
        ({"conn_options": APIConnectOptions(max_retry=WRONG)}, "max_retry must be an integer"),
        ({"conn_options": APIConnectOptions(retry_interval=math.inf)}, "retry_interval must be f"),
        ({"conn_options": APIConnectOptions(timeout=math.nan)}, "timeout must be finite (s)"),
        (
            {"configs_for_tools": [{"name": "choose_not_to_respond", "respond_after_sec": -1e999}]},
            "configs_for_tools[0].respond_after_sec must be finite",
        ),
        ({"tasks": [{"name": "dates"}]}, "tasks: must have a description - at `$[0]`"),
        ({"tasks": {"name": "dates"}}, "tasks: Expected `array`, got `object`"),
        ({"pronunciation_dictionary": [{"word": "a"}]}, "must have a pronunciation"),
        ({"data_retention_policy": {"days": 3}}, "must have a zero_data_retention"),
        (
            {"data_retention_policy": {"zero_data_retention": False}},
            "must have transcripts and audio_recordings where zero_data_retention is False",
        ),
        (
            {"data_retention_policy": {**RETENTION, "zero_data_retention": True}},
            "must have no other field where zero_data_retention is True",
        ),
        ({"outbound_number_pool": {"active": []}}, "must have a blocked"),
        (
            {"outbound_number_pool": {"active": ["0170 1"], "blocked": []}},
            "must hold numbers in E.164 form such as +15550100, not '0170 1'",
        ),
        (
            {"outbound_number_pool": {"active": ["+15550100"] * 2, "blocked": []}},
            "'+15550100' stands more than once in active",
        ),
        ({"configuration_endpoint": {"url": "http://example.com"}}, "must have an HTTPS url"),
        ({"configs_for_tools": [{"name": "a", "alow": 1}]}, "a has no alow; it has allow_tool"),
        ({"observability_integrations": "braintrust"}, "Expected `array`, got `str`"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_value_that_cannot_be_meant_is_refused(options, says):
    message = refused(**options)
    assert message.removeprefix("a key of ").startswith(next(iter(options)))
    assert says in message
    assert message.isprintable()


def test_a_value_that_cannot_be_shown_is_refused_all_the_same():
    class Hostile:
        def __repr__(self):
            raise LookupError("no words for it")

    message = refused(additional_params={"a": [Hostile()]})
    assert message == "additional_params.a[0] cannot be sent as JSON: it is of type Hostile"


def test_a_value_that_holds_itself_is_refused():
    endless = {}
    endless["more"] = endless
    assert "is nested more than 100 levels deep" in refused(additional_params=endless)


@pytest.mark.parametrize("levels", [101, 5000])
def test_a_value_that_is_nested_too_deeply_is_refused(levels):
    deep = {}
    for _ in range(levels):
        deep = {"more": deep}
    message = refused(additional_params=deep)
    assert message.startswith("additional_params.more.more")
    assert "is nested more than 100 levels deep" in message
    assert len(message) < 500


@pytest.mark.parametrize(
    "endpoint",
    [
        {"url": 7, "headers": {"Authorization": "Bearer secret"}},
        {"url": "https://me:secret@example.com"},
        {"url": "https://example.com", "headers": {"Authorization": ["secret"]}},
        "https://me:secret@example.com",
    ],
)
def test_a_refused_endpoint_shows_no_key(endpoint):
    message = refused(configuration_endpoint=endpoint)
    assert message.startswith("configuration_endpoint")
    assert "secret" not in message


def test_a_long_value_is_shown_in_part():
    assert len(refused(boosted_keywords="word" * 1000)) < 300


@pytest.mark.anyio
async def test_a_refused_change_changes_nothing(make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        for change in ({"vad_threshold": math.nan}, {"audio_speed": None}, {"voise": "ben"}):
            with pytest.raises((ValueError, TypeError), match=next(iter(change))):
                session.update_options(voice="ben", **change)
        assert await settle(peer, emitted) == []


# -- documented ranges ---------------------------------------------------------------------------

UNDOCUMENTED = {
    "audio_speed": (1.6, "0.5 to 1.5, and the value is 1.6"),
    "background_noise_level": (0.5, "0 to 0.25, and the value is 0.5"),
    "min_words_to_interrupt": (11, "1 to 10, and the value is 11"),
    "no_input_poke_sec": (7.5, "multiples of 1, and the value is 7.5"),
    "no_input_end_conversation_sec": (7.5, "multiples of 1, and the value is 7.5"),
    "websocket_timeout_sec": (301, "1 to 300, and the value is 301"),
    "vad_prebuffer_duration_ms": (2001, "0 to 2000, and the value is 2001"),
    "vad_min_speech_duration_ms": (1501, "0 to 1500, and the value is 1501"),
    "vad_min_silence_duration_ms": (1501, "0 to 1500, and the value is 1501"),
    "vad_threshold": (0.9, "0.2 to 0.8, and the value is 0.9"),
    "assistant_backchannel_aggressiveness": (1.1, "0 to 1, and the value is 1.1"),
    "default_language": ("tlh", "no language 'tlh'"),
    "additional_languages": (["de", "tlh"], "no language 'tlh'"),
    "pronunciation_dictionary": (
        [{"word": "w" * 31, "pronunciation": "w"}],
        f"words of at most 30 characters, and there is '{'w' * 31}'",
    ),
}
"""A value that Phonic's documents do not foresee, and what the warning says."""


def test_every_documented_range_is_tried():
    ranged = {n for n, o in OPTIONS.items() if o.documented is not None or o.step is not None}
    assert ranged <= UNDOCUMENTED.keys()


@pytest.mark.anyio
@pytest.mark.parametrize("option", UNDOCUMENTED)
async def test_an_undocumented_value_is_sent_with_one_warning(
    option, make_model, server, warnings, watch
):
    value, says = UNDOCUMENTED[option]
    config = await config_of(make_model(**{option: value}), server)
    assert config[option] == value
    watch.take()  # it may be found wrong
    assert warnings() == [f"{option}: Phonic documents {says}; it is sent nevertheless"]


@pytest.mark.anyio
async def test_a_tools_undocumented_timeout_is_sent_with_one_warning(make_model, server, warnings):
    configs = [{"name": "look_up", "tool_call_output_timeout_ms": 200_000}]
    await config_of(make_model(configs_for_tools=configs), server)
    assert warnings() == [
        "configs_for_tools: Phonic documents tool_call_output_timeout_ms of 1000 to 180000, "
        "and it is 200000; it is sent nevertheless"
    ]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        *((n, o.documented) for n, o in OPTIONS.items() if o.documented is not None),
        ("audio_speed", (0.6, 0.7, 1.1, 1.2, 1.3)),
        ("assistant_backchannel_aggressiveness", (0.07, 0.29, 0.57)),
        ("no_input_poke_sec", (0, 3.0, None)),
        ("default_language", ("en", "yue")),
    ],
)
def test_a_documented_value_is_taken_without_a_word(option, values, warnings):
    for value in values:
        RealtimeModel(api_key=KEY, **{option: value})
    assert warnings() == []


@pytest.mark.anyio
async def test_a_change_of_a_model_warns_once_for_all_its_sessions(make_model, server, warnings):
    model = make_model()
    async with (
        conversation(model, server) as (_, peer, _),
        conversation(model, server) as (
            _,
            other,
            _,
        ),
    ):
        model.update_options(vad_threshold=0.9)
        for one in (peer, other):
            assert (await one.expect(client.Reset)).config.vad_threshold == 0.9
    assert len(warnings()) == 1


@pytest.mark.anyio
async def test_a_change_that_one_session_cannot_take_changes_none(make_model, server):
    model = make_model(multilingual_mode="auto")
    async with (
        conversation(model, server) as (_, peer, emitted),
        conversation(model, server) as (
            other,
            other_peer,
            other_emitted,
        ),
    ):
        other.update_options(voice="ben")
        await other_peer.expect(client.Reset)
        with pytest.raises(ValueError, match="additional_voice_ids must not include voice"):
            model.update_options(additional_voice_ids=["ben"])
        assert await settle(peer, emitted) == []
        assert await settle(other_peer, other_emitted) == []
        model.update_options(voice="ann")
        assert (await peer.expect(client.Reset)).config.voice_id == "ann"


# -- options against each other ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"multilingual_mode": "auto", "additional_languages": ["de", "fr", "it"]},
            "additional_languages must be at most 2 where multilingual_mode is 'auto'; "
            "the value is ['de', 'fr', 'it']",
        ),
        (
            {"multilingual_mode": "auto", "languages": ["en", "de", "fr", "it"]},
            "additional_languages must be at most 2",
        ),
        (
            {
                "external_storage_policy": "bucket",
                "data_retention_policy": ZERO_RETENTION,
                "enable_redaction": True,
            },
            "external_storage_policy cannot be combined with enable_redaction; "
            "the value is 'bucket'",
        ),
        (
            {"external_storage_policy": "bucket", "data_retention_policy": RETENTION},
            "external_storage_policy needs data_retention_policy={'zero_data_retention': True}",
        ),
        ({"external_storage_policy": "bucket"}, "external_storage_policy needs"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options, says):
    assert says in refused(**options)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options",
    [
        {"multilingual_mode": "auto", "additional_languages": ["de", "fr"]},
        {"multilingual_mode": "request", "additional_languages": ["de", "fr", "it"]},
        {"external_storage_policy": "bucket", "data_retention_policy": ZERO_RETENTION},
        {"external_storage_policy": "bucket", "phonic_agent": "concierge"},
        {"external_storage_policy": None, "enable_redaction": True},
        {"data_retention_policy": RETENTION, "enable_redaction": True},
    ],
)
async def test_options_that_go_together_are_sent(options, make_model, server, warnings):
    config = await config_of(make_model(**options), server)
    for name, value in options.items():
        assert config[OPTIONS[name].wire or name] == value
    assert warnings() == []


@pytest.mark.anyio
async def test_options_are_held_against_each_other_during_a_call_too(make_model, server):
    model = make_model(additional_languages=["de", "fr", "it"])
    async with conversation(model, server) as (session, peer, emitted):
        with pytest.raises(ValueError, match="additional_languages must be at most 2"):
            session.update_options(multilingual_mode="auto")
        assert await settle(peer, emitted) == []
        session.update_options(multilingual_mode="auto", additional_languages=["de"])
        assert (await peer.expect(client.Reset)).config.additional_languages == ["de"]


@pytest.mark.anyio
async def test_a_language_switch_in_auto_mode_keeps_what_phonic_allows(make_model, server):
    model = make_model(
        default_language="en", additional_languages=["de", "fr"], multilingual_mode="auto"
    )
    async with conversation(model, server) as (session, peer, _):
        session.update_options(default_language="it")
        config = (await peer.expect(client.Reset)).config
        assert (config.default_language, config.additional_languages) == ("it", ["en", "de"])
