"""The plugin's documented examples, with nothing changed but the import.

They are read from the metadata of the release that is installed; the former one documents only
the agent. Each talks to a real server on loopback, which ``PHONIC_BASE_URL`` names.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import re
from contextlib import asynccontextmanager
from importlib.metadata import metadata
from types import SimpleNamespace

import anyio
import pytest
from livekit.agents import NOT_GIVEN, llm
from livekit.agents.testing import fake_job_context
from parity.differential import RELEASE
from support.scripted import PATIENCE

import phonic_fsm
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic

pytestmark = pytest.mark.anyio

README = str(metadata("livekit-plugins-phonic").json["description"])
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PLUGIN = "livekit.plugins.phonic.realtime"


def example(part: str) -> str:
    """The example that contains this, as it stands in the documentation."""
    found: list[str] = [text for text in EXAMPLES if part in text]
    if not found and RELEASE == "former":
        pytest.skip(f"the former release has no example with {part}; tox -e current-plugin has")
    [text] = found
    return text


def evaluate(expression: str):
    """The value of an example that is an expression and leaves its import out."""
    return eval(expression, {"RealtimeModel": phonic_fsm.RealtimeModel})


@pytest.fixture(autouse=True)
def _environment(monkeypatch, server):
    monkeypatch.setenv("PHONIC_API_KEY", "any")
    monkeypatch.setenv("PHONIC_BASE_URL", server.url)


@asynccontextmanager
async def running(entrypoint):
    """The example's job, without a room, and its end."""
    with fake_job_context() as job:
        entered = asyncio.create_task(entrypoint(SimpleNamespace(room=NOT_GIVEN)))
        try:
            yield entered
        finally:
            await job.primary_session.aclose()
            await entered
            await job._on_cleanup()  # LiveKit's fake job leaves its directory behind


async def test_the_agent_greets_and_has_its_tool_called(server, tmp_path):
    path = tmp_path / "agent.py"
    path.write_text(example("class MyAgent").replace(PLUGIN, "phonic_fsm"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("agent", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    async with running(module.entrypoint) as entered:
        peer = await server.accept()
        config = await peer.open_conversation()
        assert config.system_prompt == "You are a helpful voice AI assistant named Sabrina."
        assert (config.voice_id, config.audio_speed) == ("sabrina", 1.2)
        assert [tool.name for tool in config.tools] == ["toggle_light"]

        greeting = await peer.expect(client.GenerateReply)
        assert greeting.system_message == "Greet the user, asking about their day."
        await peer.speak("Hello! ", "How is your day?")
        with anyio.fail_after(PATIENCE):
            await entered

        await peer.send(
            phonic.ToolCall("call_1", "toggle_light", {"light_id": "A05", "state": "on"})
        )
        output = await peer.expect(client.ToolCallOutput)
        assert (output.tool_call_id, output.output) == ("call_1", "Light A05 turned on")
    assert await peer.receive() is None


async def config_of(model, server, *tools):
    """The config that a session of the model sends, as JSON."""
    session = model.session()
    try:
        await session.update_instructions("Be kind.")
        await session.update_tools(list(tools))
        peer = await server.accept()
        return await peer.receive_json()
    finally:
        await session.aclose()


def named(*names):
    """Function tools with these names."""

    def tool(name):
        @llm.function_tool(name=name)
        async def nothing() -> None: ...

        return nothing

    return map(tool, names)


async def test_configs_of_own_tools_arrive(server):
    model = evaluate(example('"name": "transfer_call"'))
    tools = named("transfer_call", "submit_form", "another")
    sent = (await config_of(model, server, *tools))["tools"]
    fields = ("forbid_speech_after_tool_call", "forbid_tool_call_after_speech")
    assert {
        tool["tool_schema"]["function"]["name"]: tuple(tool[field] for field in fields)
        for tool in sent
    } == {"transfer_call": (True, False), "submit_form": (False, True), "another": (False, False)}


async def test_built_in_tools_and_their_configs_arrive(server):
    model = evaluate(example('phonic_tools=["choose_not_to_respond", "keypad_input"]'))
    assert (await config_of(model, server))["tools"] == [
        {
            "type": "built_in",
            "name": "choose_not_to_respond",
            "tool_config": {"respond_after_sec": 5},
        },
        "keypad_input",
    ]


async def test_tool_definitions_are_the_plugins():
    text = example("to_phonic_tool_definitions")

    @llm.function_tool
    async def get_weather(city: str, days: int = 1) -> str:
        """The weather somewhere.

        Args:
            city: Where.
            days: How far ahead.
        """
        return ""

    @llm.function_tool(raw_schema={"name": "undescribed", "parameters": {"type": "object"}})
    async def undescribed(raw_arguments: dict[str, object]) -> None: ...

    def definitions(module: str):
        names = {"tool_context": llm.ToolContext([get_weather, undescribed])}
        exec(text.replace(PLUGIN, module), names)
        return names["tool_definitions"]

    ours = definitions("phonic_fsm")
    assert ours == definitions(PLUGIN)
    assert [definition["name"] for definition in ours] == ["get_weather", "undescribed"]


async def test_every_name_of_the_plugin_can_be_imported():
    realtime = importlib.import_module(PLUGIN)
    assert set(realtime.__all__) <= set(phonic_fsm.__all__)
    assert [name for name in phonic_fsm.__all__ if not hasattr(phonic_fsm, name)] == []
