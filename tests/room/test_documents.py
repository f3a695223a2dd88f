"""What the documents show of calls in rooms, done."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import anyio
import pytest
from support.rooms import EXAMPLES, PATIENCE

from phonic_fsm.simulator import load_scenario

pytestmark = pytest.mark.anyio

DOCS = EXAMPLES.parent / "docs"


async def test_the_page_on_production_makes_the_call_that_it_shows(worker, simulate, livekit):
    page = (DOCS / "production.md").read_text(encoding="utf-8")
    [words] = re.findall(r'examples/call\.py "(.*)"', page)
    [shown] = re.findall(r"```text\n(answered.*?)```", page, re.DOTALL)
    [scenario] = re.findall(r"phonic-fsm simulate .*--scenario (\S+)", page)
    await simulate(load_scenario(scenario))
    arguments = [sys.executable, str(EXAMPLES / "call.py"), words]
    environment = {
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.api_key,
        "LIVEKIT_API_SECRET": livekit.api_secret,
    }
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process(arguments, env=environment, stderr=subprocess.DEVNULL)
    assert without_what_differs(done.stdout.decode()) == without_what_differs(shown)


def without_what_differs(output: str) -> str:
    return re.sub(r"AJ_\w+|\d+\.\d+ s", "…", output)


async def test_the_page_on_testing_tests_a_worker(livekit, monkeypatch):
    page = (DOCS / "testing.md").read_text(encoding="utf-8")
    [snippet] = [
        code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "RoomCall" in code
    ]
    monkeypatch.chdir(EXAMPLES.parent)
    names: dict[str, Any] = {}
    exec(snippet.replace("latency < 2", f"latency < {PATIENCE}"), names)
    await names["test_the_worker"]()
