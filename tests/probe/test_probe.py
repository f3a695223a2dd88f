"""The probe finds out which variant of each doubt the simulator plays, and says what it cannot."""

from __future__ import annotations

import io
import json
from functools import partial
from http import HTTPStatus

import anyio
import pytest
from support.clock import PatientLoop
from support.commands import assert_is_one_line_and_exit_2, run, run_process, start
from support.scripted import KEY, PhonicServer

from phonic_fsm._probe import UNPROBED, Finding, Refused, Transcript, _experiments, probe
from phonic_fsm._probe._experiments import EXPERIMENTS
from phonic_fsm._runtime.endpoint import Endpoint
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm.simulator import DOUBTS, Doubts, PhonicSimulator, Scenario

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """A call takes a twentieth of its time."""
    return "asyncio", {"loop_factory": partial(PatientLoop, speed=20)}


@pytest.fixture(autouse=True)
def _the_simulator_is_quick(monkeypatch):
    monkeypatch.setattr(_experiments, "SOON", 0.6)


async def findings(doubts: Doubts, *only: str, scenario: Scenario | str = "probe", **options):
    found: list[Finding] = []
    async with PhonicSimulator(scenario, doubts=doubts) as simulator:
        endpoint = Endpoint(KEY, simulator.url)
        await probe(endpoint, Transcript(io.StringIO()), found.append, only=only, **options)
    return found


def test_every_doubt_has_an_experiment_or_a_reason():
    probed = [doubt for experiment in EXPERIMENTS for doubt in experiment.about]
    assert sorted([*probed, *UNPROBED]) == sorted(doubt.name for doubt in DOUBTS)


async def test_each_variant_is_told():
    told: dict[tuple[str, ...], str | None] = {}

    async def ask(doubts: Doubts) -> None:
        (choice,) = doubts.differences()
        (finding,) = await findings(doubts, choice.partition("=")[0], agent="concierge")
        told[doubts.differences()] = f"{finding.doubt}={finding.variant}"

    async with anyio.create_task_group() as tasks:
        for doubts in Doubts.each_variant():
            if doubts.differences()[0].partition("=")[0] not in UNPROBED:
                tasks.start_soon(ask, doubts)
    assert {choices: choices[0] for choices in told} == told
    assert len(told) == sum(len(d.variants) - 1 for d in DOUBTS if d.name not in UNPROBED)


async def test_each_default_is_told():
    found = await findings(Doubts(), agent="concierge")
    assert {f.doubt: f.variant for f in found} == {
        doubt.name: None if doubt.name in UNPROBED else doubt.default for doubt in DOUBTS
    }


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_told_is_true_whatever_else_is_the_case(seed):
    doubts = Doubts.at_random(seed)
    found = await findings(doubts, agent="concierge")
    wrong = [f for f in found if f.variant not in (None, getattr(doubts, f.doubt))]
    assert wrong == []
    assert all(f.because for f in found if f.variant is None)


async def test_what_cannot_be_told_is_said():
    silent = Scenario()
    (welcome,) = await findings(Doubts(), "null_welcome", scenario=silent)
    assert welcome == Finding(
        "null_welcome", None, "it needs an agent with a welcome of its own: name one with --agent"
    )
    (welcome,) = await findings(Doubts(), "null_welcome", scenario=silent, agent="nobody")
    assert welcome.because == "the agent nobody has no welcome"
    (output,) = await findings(Doubts(), "async_output", scenario=silent)
    assert output.because == "a call of the tool did not come within 15 s"


async def test_a_close_code_that_is_no_variant_is_named(server):
    found: list[Finding] = []
    async with anyio.create_task_group() as tasks:
        endpoint = Endpoint(KEY, server.url)
        transcript = Transcript(io.StringIO())
        tasks.start_soon(partial(probe, endpoint, transcript, found.append, only=["idle_close"]))
        peer = await server.accept()
        await peer.open_conversation()
        await peer.close(4321)
    assert found == [
        Finding("idle_close", None, "it is 4321, which is none of 4000, 1000, 1001, 1011, drop")
    ]


async def test_every_message_is_written_and_the_key_is_not(tmp_path):
    file = io.StringIO()
    async with PhonicSimulator("probe") as simulator:
        await probe(Endpoint(KEY, simulator.url), Transcript(file), lambda _: None, only=["error"])
        (conversation,) = simulator.conversations
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    kinds = [(line["way"], line["type"]) for line in lines]
    assert kinds[:4] == [
        ("out", "config"),
        ("in", "connection_opened"),
        ("in", "conversation_created"),
        ("in", "ready_to_start_conversation"),
    ]
    assert ("in", "error") in kinds
    assert {"audio": {"ms": 200, "loud": False}}.items() <= lines[
        kinds.index(("out", "audio_chunk"))
    ].items()
    assert conversation.conversation_id in file.getvalue()
    assert KEY not in file.getvalue()


async def refusal_by(server: PhonicServer) -> str:
    with pytest.raises(Refused) as refused:
        await probe(Endpoint(KEY, server.url), Transcript(io.StringIO()), lambda _: None)
    return str(refused.value)


async def test_a_refused_handshake_ends_it(server):
    server.refuse = HTTPStatus.UNAUTHORIZED
    assert (await refusal_by(server)).startswith("Phonic refused the connection with HTTP 401")


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (phonic.Error(phonic.Problem("no such voice")), "refused the configuration: no such voice"),
        (phonic.Error(phonic.Problem(f"bad {KEY}")), "refused the configuration: bad ***"),
        (None, "closed the connection (4003: no credits left)"),
    ],
)
async def test_a_refused_config_ends_it(says, reason, server):
    async def refuse() -> None:
        peer = await server.accept()
        await peer.expect(client.Config)
        if says is not None:
            await peer.send(says)
        await peer.close(4003, "no credits left")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refuse)
        assert reason in await refusal_by(server)


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("PHONIC_API_KEY", KEY)


@pytest.mark.usefixtures("key")
def test_the_command_prints_what_it_finds(tmp_path):
    with start(
        "simulate", "--port", 0, "--scenario", "probe", "--doubt", "error=closes"
    ) as process:
        url = process.stdout.readline().split()[3]
        arguments = ("--base-url", url, "--only", "error", "--only", "opening")
        result = run_process("probe", *arguments, "--out", "probe.jsonl", cwd=tmp_path)
        again = run_process("probe", *arguments, "--out", "probe.jsonl", cwd=tmp_path)
        process.terminate()
        process.communicate()
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "opening                     created_first",
        "error                       closes",
        "",
        "2 of 2 are told; every message is in probe.jsonl",
        "the simulator does the same with: phonic-fsm simulate --doubt error=closes",
    ]
    assert_is_one_line_and_exit_2(again, says="probe.jsonl is there already")


@pytest.mark.usefixtures("key")
def test_the_command_says_why_phonic_refuses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("probe", "--base-url", "ws://127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.startswith("phonic-fsm: no connection to ws://127.0.0.1:1: ")
    assert len(result.stderr.splitlines()) == 1


def test_the_command_needs_a_key():
    assert_is_one_line_and_exit_2(run("probe"), says="PHONIC_API_KEY is not set")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [(f"\ufeff{KEY}", "character 1 is an invisible one (U+FEFF)"), (" ", "key is required")],
)
def test_a_key_that_cannot_work_is_refused_and_not_shown(wrong, says, monkeypatch):
    monkeypatch.setenv("PHONIC_API_KEY", wrong)
    result = run("probe")
    assert_is_one_line_and_exit_2(result, says=says)
    assert KEY not in result.stderr


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--base-url", "https://api.phonic.ai"), "base_url must be a websocket URL"),
        (("--only", "weather"), "no doubt is named 'weather'; there are opening, "),
        (("--base-url", "wss://api.phonic.ai?token=t"), "base_url must end before the query"),
        (("--out", "nowhere/probe.jsonl"), "nowhere/probe.jsonl: No such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments, says):
    assert_is_one_line_and_exit_2(run("probe", *arguments), says=says)
