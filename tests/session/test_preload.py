"""What a worker imports for its jobs beforehand: they are forked from a process that has it."""

from __future__ import annotations

import json
import sys
import threading

from livekit.agents import Plugin
from support import processes

import phonic_fsm
from phonic_fsm import RealtimeModel
from phonic_fsm._adapter.plugin import register

FIRST_CALL = """
import asyncio, json, sys
from importlib import import_module
from livekit.agents import Plugin, function_tool
from phonic_fsm import RealtimeModel

[package] = {plugin.package for plugin in Plugin.registered_plugins if plugin.title == "phonic_fsm"}
import_module(package)

@function_tool(raw_schema={"name": "find", "parameters": {"type": "object", "properties": {}}})
async def find(raw_arguments): ...

async def first_call(place):
    before = set(sys.modules)
    session = RealtimeModel(api_key="any", base_url="ws://127.0.0.1:9", journal=place).session()
    await session.update_instructions("Be brief.")
    await session.update_tools([find])
    await session.aclose()
    print(json.dumps(sorted(set(sys.modules) - before)))

asyncio.run(first_call(sys.argv[1]))
"""


def test_a_first_call_imports_nothing(tmp_path):
    """Each import holds its event loop, which other jobs' starts make slower still."""
    run = processes.run(sys.executable, "-c", FIRST_CALL, tmp_path / "journals")
    assert run.returncode == 0, run.stderr
    imported = json.loads(run.stdout)
    assert [name for name in imported if not name.startswith("livekit.")] == []


def test_livekit_knows_the_plugin():
    RealtimeModel(api_key="any")
    [ours] = {one for one in Plugin.registered_plugins if one.title == "phonic_fsm"}
    assert ours.version == phonic_fsm.__version__
    assert ours.logger.name == "phonic_fsm"


def test_a_thread_that_may_not_register_it_can_import_the_package():
    before = list(Plugin.registered_plugins)
    thread = threading.Thread(target=register)
    thread.start()
    thread.join()
    assert Plugin.registered_plugins == before
