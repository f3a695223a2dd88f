"""Tools as Phonic requires them: strict, described, closed; and what their functions get back."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from livekit.agents import Agent, AgentSession, function_tool, llm
from support.receptionist import call
from support.scripted import conversation, read, settle, started

from phonic_fsm import State, to_phonic_tool_definitions
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.simulator import PhonicSimulator, Scenario

pytestmark = pytest.mark.anyio

STRING = {"type": "string"}


def shaped(**properties: Any) -> dict[str, Any]:
    """An object with these properties, all of them optional."""
    return {"type": "object", "properties": properties}


def raw(parameters: Any, **fields: Any) -> llm.RawFunctionTool[Any, Any]:
    async def look_up(raw_arguments: dict[str, object]) -> str:
        return json.dumps(raw_arguments)

    described = {"name": "look_up", "description": "Look it up.", "parameters": parameters}
    return function_tool(look_up, raw_schema={**described, **fields})


SEARCH = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Search",
    "type": "object",
    "properties": {
        "query": {"type": "string", "title": "Query"},
        "limit": {"type": "integer", "default": 10, "minimum": 1},
        "order": {"enum": ["up", "down"], "description": "Which first."},
        "note": {"type": ["string", "null"]},
        "near": {"$ref": "#/$defs/Place", "description": "Where."},
        "where": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
        "when": {
            "oneOf": [
                shaped(day=STRING) | {"required": ["day"]},
                shaped(month=STRING, year=STRING) | {"required": ["month"]},
            ]
        },
    },
    "required": ["query"],
    "$defs": {"Place": shaped(city=STRING, inside={"$ref": "#/$defs/Place"})},
}

PLACE = {
    "type": "object",
    "properties": {
        "city": {"type": ["string", "null"]},
        "inside": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
    },
    "required": ["city", "inside"],
    "additionalProperties": False,
}

SEARCH_CLOSED = {
    "type": "object",
    "properties": {
        "query": {"type": "string"},
        "limit": {"type": ["integer", "null"], "minimum": 1},
        "order": {
            "description": "Which first.",
            "anyOf": [{"enum": ["up", "down"]}, {"type": "null"}],
        },
        "note": {"type": ["string", "null"]},
        "near": {**PLACE, "type": ["object", "null"], "description": "Where."},
        "where": {"type": ["array", "null"], "items": {"$ref": "#/$defs/Place"}},
        "when": {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"day": STRING},
                    "required": ["day"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {"month": STRING, "year": {"type": ["string", "null"]}},
                    "required": ["month", "year"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ]
        },
    },
    "required": ["query", "limit", "order", "note", "near", "where", "when"],
    "additionalProperties": False,
    "$defs": {"Place": PLACE},
}


async def sent(tool: llm.Tool, make_model: Any, server: Any) -> Any:
    """The function as the config describes it to Phonic."""
    async with started(make_model()) as (session, _):
        await session.update_instructions("Be kind.")
        await session.update_tools([tool])
        config = await (await server.accept()).receive_json()
    [described] = config["tools"]
    assert described["tool_schema"]["type"] == "function"
    return described["tool_schema"]["function"]


async def test_a_raw_tool_is_sent_strict_and_closed(make_model, server):
    given = copy.deepcopy(SEARCH)
    function = await sent(raw(SEARCH, meta={"private": 1}, type="function"), make_model, server)
    assert function == {
        "name": "look_up",
        "description": "Look it up.",
        "strict": True,
        "parameters": SEARCH_CLOSED,
    }
    assert given == SEARCH, "the caller's own schema stays as it is"


@pytest.mark.parametrize("nothing", [{}, {"description": None}, {"description": ""}])
async def test_a_tool_without_a_description_is_described_by_its_name(nothing, make_model, server):
    tool = raw({"type": "object"})
    tool.info.raw_schema.pop("description")
    tool.info.raw_schema.update(nothing)
    function = await sent(tool, make_model, server)
    assert function["description"] == "look_up"
    assert function["parameters"] == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }


NODE = shaped(name=STRING) | {"required": ["name"]}


@pytest.mark.parametrize(
    ("schema", "is_closed"),
    [
        ({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, {"name": STRING}),
        ({"allOf": [NODE]}, {"name": STRING}),
        (shaped(a={"const": 1}), {"a": {"anyOf": [{"const": 1}, {"type": "null"}]}}),
        (shaped(a={"enum": ["x", None]}), {"a": {"enum": ["x", None]}}),
        (shaped(a={"type": "null"}), {"a": {"type": "null"}}),
        (
            shaped(a={"anyOf": [STRING, {"type": "null"}]}),
            {"a": {"anyOf": [STRING, {"type": "null"}]}},
        ),
        (
            shaped(a={"type": "array", "prefixItems": [STRING]}) | {"required": ["a"]},
            {"a": {"type": "array", "prefixItems": [STRING], "items": False}},
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#"}
            | shaped(a={"type": "array", "items": [STRING]})
            | {"required": ["a"]},
            {"a": {"type": "array", "prefixItems": [STRING], "items": False}},
        ),
    ],
)
async def test_other_ways_to_write_a_schema(schema, is_closed, make_model, server):
    parameters = (await sent(raw(schema), make_model, server))["parameters"]
    assert parameters["properties"] == is_closed
    assert parameters["required"] == list(is_closed)
    assert (parameters["type"], parameters["additionalProperties"]) == ("object", False)


REFUSED = [
    ({"type": "array"}, "type"),
    ({"type": ["object", "null"], "properties": {}}, "type"),
    ("a string", None),
    ({"type": "objct"}, "type"),
    ({"type": "object", "properties": 1}, "properties"),
    ({"type": "object", "additionalProperties": True}, "additionalProperties"),
    ({"type": "object", "anyOf": [{"required": ["a"]}]}, "anyOf"),
    ({"type": "object", "required": ["a"]}, "required"),
    (shaped(a={}), "properties.a"),
    (shaped(a=True), "properties.a"),
    (shaped(a={"description": "Anything."}), "properties.a"),
    (shaped(a={"type": "object"}), "properties.a.properties"),
    (shaped(a={"type": "object", "additionalProperties": STRING}), "properties.a.additional"),
    (shaped(a={"type": "array"}), "properties.a.items"),
    (shaped(a={"type": "array", "items": {"type": "object"}}), "properties.a.items.properties"),
    (shaped(a={"anyOf": [STRING, {"type": "object"}]}), "properties.a.anyOf.1.properties"),
    (shaped(a={"allOf": [shaped(b=STRING), shaped(c=STRING)]}), "properties.a.allOf"),
    (shaped(a={"$ref": "#/$defs/B"}), "properties.a.$ref"),
    (shaped(a={"$ref": "https://example.com/a.json"}), "properties.a.$ref"),
    (shaped() | {"$defs": {"B": {"type": "object"}}}, "$defs.B.properties"),
    (shaped() | {"patternProperties": {"^x-": STRING}}, "patternProperties"),
    (shaped(a=STRING, b=STRING) | {"dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    (shaped(a=STRING) | {"not": {"required": ["a"]}}, "not"),
    *(
        (shaped(**{name: STRING}), f"properties.{name}")
        for name in (
            "call_info",
            "conversation_id",
            "from_phone_number",
            "pre_tool_text",
            "to_phone_number",
            "twilio_call_sid",
        )
    ),
]


@pytest.mark.parametrize(("schema", "path"), REFUSED)
async def test_what_cannot_be_closed_names_tool_and_path_and_changes_nothing(
    schema, path, make_model, server
):
    wanted = "tool look_up: parameters" + (f".{path}" if path else "")
    async with conversation(make_model(), server, tools=[raw(shaped(a=STRING))]) as (
        session,
        peer,
        emitted,
    ):
        before = session.tools
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="Hello?")
        refused = raw(schema)
        for change in (
            session.update_tools([refused]),
            session._update_session(instructions="Be rude.", chat_ctx=context, tools=[refused]),
        ):
            with pytest.raises(ValueError, match=r"^tool look_up: parameters") as error:
                await change
            assert str(error.value).startswith(wanted)
        assert session.tools == before
        assert session.chat_ctx.items == []
        assert session.state is State.ready
        await settle(peer, emitted)
    assert await peer.receive() is None, "nothing went out"


@function_tool
async def keep(notes: dict[str, str]) -> None:
    """Keep notes."""


@function_tool
async def tell(conversation_id: str) -> None:
    """Tell it."""


@pytest.mark.parametrize(
    ("tool", "path"),
    [
        (keep, "tool keep: parameters.properties.notes.additionalProperties"),
        (tell, "tool tell: parameters.properties.conversation_id"),
    ],
)
async def test_a_python_function_must_be_closable_too(tool, path, make_model, server):
    async with started(make_model()) as (session, _):
        with pytest.raises(ValueError, match=r"^tool ") as error:
            await session.update_tools([tool])
    assert str(error.value).startswith(path)


async def test_an_agent_session_does_not_start_with_such_a_tool(make_model, server):
    session = AgentSession(llm=make_model())
    with pytest.raises(ValueError, match=r"^tool look_up: parameters\.properties\.a"):
        await session.start(Agent(instructions="Be kind.", tools=[raw(shaped(a={}))]))
    await session.aclose()


GIVEN = [
    ({"query": "x", "limit": None, "order": None, "when": None}, {"query": "x"}),
    ({"query": "x", "note": None}, {"query": "x", "note": None}),
    ({"query": None, "unknown": None}, {"query": None, "unknown": None}),
    (
        {"query": "x", "near": {"city": None, "inside": {"city": "Rome", "inside": None}}},
        {"query": "x", "near": {"inside": {"city": "Rome"}}},
    ),
    (
        {"query": "x", "where": [{"city": None, "inside": None}, {"city": "Rome", "inside": None}]},
        {"query": "x", "where": [{}, {"city": "Rome"}]},
    ),
    (
        {"query": "x", "when": {"month": "May", "year": None}},
        {"query": "x", "when": {"month": "May"}},
    ),
]


@pytest.mark.parametrize(("given", "expected"), GIVEN)
async def test_a_null_for_an_optional_argument_is_left_out(given, expected, make_model, server):
    async with conversation(make_model(), server, tools=[raw(SEARCH)]) as (_, peer, emitted):
        await peer.send(phonic.ToolCall("c1", "look_up", given))
        [made] = (await read(await emitted.next("generation_created"))).calls
    assert json.loads(made.arguments) == expected
    if "unknown" not in given:
        Draft202012Validator(SEARCH).validate(expected)


async def test_a_raw_tool_of_an_agent_gets_what_its_schema_says(make_model, server):
    agent = Agent(instructions="Be kind.", tools=[raw(SEARCH)])
    async with call(make_model(), server, agent) as (_, peer, _seen):
        parameters = {"query": "x", "limit": None, "note": None, "near": {"city": None}}
        await peer.send(phonic.ToolCall("c1", "look_up", parameters))
        output = await peer.expect(client.ToolCallOutput)
    assert json.loads(output.output) == {"query": "x", "note": None, "near": {}}


async def test_the_published_service_takes_it(make_model):
    async with PhonicSimulator(Scenario()) as simulator:
        model = make_model(base_url=simulator.url)
        async with started(model) as (session, _):
            await session.update_instructions("Be kind.")
            await session.update_tools([raw(SEARCH)])
            config = await simulator.received(client.Config)
        assert [tool.name for tool in config.tools] == ["look_up"]


MCP_SERVER = """
from mcp.server import MCPServer

server = MCPServer("library")

@server.tool()
def find_book(title: str, limit: int = 3) -> str:
    return f"{title}: {limit}"

server.run("stdio")
"""


async def test_the_tool_of_an_mcp_server_runs_with_its_own_defaults(make_model, server):
    mcp = pytest.importorskip("livekit.agents.llm.mcp", reason="needs livekit-agents[mcp]")
    library = mcp.MCPServerStdio(
        sys.executable, ["-c", MCP_SERVER], client_session_timeout_seconds=60
    )
    tools = mcp.MCPToolset(id="library", mcp_server=library)
    agent = Agent(instructions="Be kind.", tools=[tools])
    async with call(make_model(), server, agent) as (_, peer, _seen):
        await peer.send(phonic.ToolCall("c1", "find_book", {"title": "Emma", "limit": None}))
        output = await peer.expect(client.ToolCallOutput)
    assert "Emma: 3" in output.output


async def test_definitions_for_the_responses_api_leave_a_raw_schema_as_it_is():
    [definition] = to_phonic_tool_definitions(llm.ToolContext([raw(SEARCH)]))
    assert definition == {
        "name": "look_up",
        "description": "Look it up.",
        "parameters": SEARCH,
    }
