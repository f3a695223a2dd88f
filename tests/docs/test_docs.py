"""The documents: what the README shows is what the package does."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from livekit.agents import AgentSession
from support.scripted import PATIENCE

from phonic_fsm import RealtimeModel
from phonic_fsm._adapter.options import OPTIONS
from phonic_fsm._core.diagram import mermaid
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.simulator import Call, PhonicSimulator, Scenario, Turn
from phonic_fsm.testing import PhoneCall

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


async def execute(snippet: str) -> dict[str, object]:
    """Run a snippet as one would type it, ``await`` and all; returns its names."""
    names: dict[str, object] = {}
    code = compile(snippet, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    coroutine = eval(code, names)
    if coroutine is not None:
        await coroutine
    return names


@pytest.mark.anyio
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.splitlines()[-1].strip())
async def test_the_readmes_python_runs(snippet, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    async with PhonicSimulator("small-talk") as simulator:
        monkeypatch.setenv("PHONIC_API_KEY", "any")
        monkeypatch.setenv("PHONIC_BASE_URL", simulator.url)
        names = await execute(f"from phonic_fsm import RealtimeModel\n{snippet}")
        session = names.get("session")
        if isinstance(session, AgentSession):
            await simulator.wait_for(lambda: bool(simulator.conversations))
            await session.aclose()


def test_the_readme_has_the_agent_and_the_simulator():
    assert len(SNIPPETS) == 3


def test_the_readmes_diagram_is_the_machines():
    assert mermaid() in README, "paste the output of phonic-fsm diagram into README.md"


def option_table() -> str:
    """The options as the README lists them."""
    rows = ["| Option | In the config | Meaning |", "|---|---|---|"]
    for name, option in OPTIONS.items():
        wire = option.wire or name
        same = "" if wire == name else f"`{wire}`"
        values = f" One of `{'`, `'.join(option.allowed)}`." if option.allowed else ""
        rows.append(f"| `{name}` | {same} | {option.description}{values} |")
    return "\n".join(rows)


def test_the_readmes_options_are_those_of_the_model():
    assert option_table() in README, f"paste into README.md:\n{option_table()}"
    own = set(RealtimeModel.__init__.__annotations__) - {"return", "options"}
    assert [name for name in own if f"`{name}`" not in README] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


ABOUT_THE_INSIDE = {"architecture.md", "performance.md", "state-diagram.md"}


@pytest.mark.parametrize(
    "document",
    [
        *(path for path in DOCUMENTS if path.name not in ABOUT_THE_INSIDE),
        *sorted((ROOT / "examples").glob("*.py")),
    ],
    ids=lambda path: path.name,
)
def test_users_are_shown_public_paths_only(document):
    text = document.read_text(encoding="utf-8")
    assert re.findall(r"phonic_fsm[\w./]*[./]_\w+", text) == []


def test_the_architectures_files_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:_core|_wire|_runtime|_adapter|trace)/\w+\.py)`", text))
    assert files
    assert [name for name in files if not (ROOT / "phonic_fsm" / name).exists()] == []


def load_example(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


@pytest.mark.parametrize("name", ["agent", "dtmf"])
def test_the_example_agents_help_without_a_key(name):
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", "--help"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=50,
    )
    assert result.returncode == 0, result.stderr
    assert "console" in result.stdout


@pytest.mark.anyio
async def test_the_example_agent_greets_and_hands_over():
    example = load_example("agent")
    hand_over = Turn(caller="I want a room.", calls=(Call(tool="transfer_to_bookings"),))
    scenario = Scenario(turns=(hand_over,), replies=("Welcome!", "For which dates?"))
    async with PhonicSimulator(scenario) as simulator:
        session = AgentSession(llm=RealtimeModel(api_key="any", base_url=simulator.url))
        async with PhoneCall(session, example.Concierge()) as call:
            greeting = await simulator.received(client.GenerateReply)
            assert greeting.system_message == "Greet the guest."
            await call.say("I want a room.")
            reset = await simulator.received(client.Reset)
            assert reset.config.system_prompt.startswith("You take room bookings.")
            assert "I want a room." in reset.config.system_prompt
            await simulator.received(client.GenerateReply, nth=2)


class Room:
    """Stands in for LiveKit's room, which needs a server: keeps the digits that are published."""

    def __init__(self) -> None:
        self.local_participant = self
        self.published: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        self.published.put_nowait((code, digit))


@pytest.mark.anyio
async def test_the_dtmf_example_publishes_what_the_assistant_dials(make_model, server):
    room = Room()
    session = AgentSession(llm=make_model())
    await session.start(load_example("dtmf").Caller(room))
    try:
        peer = await server.accept()
        await peer.open_conversation()
        await peer.send(phonic.Dtmf("1w0#"))
        with anyio.fail_after(PATIENCE):
            published = [await room.published.get() for _ in range(3)]
    finally:
        await session.aclose()
    assert published == [(1, "1"), (0, "0"), (11, "#")]
