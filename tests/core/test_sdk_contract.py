"""The wire types say what the installed SDK says: the same messages and fields, both ways.

The SDK's models are walked, not listed, so a release of the SDK that adds or drops a message or a
field fails here and is named.
"""

from __future__ import annotations

import base64
import datetime
import inspect
import json
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import phonic.conversations.reconnectable_socket_client as sdk_reconnecting
import phonic.types as sdk
import pydantic
import pytest
from msgspec import Struct
from phonic.conversations.socket_client import (
    AsyncConversationsSocketClient,
    ConversationsSocketClientResponse,
)
from phonic.conversations.websocket_connect import build_sts_websocket_url_and_headers
from phonic.core.client_wrapper import BaseClientWrapper
from phonic.environment import PhonicEnvironment
from phonic.types.config_options_input_format import ConfigOptionsInputFormat
from phonic.types.config_options_output_format import ConfigOptionsOutputFormat

from phonic_fsm._runtime.endpoint import CLIENT, Endpoint
from phonic_fsm._wire import client, config, server
from phonic_fsm._wire.codec import decode_client, decode_server, encode

Model = type[pydantic.BaseModel]

# -- both sides as tables of types ---------------------------------------------------------------


def tag_of(model: Model) -> str:
    """The value of the model's ``type`` literal."""
    (tag,) = get_args(model.model_fields["type"].annotation)
    return str(tag)


def payloads_sent() -> Iterator[Model]:
    """What the ``send_*`` methods of the SDK's socket take."""
    for name, method in inspect.getmembers(AsyncConversationsSocketClient, inspect.isfunction):
        if name.startswith("send_"):
            yield typing.get_type_hints(method)["message"]


SDK_SERVER = {tag_of(model): model for model in get_args(ConversationsSocketClientResponse)}
SDK_CLIENT = {tag_of(model): model for model in payloads_sent()}
OUR_SERVER = {str(ours.__struct_config__.tag): ours for ours in get_args(server.ServerMessage)}
OUR_CLIENT = {str(ours.__struct_config__.tag): ours for ours in get_args(client.ClientMessage)}

READ_FROM_THE_TEXT = {"names", "calls", "repeats_typed"}
"""Fields that no message has on the wire: they are read from its text."""

BEYOND_THE_UNION = {"conversation_reconnected"}
"""What the SDK's union lacks although its reconnecting socket looks for it."""

TOOLS: dict[str, tuple[Model, type[Struct]]] = {
    "custom_websocket": (sdk.InlineWebSocketTool, config.InlineTool),
    "built_in": (sdk.BuiltInToolDefinition, config.BuiltInTool),
}

PAIRS: dict[str, tuple[Model, type[Struct]]] = {
    **{
        f"server {tag}": (SDK_SERVER[tag], OUR_SERVER[tag])
        for tag in SDK_SERVER | OUR_SERVER
        if tag in SDK_SERVER and tag in OUR_SERVER
    },
    **{
        f"client {tag}": (SDK_CLIENT[tag], OUR_CLIENT[tag])
        for tag in SDK_CLIENT | OUR_CLIENT
        if tag in SDK_CLIENT and tag in OUR_CLIENT
    },
    **{f"tool {tag}": pair for tag, pair in TOOLS.items()},
    "config options": (sdk.ConfigOptions, config.ConfigOptions),
}
"""Types that stand for the same thing. What has no counterpart, other tests complain about."""


def sdk_fields(model: Model) -> dict[str, pydantic.fields.FieldInfo]:
    """The model's fields by their names on the wire, with ``type``."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def our_fields(ours: type[Struct]) -> dict[str, msgspec.structs.FieldInfo | None]:
    """The struct's fields by their names on the wire; a tag is a field without description."""
    fields: dict[str, msgspec.structs.FieldInfo | None] = {
        field.encode_name: field
        for field in msgspec.structs.fields(ours)
        if field.name not in READ_FROM_THE_TEXT
    }
    if ours.__struct_config__.tag_field is not None:
        fields[ours.__struct_config__.tag_field] = None
    return fields


def members(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, with those inside lists and unions."""
    if get_args(annotation) and get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from members(argument)
    else:
        yield annotation


def nested(
    model: Model, ours: type[Struct], path: str
) -> Iterator[tuple[str, Model, type[Struct]]]:
    """The pair itself and the pairs of one model and one struct that its fields hold."""
    yield path, model, ours
    theirs = sdk_fields(model)
    for name, field in our_fields(ours).items():
        if field is None or name not in theirs:
            continue
        structs = [m for m in members(field.type) if isinstance(m, type) and issubclass(m, Struct)]
        models = [
            m
            for m in members(theirs[name].annotation)
            if isinstance(m, type) and issubclass(m, pydantic.BaseModel)
        ]
        if len(structs) == len(models) == 1:
            yield from nested(models[0], structs[0], f"{path}.{name}")


# -- the same messages and fields ----------------------------------------------------------------


def report(new: set[str], gone: set[str]) -> str:
    lines = [f"the SDK has it, the wire types lack it: {name}" for name in sorted(new)]
    lines += [f"the wire types have it, the SDK lacks it: {name}" for name in sorted(gone)]
    return "\n".join(lines)


def differences(theirs: set[str], ours: set[str]) -> str:
    return report(theirs - ours, ours - theirs)


def field_differences(model: Model, ours: type[Struct], path: str) -> str:
    found = (
        report(
            {f"{at}.{name}" for name in sdk_fields(theirs).keys() - our_fields(struct).keys()},
            {f"{at}.{name}" for name in our_fields(struct).keys() - sdk_fields(theirs).keys()},
        )
        for at, theirs, struct in nested(model, ours, path)
    )
    return "\n".join(filter(None, found))


def test_every_server_message_of_the_sdk_has_a_type_and_no_other_has_one():
    problems = differences(set(SDK_SERVER), set(OUR_SERVER) - BEYOND_THE_UNION)
    assert not problems, problems


@pytest.mark.parametrize("tag", sorted(BEYOND_THE_UNION))
def test_a_server_message_beyond_the_sdks_union_is_known_to_its_reconnecting_socket(tag):
    assert tag in OUR_SERVER
    assert tag not in SDK_SERVER, f"{tag} has come into the SDK's union: the exception can go"
    assert f'"{tag}"' in inspect.getsource(sdk_reconnecting)


def test_every_client_message_of_the_sdk_has_a_type_and_no_other_has_one():
    problems = differences(set(SDK_CLIENT), set(OUR_CLIENT))
    assert not problems, problems


@pytest.mark.parametrize("name", PAIRS)
def test_a_type_has_the_fields_of_the_sdks_model_and_no_others(name):
    problems = field_differences(*PAIRS[name], name)
    assert not problems, problems


def test_every_tool_definition_of_the_sdk_has_a_type_and_no_other_has_one():
    theirs = {m for m in get_args(sdk.ToolDefinition) if m is not str}
    assert {tag_of(model) for model in theirs} == set(TOOLS)
    assert set(get_args(config.ToolDefinition)) == {str, *(ours for _, ours in TOOLS.values())}


@pytest.mark.parametrize("theirs", [ConfigOptionsInputFormat, ConfigOptionsOutputFormat])
def test_the_audio_formats_are_the_sdks(theirs):
    literal, _any = get_args(theirs)
    problems = differences(set(get_args(literal)), set(get_args(config.AudioFormat)))
    assert not problems, problems


# -- what must be there --------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_a_type_requires_no_field_that_the_sdk_leaves_optional(name):
    """What the SDK would take is never refused."""
    refused = [
        f"{at}.{field_name}"
        for at, model, ours in nested(*PAIRS[name], name)
        for field_name, field in our_fields(ours).items()
        if field is not None and field.required and not sdk_fields(model)[field_name].is_required()
    ]
    assert not refused, f"required here, optional in the SDK: {refused}"


@pytest.mark.parametrize("name", [name for name in PAIRS if not name.startswith("server ")])
def test_a_type_that_is_sent_leaves_no_field_out_that_the_sdk_requires(name):
    optional = [
        f"{at}.{field_name}"
        for at, model, ours in nested(*PAIRS[name], name)
        for field_name, field in our_fields(ours).items()
        if field is not None and not field.required and sdk_fields(model)[field_name].is_required()
    ]
    assert not optional, f"optional here, required by the SDK: {optional}"


@pytest.mark.parametrize("name", PAIRS)
def test_a_type_takes_null_where_the_sdk_does(name):
    refused = [
        f"{at}.{field_name}"
        for at, model, ours in nested(*PAIRS[name], name)
        for field_name, field in our_fields(ours).items()
        if field is not None
        and type(None) in get_args(sdk_fields(model)[field_name].annotation)
        and not {type(None), Any} & set(members(field.type))
    ]
    assert not refused, f"null is refused here, taken by the SDK: {refused}"


# -- the same values -----------------------------------------------------------------------------

AUDIO = bytes(range(8))

SAMPLES: dict[Any, list[Any]] = {
    str: ["What is said: “ä”\n", ""],
    bool: [True, False],
    int: [20, 0],
    float: [0.25, -1.5],
    Any: [{"any": [1, "two", None, {"three": True}]}, "words", None, 4],
    datetime.datetime: [datetime.datetime(2030, 4, 5, 6, 7, 8, tzinfo=datetime.timezone.utc)],
}


def samples(annotation: Any) -> list[Any]:
    """Values of a type: every member of a union, every value of a literal."""
    if annotation in SAMPLES:
        return SAMPLES[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return samples(arguments[0])
    if origin is Literal:
        return list(arguments)
    if origin is Union:
        # An open literal: its values are the samples, the SDK takes others too.
        # ``null`` where it only means "not given" has a test of its own.
        closed = [argument for argument in arguments if argument not in (Any, type(None))]
        return [value for argument in closed or [Any] for value in samples(argument)]
    if origin is list:
        return [samples(arguments[0]), []]
    if origin is dict:
        return [dict.fromkeys(["a key", "b"], value) for value in samples(arguments[1])] + [{}]
    if issubclass(annotation, pydantic.BaseModel):
        return instances(annotation)
    raise TypeError(f"no sample of {annotation!r}: the SDK has a new kind of field")


def instances(model: Model) -> list[pydantic.BaseModel]:
    """One instance with nothing but the required fields, then some with all of them."""
    values = {
        name: [base64.b64encode(AUDIO).decode(), ""]
        if name == "audio"
        else samples(field.annotation)
        for name, field in model.model_fields.items()
    }
    required = {n: v[0] for n, v in values.items() if model.model_fields[n].is_required()}
    rounds = max(map(len, values.values()))
    return [
        model(**required),
        *(model(**{n: v[i % len(v)] for n, v in values.items()}) for i in range(rounds)),
    ]


def values_of(value: Any) -> Any:
    """An instance as JSON's values; the SDK's own dump leaves out what was not set."""
    if isinstance(value, pydantic.BaseModel):
        return {name: values_of(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


def unknown_to(value: Any, path: str = "$") -> Iterator[str]:
    """Paths to what an SDK's model took without knowing it (its models allow extras)."""
    if isinstance(value, pydantic.BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from unknown_to(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_to(item, f"{path}[{index}]")


@pytest.mark.parametrize("tag", SDK_SERVER)
def test_a_server_message_made_by_the_sdk_decodes_to_the_same_values(tag):
    for theirs in instances(SDK_SERVER[tag]):
        ours = decode_server(theirs.json())
        assert type(ours) is OUR_SERVER[tag], ours
        values = msgspec.structs.asdict(ours)
        taken = {name: values[name] for name in our_fields(type(ours)) if name != "type"}
        assert msgspec.to_builtins({"type": tag, **taken}) == values_of(theirs)


def test_the_assistants_audio_decodes_from_base64_to_bytes():
    theirs = sdk.AudioChunkResponsePayload(audio=base64.b64encode(AUDIO).decode(), text="Hi")
    assert decode_server(theirs.json()) == server.AudioChunk(AUDIO, "Hi")


@pytest.mark.parametrize("tag", SDK_CLIENT)
def test_a_client_message_is_what_the_sdks_model_takes_and_knows(tag):
    for theirs in instances(SDK_CLIENT[tag]):
        ours = decode_client(theirs.json())
        assert type(ours) is OUR_CLIENT[tag], ours

        frame = encode(ours)

        validated = SDK_CLIENT[tag].model_validate_json(frame)
        assert not list(unknown_to(validated))
        assert json.loads(frame) == json.loads(theirs.json())


@pytest.mark.parametrize("tag", TOOLS)
def test_a_tool_is_what_the_sdks_model_takes_and_knows(tag):
    model, struct = TOOLS[tag]
    for theirs in instances(model):
        frame = encode(msgspec.json.decode(theirs.json(), type=struct))

        assert not list(unknown_to(model.model_validate_json(frame)))
        assert json.loads(frame) == json.loads(theirs.json())


def test_the_callers_audio_is_base64_on_the_wire():
    validated = sdk.AudioChunkPayload.model_validate_json(encode(client.AudioChunk(AUDIO)))
    assert base64.b64decode(validated.audio) == AUDIO
    assert validated.iso_date_time is None


def test_the_wire_types_cover_all_of_the_sdk():
    def share(theirs: Any, ours: Any) -> str:
        return f"{len(set(theirs) & set(ours))}/{len(set(theirs))}"

    def fields_of(model: Model, ours: type[Struct]) -> str:
        return share(sdk_fields(model), our_fields(ours))

    formats, _any = get_args(ConfigOptionsInputFormat)
    coverage = ", ".join(
        (
            f"{share(SDK_SERVER, OUR_SERVER)} (+{len(OUR_SERVER.keys() - SDK_SERVER.keys())}) "
            "server messages",
            f"{share(SDK_CLIENT, OUR_CLIENT)} client messages",
            f"{fields_of(*PAIRS['config options'])} config fields",
            f"{fields_of(*TOOLS['custom_websocket'])} tool fields",
            f"{fields_of(*TOOLS['built_in'])} built-in tool fields",
            f"{share(get_args(formats), get_args(config.AudioFormat))} audio formats",
        )
    )
    print(coverage)  # noqa: T201 - pytest -rP shows the figures
    assert coverage == (
        "18/18 (+1) server messages, 12/12 client messages, 48/48 config fields, "
        "12/12 tool fields, 3/3 built-in tool fields, 5/5 audio formats"
    )


# -- the handshake -------------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [None, "conv_1", "a b&c=d/é"])
@pytest.mark.parametrize("base_url", [PhonicEnvironment.DEFAULT.production, "ws://127.0.0.1:1"])
def test_the_handshake_is_the_sdks(base_url: str, resume: str | None) -> None:
    url, headers = Endpoint("the-key", base_url).request(resume)

    environment = PhonicEnvironment(base="", production=base_url)
    sdk_url, sdk_headers = build_sts_websocket_url_and_headers(
        BaseClientWrapper(api_key="the-key", environment=environment), reconnect_conv_id=resume
    )
    assert url == sdk_url
    about_the_sdk = {name for name in sdk_headers if name.startswith("X-Fern-")} | {"User-Agent"}
    own = {"User-Agent": CLIENT, "x-phonic-client": CLIENT}
    assert headers == {
        **{name: sdk_headers[name] for name in sdk_headers if name not in about_the_sdk},
        **own,
    }


def test_the_default_address_is_the_sdks() -> None:
    assert Endpoint("the-key").base_url == PhonicEnvironment.DEFAULT.production
