"""The documents: what the README and the site show is what the package does."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import re
import shlex
import sys
import textwrap
from pathlib import Path
from typing import get_args

import anyio
import pytest
from livekit import rtc
from livekit.agents import AgentSession
from support import processes
from support.commands import run
from support.record_traces import TRACES
from support.scripted import PATIENCE

import phonic_fsm
from phonic_fsm import RealtimeModel, State
from phonic_fsm._core.table import TABLE
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.bounds import Bound
from phonic_fsm.simulator import Call, PhonicSimulator, Scenario, Turn, load_scenario
from phonic_fsm.testing import PhoneCall

ROOT = Path(__file__).parent.parent.parent


def load(path: Path):
    """A module that no package holds."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_example(name: str):
    return load(ROOT / "examples" / f"{name}.py")


generate = load(ROOT / "docs" / "generate.py")
DOCS = ROOT / "docs"
PAGES = {
    page.name: page.read_text(encoding="utf-8")
    for page in [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *sorted(DOCS.glob("*.md")),
    ]
}
PYTHON = {
    name: found
    for name, text in PAGES.items()
    # Its snippets set the process's meter provider, which can be done once in a process. Those
    # of support/metered_call.py and support/metered_agent.py are run.
    if name != "metrics.md"
    if (found := re.findall(r"```python\n(.*?)```", text, re.DOTALL))
}
COMMANDS = [
    (name, command)
    for name, text in PAGES.items()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
    if (command := line.partition("#")[0].strip()).startswith("phonic-fsm ")
]


async def execute(snippet: str, names: dict[str, object]) -> None:
    """Run a snippet as one would type it, ``await`` and all."""
    code = compile(snippet, "snippet", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    coroutine = eval(code, names)
    if coroutine is not None:
        await coroutine


@pytest.mark.anyio
@pytest.mark.parametrize("page", PYTHON)
async def test_the_python_of_a_page_runs(page, monkeypatch, tmp_path):
    """From top to bottom, as if one read the page and typed what it shows."""
    monkeypatch.chdir(tmp_path)
    async with PhonicSimulator("small-talk") as simulator:
        monkeypatch.setenv("PHONIC_API_KEY", "any")
        monkeypatch.setenv("PHONIC_BASE_URL", simulator.url)
        names: dict[str, object] = {"RealtimeModel": RealtimeModel}
        for snippet in PYTHON[page]:
            await execute(textwrap.dedent(snippet), names)
        session = names.get("session")
        if isinstance(session, AgentSession):
            await simulator.wait_for(lambda: bool(simulator.conversations))
            await session.aclose()


def test_the_front_page_is_short_and_has_the_agent():
    assert len(PAGES["README.md"].splitlines()) <= 150
    assert len(PYTHON["README.md"]) == 1


def test_the_front_pages_figures_are_those_that_were_measured():
    row = (
        r"\| live session, 50 chunks/s each way, a chunk pair \(CPU\) \| ([\d.]+) µs \| ([\d.]+) µs"
    )
    measured = re.search(row, PAGES["performance.md"])
    assert measured is not None
    ours, plugin = (f"{float(figure):.0f} µs" for figure in measured.groups())
    assert f"| {plugin} for 20 ms of audio in both directions | {ours} (" in PAGES["README.md"]


def test_the_demo_that_is_shown_can_happen():
    """Words, states and events of the page are those of the package; times are any run's."""
    page = PAGES["getting-started.md"]
    moves = re.findall(r"state  (\w+) → (\w+)  \((\w+)\)", page)
    assert len(moves) > 10
    for source, target, event in moves:
        rows = [row for row in TABLE if row.event == event and State(source) in row.sources]
        assert any(State(target) in row.targets for row in rows), (source, target, event)
    scenario = load_scenario("demo")
    assert re.findall(r"caller (.+)", page)[-3:] == [turn.caller for turn in scenario.turns]


@pytest.fixture
def traces(tmp_path, monkeypatch):
    """A directory that has the files which the pages' commands name."""
    monkeypatch.chdir(tmp_path)
    recorded = [TRACES / "normal_turn.jsonl", TRACES / "tool_call.jsonl"]
    for path in ["call.jsonl", "before.jsonl", "traces/one.jsonl"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(recorded[0].read_bytes())
    for path in ["other.jsonl", "after.jsonl", "traces/other.jsonl"]:
        (tmp_path / path).write_bytes(recorded[1].read_bytes())


@pytest.mark.parametrize(("page", "command"), COMMANDS)
@pytest.mark.usefixtures("traces")
def test_a_pages_command_does_its_work(page, command):
    words = shlex.split(re.split(r"[|>]", command)[0])[1:]
    if words[0] in ("demo", "simulate", "probe", "guard", "fetch", "watch", "load", "move"):
        # These take their time, or need a server, and have tests of their own: here, their options
        # must exist.
        missing = [
            word
            for word in words
            if word.startswith("--") and word not in run(words[0], "--help").stdout
        ]
        assert missing == []
        return
    result = run(*words)
    differs = words[0] == "diff" and len(words) > 2
    assert (result.returncode, result.stderr) == (int(differs), "")


def test_what_is_generated_is_up_to_date():
    made = generate.generated().items()
    stale = [path.name for path, text in made if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run python docs/generate.py"


def test_every_generated_part_stands_on_a_page():
    used = re.findall(r"<!-- generated: ([\w ]+) -->", "\n".join(PAGES.values()))
    assert sorted(used) == sorted(generate.PARTS)


NAMED_LIKE_A_BOUND = re.compile(r"(MAX|MOST|LONGEST|LARGEST|DEEPEST|KEPT)(_[A-Z]+)*")


def test_every_bound_is_in_the_table():
    bounds = load(ROOT / "docs" / "bounds.py")
    told = {
        f"{getattr(module, '__name__', 'limits')}.{name}"
        for of_a_subject in bounds.BOUNDS.values()
        for bound in of_a_subject
        for module, name in bound.constants
    }
    found = {
        f"{module}.{target.id}"
        for file in sorted((ROOT / "phonic_fsm").rglob("*.py"))
        # None of these is part of an agent.
        if not {"simulator", "testing", "_probe", "_report", "_cli"} & set(file.parts)
        for module in [".".join(file.relative_to(ROOT).with_suffix("").parts)]
        for statement in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and NAMED_LIKE_A_BOUND.fullmatch(target.id)
    }
    assert found - told == bounds.BOUND_NOTHING.keys()
    counted = {bound.counted for of_a_subject in bounds.BOUNDS.values() for bound in of_a_subject}
    assert counted - {None} == set(get_args(Bound))


def test_the_options_page_has_every_argument_of_the_model():
    own = set(RealtimeModel.__init__.__annotations__) - {"return", "options"}
    assert [name for name in own if f"| `{name}` |" not in PAGES["options.md"]] == []


def test_every_page_is_in_the_index():
    lines = PAGES["index.md"].splitlines()
    listed = {f"{line.rpartition('<')[2].rstrip('>').strip()}.md" for line in lines}
    pages = {page.name for page in DOCS.glob("*.md")} - {"index.md"}
    assert sorted(pages - listed) == [], "put them into a toctree of docs/index.md"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    folder = DOCS if (DOCS / page).exists() else ROOT
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", PAGES[page])
    assert [target for target in targets if not (folder / target).exists()] == []


def test_the_reference_has_every_name_of_the_package():
    missing = [
        name
        for name in phonic_fsm.__all__
        if not re.search(rf"phonic_fsm\.{name}\b|`{name}`", PAGES["api.md"])
    ]
    assert missing == ["__version__"]


ABOUT_THE_INSIDE = {
    "architecture.md",
    "performance.md",
    "state-diagram.md",
    "by-state.md",
    "contributing.md",
    "CONTRIBUTING.md",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, text) for name, text in PAGES.items() if name not in ABOUT_THE_INSIDE),
        *(
            (path.name, path.read_text("utf-8"))
            for path in sorted((ROOT / "examples").glob("*.py"))
        ),
    ],
)
def test_users_are_shown_public_paths_only(name, text):
    assert re.findall(r"phonic_fsm[\w./]*[./]_\w+", text) == []


@pytest.fixture(scope="module")
def source() -> str:
    """All code of the package."""
    return "\n".join(path.read_text("utf-8") for path in (ROOT / "phonic_fsm").rglob("*.py"))


def test_the_names_on_the_architecture_page_are_in_the_code(source):
    """A function, class or event that was renamed leaves no walk that leads nowhere."""
    quoted = re.findall(r"`(?:\w+\.)?([A-Za-z]\w*)`", PAGES["architecture.md"])
    names = {name for name in quoted if "_" in name or not name.islower()}
    assert names
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", source)] == []


@pytest.mark.parametrize("page", ["architecture.md", "reliability.md"])
def test_the_files_that_a_page_names_are_there(page):
    there = [
        path.relative_to(ROOT).as_posix()
        for folder in ("phonic_fsm", "tests", "docs")
        for path in (ROOT / folder).rglob("*.py")
    ]
    files = set(re.findall(r"`(\w[\w/]*\.py)`", PAGES[page]))
    assert files
    assert [
        name for name in files if not any(f"/{path}".endswith(f"/{name}") for path in there)
    ] == []


def test_the_tests_that_the_page_on_durable_calls_names_are_there():
    named = set(re.findall(r"`(test_\w+)`", PAGES["durable.md"]))
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []


@pytest.mark.parametrize("name", ["agent", "dtmf"])
def test_the_example_agents_help_without_a_key(name):
    result = processes.run(sys.executable, ROOT / "examples" / f"{name}.py", "--help")
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


class Room(rtc.EventEmitter[str]):
    """Stands in for LiveKit's room, which needs a server: keeps the digits that are published."""

    def __init__(self) -> None:
        super().__init__()
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
