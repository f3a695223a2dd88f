"""A scenario of a recorded call: it has what the caller said and what Phonic did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, function_tool
from support import clock
from support.commands import assert_is_one_line_and_exit_2, run
from support.record_traces import TRACES
from support.written_traces import Told, assistant, caller, opening, tool, write

from phonic_fsm._core.events import CancelReply, ConnectionClosed, GenerateReply, Say
from phonic_fsm._wire import server
from phonic_fsm.simulator import (
    Call,
    PhonicSimulator,
    Scenario,
    Turn,
    load_scenario,
    scenario_of,
)
from phonic_fsm.simulator._recorded import as_json
from phonic_fsm.testing import PhoneCall

MYSTERY = Path(__file__).parents[2] / "examples" / "traces" / "mystery.jsonl"


def recorded(path: Path, *told: Told) -> Scenario:
    return scenario_of(write(path / "call.jsonl", [*opening(), *told], close=60.0))


def test_each_turn_has_what_was_said_and_how_it_was_answered(tmp_path):
    scenario = recorded(
        tmp_path,
        *assistant(1.0, "Good ", "morning."),
        *caller(2.0, 3.0, "Hello?"),
        *assistant(3.5, "How can ", "I help?"),
        *caller(6.0, 7.0, "Goodbye."),
        *assistant(7.5, "Goodbye."),
    )
    assert scenario.welcome == "Good morning."
    assert scenario.turns == (
        Turn(caller="Hello?", assistant="How can I help?"),
        Turn(caller="Goodbye.", assistant="Goodbye."),
    )


def test_a_tool_is_called_with_its_arguments_and_its_output_is_spoken_about(tmp_path):
    scenario = recorded(
        tmp_path,
        *caller(2.0, 3.0, "How is the weather?"),
        *assistant(3.5, "One moment."),
        *tool(4.0, 6.0, output="sunny"),
        *assistant(6.5, "It is sunny."),
    )
    call = Call(tool="get_weather", parameters={"city": "Paris"}, then="It is {output}.")
    assert scenario.turns == (
        Turn(caller="How is the weather?", assistant="One moment.", calls=(call,)),
    )


def test_an_interruption_comes_when_it_came(tmp_path):
    scenario = recorded(
        tmp_path,
        *caller(2.0, 3.0, "Tell me a story."),
        *assistant(3.4, "Once upon a time"),
        (5.0, server.UserStartedSpeaking()),
        (5.0, server.InterruptedResponse("Once")),
        (5.5, server.UserFinishedSpeaking()),
        (5.5, server.InputText("Stop.")),
    )
    assert scenario.turns == (
        Turn(caller="Tell me a story.", assistant="Once upon a time", interrupt_after_ms=1500),
        Turn(caller="Stop."),
    )


def test_what_the_agent_asked_for_is_a_reply_and_what_it_said_is_its_own(tmp_path):
    scenario = recorded(
        tmp_path,
        (1.0, GenerateReply("reply_1")),
        *assistant(1.2, "Welcome."),
        (2.0, Say("reply_2", "Hold the line.")),
        *assistant(2.2, "Hold the line."),
        *caller(4.0, 5.0, "Yes?"),
        *assistant(5.5, "Here I am."),
    )
    assert scenario.replies == ("Welcome.",)
    assert scenario.turns == (Turn(caller="Yes?", assistant="Here I am."),)
    assert scenario.welcome is None


def test_what_was_typed_is_no_turn_of_the_callers_though_phonic_repeats_it():
    scenario = scenario_of(TRACES / "user_text.jsonl")
    assert scenario.turns == ()
    assert scenario.replies == ("Yes.",)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (server.Dtmf("12#"), {"dtmf": "12#"}),
        (server.Error(server.Problem("bad")), {"error": server.Problem("bad")}),
        (server.Warning(server.Problem("hm", "slow")), {"warning": server.Problem("hm", "slow")}),
        (server.AssistantEndedConversation(), {"end": True}),
        (ConnectionClosed(1006), {"drop": True}),
        (ConnectionClosed(1012, "restart"), {"close": 1012}),
    ],
)
def test_faults_are_part_of_the_turn(event, field, tmp_path):
    scenario = recorded(tmp_path, *caller(2.0, 3.0, "Hello?"), (3.5, event))
    assert scenario.turns == (Turn(caller="Hello?", **field),)


def test_a_turn_that_was_taken_back_is_one(tmp_path):
    scenario = recorded(
        tmp_path,
        (2.0, server.UserStartedSpeaking()),
        (2.2, server.InputCancelled()),
        (2.5, CancelReply("none")),
        *caller(4.0, 5.0, "Hello?"),
    )
    assert scenario.turns == (Turn(cancelled=True), Turn(caller="Hello?"))


@pytest.mark.parametrize("path", [MYSTERY, *sorted(TRACES.glob("*.jsonl"))], ids=lambda p: p.stem)
def test_every_trace_has_a_scenario_that_can_be_read_again(path, tmp_path):
    scenario = scenario_of(path)
    file = tmp_path / "scenario.json"
    file.write_bytes(as_json(scenario))
    assert load_scenario(file) == scenario


class Concierge(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are the concierge.")
        self.guests: list[int] = []

    @function_tool
    async def find_table(self, guests: int) -> str:
        """Find a table.

        Args:
            guests: How many guests come.
        """
        self.guests.append(guests)
        return "There is no table."


@pytest.fixture
def anyio_backend():
    """What is waited for takes a quarter of its time."""
    return clock.backend(speed=4)


@pytest.mark.anyio
async def test_todays_agent_has_the_call_again(make_model):
    scenario = scenario_of(MYSTERY)
    async with PhonicSimulator(scenario) as phonic:
        session: AgentSession[Any] = AgentSession(
            llm=make_model(base_url=phonic.url, generate_welcome_message=True)
        )
        agent = Concierge()
        async with PhoneCall(session, agent) as call:
            await call.play(scenario)
        said = [item.text_content for item in session.history.items if item.type == "message"]
    assert agent.guests == [2]
    assert said[0] == "Hotel Miramar, good evening. How can I help?"
    assert "There is no table." in said, "the tool of today, in the call of then"
    assert said[-1] == "With pleasure. See you tonight!"


# -- the command ---------------------------------------------------------------------------------


def test_the_command_prints_it_or_writes_a_file_that_is_not_there(tmp_path):
    printed = run("scenario", MYSTERY)
    assert printed.returncode == 0
    out = tmp_path / "scenario.json"
    assert run("scenario", MYSTERY, "--out", out).returncode == 0
    assert out.read_text() == printed.stdout
    again = run("scenario", MYSTERY, "--out", out)
    assert_is_one_line_and_exit_2(again, says="is there already; name another file")


def test_the_command_names_a_file_that_is_no_trace(tmp_path):
    missing = tmp_path / "missing.jsonl"
    assert_is_one_line_and_exit_2(run("scenario", missing), says="No such file or directory")
