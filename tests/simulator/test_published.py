"""The simulator, the options and the messages say what Phonic publishes.

That each message is as published is checked throughout the suite (``conftest``); here it is shown
that the check can fail.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import fields
from support.bare_client import call, config
from support.published import FACTS, FIELDS, MESSAGES, Side, Watch, problems

from phonic_fsm._adapter.options import OPTIONS
from phonic_fsm._wire import server
from phonic_fsm._wire.codec import encode
from phonic_fsm._wire.config import ConfigOptions, InlineTool
from phonic_fsm.simulator import Scenario
from phonic_fsm.simulator._published import CONFIG, TOOL

pytestmark = pytest.mark.anyio


def choices(schema: dict[str, Any]) -> set[Any]:
    """The values that a field may have, if they are listed."""
    for known in (schema, *schema.get("oneOf", ()), schema.get("items", {})):
        resolved = FACTS["$defs"][known["$ref"].rsplit("/")[-1]] if "$ref" in known else known
        if "enum" in resolved:
            return set(resolved["enum"])
    return set()


@pytest.mark.parametrize("name", FACTS["$defs"]["ConfigOptions"]["properties"])
def test_the_simulators_defaults_and_choices_of_a_config_are_the_published_ones(name: str) -> None:
    published = FACTS["$defs"]["ConfigOptions"]["properties"][name]
    known = CONFIG.get(name)
    if known is None:
        assert "default" not in published
        return
    assert known.default == published.get("default")
    assert set(known.choices) == choices(published)


def test_its_ranges_are_the_published_ones() -> None:
    ranges = {name: (rule.least, rule.most) for name, rule in CONFIG.items() if rule.most}
    published = {name: (r["minimum"], r["maximum"]) for name, r in FACTS["agent"].items()}
    assert ranges == published
    timeout = TOOL["tool_call_output_timeout_ms"]
    assert FACTS["tool"] == {
        "tool_call_output_timeout_ms": {"minimum": timeout.least, "maximum": timeout.most}
    }


def test_its_defaults_of_a_tool_are_the_published_ones() -> None:
    published = FACTS["$defs"]["InlineWebSocketTool"]["properties"]
    defaults = {name: p["default"] for name, p in published.items() if "default" in p}
    assert {name: rule.default for name, rule in TOOL.items()} == defaults


def test_the_options_document_the_same_ranges() -> None:
    documented = {
        option.wire or name: option.documented
        for name, option in OPTIONS.items()
        if option.documented
    }
    assert documented == {name: (r.least, r.most) for name, r in CONFIG.items() if r.most}


def test_every_field_that_is_sent_is_published_or_listed_as_an_addition() -> None:
    for struct, name in ((ConfigOptions, "ConfigOptions"), (InlineTool, "InlineWebSocketTool")):
        published = set(FACTS["$defs"][name]["properties"]) - {"type"}
        assert {field.encode_name for field in fields(struct)} == published | set(FIELDS[name])


@pytest.mark.parametrize(
    ("side", "frame", "problem"),
    [
        ("client", {"type": "sing"}, "no message is named 'sing'"),
        ("client", {"type": "say"}, "say.: 'text' is a required property"),
        ("client", {"type": "say", "text": 1}, "say.text: 1 is not of type 'string'"),
        ("client", {"type": "say", "text": "Hi.", "loud": True}, "'loud' was unexpected"),
        ("client", {"type": "config", "vad_threshold": "high"}, "config.vad_threshold: 'high'"),
        ("client", {"type": "reset", "config": {"mood": 1}}, "reset.config: "),
        ("server", {"type": "error", "error": {"message": "no", "code": None}}, "error.error.code"),
        ("server", {"type": "input_text", "text": "Hi."}, "'language' is a required property"),
    ],
)
def test_a_message_that_is_not_as_published_is_found(
    side: Side, frame: dict[str, Any], problem: str
) -> None:
    (found,) = problems(side, encode(frame))
    assert problem in found


async def test_what_passes_over_sockets_is_seen(watch: Watch) -> None:
    before = watch.checked
    async with call(Scenario(), config(welcome_message="Hi.")) as (_, caller):
        await caller.until(server.AssistantFinishedSpeaking)
    heard = len(caller.heard)
    assert watch.checked - before >= heard
    assert watch.take() == []
    watch.check("server", '{"type":"audio_chunk","audio":"","text":null}')
    assert watch.take() == ["server: audio_chunk.text: None is not of type 'string'"]


def test_the_additions_are_not_published() -> None:
    assert not {*MESSAGES["server"]} & {*FACTS["server"]}
    for name, added in FIELDS.items():
        known = FACTS["$defs"].get(name) or FACTS["client"].get(name) or FACTS["server"][name]
        assert not {*added} & {*known["properties"]}
