"""What the package gives to those who test an agent: traces as tests, and the phone."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
from livekit.agents import Agent, AgentSession, llm
from support import clock, processes

from phonic_fsm import RealtimeModel, testing
from phonic_fsm._wire import server as phonic
from phonic_fsm.testing import (
    PhoneCall,
    PhonicSimulator,
    Scenario,
    TraceError,
    Turn,
    assert_replays,
    replay,
)

pytest_plugins = ["pytester"]

TRACES = Path(__file__).parent.parent / "traces"


@pytest.fixture
def anyio_backend():
    """What is waited for takes a quarter of its time."""
    return clock.backend(speed=4)


def altered(line: int, old: str, new: str) -> str:
    """A recorded call with one line changed."""
    lines = (TRACES / "normal_turn.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    return "".join(lines)


# -- assert_replays ------------------------------------------------------------------------------


def test_a_trace_that_the_machine_still_makes_replays():
    assert_replays(TRACES / "tool_call.jsonl")
    steps = list(replay(TRACES / "tool_call.jsonl"))
    assert steps[-1].step.target == steps[-1].line.target == "closed"


def test_a_divergence_says_where_and_what(tmp_path):
    path = tmp_path / "call.jsonl"
    path.write_text(altered(6, '"gate":"open"', '"gate":"h\\u001b[2Jolding"'), encoding="utf-8")
    with pytest.raises(AssertionError) as raised:
        assert_replays(path)
    assert str(raised.value).splitlines() == [
        f"{path}: the machine diverges at step 5: effects[1].gate",
        "  event     ready_to_start_conversation, in config_sent",
        '  expected  "h\\u001b[2Jolding"',
        '  got       "open"',
    ]


def test_what_is_no_trace_is_no_failed_assertion(tmp_path):
    (tmp_path / "call.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(TraceError, match="line 1 is not a trace's header"):
        assert_replays(tmp_path / "call.jsonl")


def test_every_public_name_is_there():
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'mock'"):
        testing.mock  # noqa: B018


# -- the plugin ----------------------------------------------------------------------------------


@pytest.fixture
def traces(pytester, monkeypatch) -> Path:
    """A directory with two traces that replay, one below the other, and a test of another kind."""
    # Hypothesis loads itself at the end of every run, for a second.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    directory: Path = pytester.mkdir("traces")
    whole = (TRACES / "normal_turn.jsonl").read_bytes()
    (directory / "one.jsonl").write_bytes(whole)
    (directory / "monday").mkdir()
    (directory / "monday" / "two.jsonl").write_bytes((TRACES / "tool_call.jsonl").read_bytes())
    (directory / "test_other.py").write_text("def test_other(): raise SystemError\n")
    return directory


def test_each_trace_is_a_test(pytester, traces):
    result = pytester.runpytest("-v", "--phonic-traces", "traces", "traces/monday")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*collected 2 items",
            "traces/one.jsonl::replays PASSED*",
            "traces/monday/two.jsonl::replays PASSED*",
        ]
    )


def test_traces_come_beside_the_tests_that_are_there(pytester, traces):
    pytester.makepyfile(test_mine="def test_mine(): pass")
    pytester.runpytest("--phonic-traces=traces", "test_mine.py").assert_outcomes(passed=3)


def test_traces_can_be_chosen_as_other_tests(pytester, traces):
    result = pytester.runpytest("--phonic-traces=traces", "-k", "two", "traces/monday")
    result.assert_outcomes(passed=1, deselected=1)


def test_a_trace_below_two_named_directories_is_one_test(pytester, traces):
    arguments = ["--phonic-traces=traces", "--phonic-traces=traces/monday", "traces/monday"]
    pytester.runpytest(*arguments).assert_outcomes(passed=2)


def test_the_workers_of_xdist_find_the_same_traces(pytester, traces):
    result = pytester.runpytest_subprocess("-n", "2", "--phonic-traces=traces", "traces/monday")
    result.assert_outcomes(passed=2)


def test_a_trace_that_diverges_fails_with_the_difference_alone(pytester, traces):
    changed = altered(6, '"gate":"open"', '"gate":"closed"')
    (traces / "changed.jsonl").write_text(changed, encoding="utf-8")
    result = pytester.runpytest("--phonic-traces=traces", "traces/monday")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "___* traces/changed.jsonl *___",
            "*changed.jsonl: the machine diverges at step 5: effects[[]1].gate",
            '*expected  "closed"',
            '*got       "open"',
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*plugin.py*")


def test_a_file_that_is_no_trace_fails_with_the_reason_alone(pytester, traces):
    (traces / "broken.jsonl").write_text("nonsense\n", encoding="utf-8")
    result = pytester.runpytest("--phonic-traces=traces", "traces/monday")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*broken.jsonl: line 1 is not a trace's header: *"])
    result.stdout.no_fnmatch_line("*plugin.py*")


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("nowhere", "ERROR: --phonic-traces: there is no directory *nowhere"),
        ("call.jsonl", "ERROR: --phonic-traces: there is no directory *call.jsonl"),
        ("empty", "ERROR: --phonic-traces: there is no [*].jsonl or [*].jsonl.gz in *empty"),
    ],
)
def test_a_directory_without_traces_is_a_usage_error(named, problem, pytester):
    pytester.mkdir("empty")
    (pytester.path / "call.jsonl").touch()
    result = pytester.runpytest("--phonic-traces", named)
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([problem])
    assert len(result.stderr.lines) <= 2


def test_the_directory_is_the_one_that_the_caller_sees(pytester, traces, monkeypatch):
    pytester.makeini("[pytest]\n")
    monkeypatch.chdir(traces)
    pytester.runpytest("--phonic-traces=monday", "monday").assert_outcomes(passed=1)


def test_the_plugin_loads_nothing_that_is_not_used(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_what_is_loaded():
            assert "phonic_fsm.testing._plugin" in sys.modules
            heavy = ("livekit", "numpy", "transitions", "websockets", "msgspec")
            assert [name for name in heavy if name in sys.modules] == []
        """
    )
    pytester.runpytest_subprocess("-p", "no:anyio").assert_outcomes(passed=1)


def test_a_replay_does_not_load_livekit():
    code = (
        "import sys; from phonic_fsm.testing import assert_replays; "
        f"assert_replays({str(TRACES / 'welcome.jsonl')!r}); "
        "sys.exit('livekit' in sys.modules)"
    )
    assert processes.run(sys.executable, "-c", code).returncode == 0


# -- the phone -----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_fixtures_simulator_is_found_while_it_runs(phonic_simulator):
    with pytest.raises(ValueError, match="API key is required"):
        RealtimeModel()
    async with phonic_simulator("small-talk", grace_s=1.0) as simulator:
        session = RealtimeModel().session()
        try:
            await session.update_instructions("Be kind.")
            await session.update_tools([])
            with anyio.fail_after(5):
                await simulator.wait_for(lambda: bool(simulator.conversations))
        finally:
            await session.aclose()
    with pytest.raises(ValueError, match="API key is required"):
        RealtimeModel()


@pytest.mark.anyio
async def test_an_answer_that_never_comes_uses_the_patience_up():
    silent = Scenario(turns=(Turn(caller="Hm."),))
    async with PhonicSimulator(silent) as simulator:
        session = AgentSession(llm=RealtimeModel(api_key="any", base_url=simulator.url))
        agent = Agent(instructions="Be kind.")
        async with PhoneCall(session, agent, patience=0.1) as call:
            await call.say("Hm.")
            with pytest.raises(TimeoutError):
                await call.until_answer()


@pytest.mark.anyio
async def test_a_call_that_ends_keeps_nobody_waiting():
    goodbye = Scenario(turns=(Turn(caller="Bye.", end=True), Turn(caller="?", assistant="!")))
    async with PhonicSimulator(goodbye) as simulator:
        session = AgentSession(llm=RealtimeModel(api_key="any", base_url=simulator.url))
        async with PhoneCall(session, Agent(instructions="Be kind.")) as call:
            await call.play(goodbye)
            assert call.over
    assert simulator.conversations[0].connections == 1


@pytest.mark.anyio
async def test_a_caller_stops_when_the_call_ends():
    async with PhonicSimulator(Scenario(turns=(Turn(caller="Hm."),))) as simulator:
        session = AgentSession(llm=RealtimeModel(api_key="any", base_url=simulator.url))
        async with PhoneCall(session, Agent(instructions="Be kind.")) as call:
            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(call.say, "And so on. " * 100)
                    await simulator.wait_for(
                        lambda: any(
                            isinstance(message, phonic.UserStartedSpeaking)
                            for conversation in simulator.conversations
                            for message in conversation.sent
                        )
                    )
                    await simulator.close(1000)


@pytest.mark.anyio
async def test_a_session_without_a_model_is_refused():
    session = AgentSession()
    with pytest.raises(RuntimeError):
        async with PhoneCall(session, Agent(instructions="Be kind.")):
            pass


@pytest.mark.anyio
async def test_a_caller_is_not_heard_while_the_audio_input_is_disabled():
    talk = Scenario(turns=(Turn(caller="Hello?", assistant="Hello."),))
    async with PhonicSimulator(talk) as simulator:
        session = AgentSession(llm=RealtimeModel(api_key="any", base_url=simulator.url))
        async with PhoneCall(session, Agent(instructions="Be kind.")) as call:
            await call.until_quiet()
            [conversation] = simulator.conversations
            session.input.set_audio_enabled(False)
            await call.say("Can you hear me?")
            assert not any(isinstance(m, phonic.UserStartedSpeaking) for m in conversation.sent)
            session.input.set_audio_enabled(True)
            await call.say("And now?")
            await call.until_answer()
            started = [m for m in conversation.sent if isinstance(m, phonic.UserStartedSpeaking)]
            assert len(started) == 1


@pytest.mark.anyio
async def test_a_call_goes_on_behind_a_fallback_adapter():
    first = Scenario(turns=(Turn(caller="Hello?", assistant="I am the first.", close=4000),))
    second = Scenario(turns=(Turn(caller="Hello?", assistant="I am the second."),))
    async with PhonicSimulator(first) as one, PhonicSimulator(second) as other:
        models: list[llm.RealtimeModel] = [
            RealtimeModel(api_key="any", base_url=sim.url) for sim in (one, other)
        ]
        session = AgentSession(llm=llm.RealtimeModelFallbackAdapter(models))
        async with PhoneCall(session, Agent(instructions="Be kind.")) as call:
            before = call.phonic
            await call.say("Hello?")
            await call.until_answer()
            await other.wait_for(lambda: bool(other.conversations))
            await call.until_quiet()
            assert not call.over
            assert call.phonic is not before
            await call.say("Hello?")
            await call.until_answer()
            await call.until_quiet()
        said = [m for m in session.history.items if m.type == "message" and m.role == "assistant"]
        assert [m.text_content for m in said][-1] == "I am the second."
