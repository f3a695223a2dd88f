"""What JSON cannot carry is refused with its place, before anything is changed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from livekit.agents import function_tool, llm
from support.scripted import conversation, read, settle

from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

HALF = "caf\udce9"


@pytest.fixture(params=["conversation", "recorded conversation"])
def model(request, make_model, tmp_path):
    return make_model(**({"trace": tmp_path} if "recorded" in request.param else {}))


def raw_tool(**schema):
    @function_tool(raw_schema={"name": "find", "description": "", "parameters": {}, **schema})
    async def find(raw_arguments: dict[str, object]) -> str:
        return ""

    return find


def tool_with(description):
    async def find(what: str) -> str:
        return ""

    return function_tool(find, description=description)


def parameters(**schema):
    return {"type": "object", "properties": {"what": {"type": "number", **schema}}}


TOOLS = [
    (tool_with(HALF), "tool find.description has half of a surrogate pair as character 4"),
    (raw_tool(description=HALF), "tool find.description has half of a surrogate pair"),
    (raw_tool(name=HALF), "the name of a tool has half of a surrogate pair as character 4"),
    (
        raw_tool(parameters=parameters(default=math.inf)),
        "tool find.parameters.properties.what.default must be finite",
    ),
    (
        raw_tool(parameters=parameters(enum=[1, object()])),
        "tool find.parameters.properties.what.enum[1] cannot be sent as JSON: it is of type object",
    ),
    (
        raw_tool(parameters=parameters(examples={1: 2})),
        "tool find.parameters.properties.what.examples must have strings as keys, not 1",
    ),
    (
        raw_tool(parameters=parameters(title=HALF)),
        "tool find.parameters.properties.what.title has half of a surrogate pair",
    ),
]


@pytest.mark.parametrize(("tool", "says"), TOOLS)
@pytest.mark.parametrize(
    "give",
    [
        lambda session, tools: session.update_tools(tools),
        lambda session, tools: session._update_session(
            instructions="Be brief.", tools=tools, chat_ctx=llm.ChatContext.empty()
        ),
    ],
    ids=["update_tools", "_update_session"],
)
async def test_a_tool_that_cannot_be_sent_is_named_with_the_place(
    tool, says, give, make_model, server
):
    good = tool_with("Find something.")
    async with conversation(make_model(), server, tools=[good]) as (session, peer, emitted):
        with pytest.raises(ValueError, match="tool") as caught:
            await give(session, [tool])
        assert says in str(caught.value)
        assert str(caught.value).isprintable()
        assert await settle(peer, emitted) == []
        assert session.tools.flatten() == [good]
        session.generate_reply()
        assert await peer.receive() == client.GenerateReply()


async def test_instructions_that_cannot_be_sent_change_nothing(model, server):
    says = "instructions has half of a surrogate pair as character 4"
    message = llm.ChatMessage(role="user", content=["Hello?"])
    async with conversation(model, server) as (session, peer, emitted):
        with pytest.raises(ValueError, match=says):
            await session.update_instructions(HALF)
        with pytest.raises(ValueError, match=says):
            session.generate_reply(instructions=HALF)
        with pytest.raises(ValueError, match=says):
            await session._update_session(
                instructions=HALF,
                tools=[tool_with("Find something.")],
                chat_ctx=llm.ChatContext([message]),
            )
        assert await settle(peer, emitted) == []
        assert session.tools.flatten() == []
        assert session.chat_ctx.get_by_id(message.id) is None
        session.generate_reply()
        assert await peer.receive() == client.GenerateReply()


@pytest.mark.parametrize(
    "item",
    [
        llm.ChatMessage(id=HALF, role="user", content=["Hi."]),
        llm.FunctionCall(id=HALF, call_id="c1", name="find", arguments="{}"),
        llm.FunctionCall(call_id=HALF, name="find", arguments="{}"),
        llm.FunctionCallOutput(call_id=HALF, output="", is_error=False),
        llm.AgentHandoff(id=HALF, new_agent_id="billing"),
    ],
    ids=lambda item: item.type,
)
async def test_an_id_that_cannot_be_sent_changes_nothing(item, make_model, server):
    async with conversation(make_model(), server) as (session, peer, emitted):
        for call in (session.update_chat_ctx, lambda c: session._update_session(chat_ctx=c)):
            with pytest.raises(ValueError, match=r"chat_ctx: the (call_)?id caf.* has half"):
                await call(llm.ChatContext([item]))
        assert session.chat_ctx.items == []
        assert await settle(peer, emitted) == []


async def test_what_was_said_is_sent_with_a_mark_in_its_place(model, server):
    items: list[llm.ChatItem] = [
        llm.ChatMessage(role="user", content=[HALF]),
        llm.FunctionCall(call_id="c1", name=HALF, arguments=f'{{"what": "{HALF}"}}'),
        llm.FunctionCallOutput(call_id="c1", name=HALF, output=HALF, is_error=False),
    ]
    async with conversation(model, server) as (session, peer, emitted):
        await session._update_session(chat_ctx=llm.ChatContext(items))
        config = (await peer.expect(client.Reset)).config
        assert config.system_prompt.count("caf?") == 5
        await peer.send(phonic.ToolCall("c2", "find"))
        await read(await emitted.next("generation_created"))
        context = session.chat_ctx
        context.items.append(llm.FunctionCallOutput(call_id="c2", output=HALF, is_error=False))
        await session.update_chat_ctx(context)
        assert (await peer.expect(client.ToolCallOutput)).output == "caf?"
        session.say(HALF)
        assert await peer.receive() == client.Say("caf?")


async def test_an_option_that_cannot_be_sent_changes_neither_model_nor_session(make_model, server):
    model = make_model(voice="ann")
    choices: list[Any] = [{"type": "function"}, {"function": {"name": 7}}, "sometimes", 7]
    unsendable: list[Any] = [{"a": math.inf}, {"a": HALF}, {1: 2}, {"a": [object()]}]
    async with conversation(model, server) as (session, peer, emitted):
        for target in (model, session):
            for params in unsendable:
                with pytest.raises(ValueError, match="additional_params"):
                    target.update_options(voice="ben", additional_params=params)
        for choice in choices:
            with pytest.raises(ValueError, match="tool_choice must be 'auto', 'required', 'none'"):
                session.update_options(voice="ben", tool_choice=choice)
        with pytest.raises(ValueError, match="external_id has half of a surrogate pair"):
            session.set_external_id(HALF)
        assert model._options == session._options == {"voice": "ann"}
        assert await settle(peer, emitted) == []
        model.update_options(voice="ben")
        assert (await peer.expect(client.Reset)).config.voice_id == "ben"
