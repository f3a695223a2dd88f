"""How a turn of the assistant ends if Phonic does not say that it is over."""

from __future__ import annotations

import pytest

from phonic_fsm._core import effects, events, timers
from phonic_fsm._core.context import Settings
from phonic_fsm._core.history import FunctionCallOutput
from phonic_fsm._core.machine import SessionMachine, Step
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions

SECOND = b"\0\0" * 24_000


@pytest.fixture
def machine() -> SessionMachine:
    """A session whose conversation is open."""
    config = ConfigOptions(output_format="pcm_24000")
    machine = SessionMachine(Settings(id_seed="seed", config=config))
    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=()),
        events.ConnectionOpened(),
        phonic.ReadyToStartConversation(),
    ):
        machine.step(event)
    return machine


def wait_in(step: Step) -> list[float]:
    """For how long the step has the machine wait for more of a turn."""
    return [
        effect.seconds
        for effect in step.effects
        if isinstance(effect, effects.StartTimer) and effect.event == timers.TURN_OVERDUE
    ]


def test_a_stalled_answer_is_played_first(machine: SessionMachine) -> None:
    assert wait_in(machine.step(phonic.AssistantStartedSpeaking())) == [10.0]
    for _ in range(3):
        machine.step(phonic.AudioChunk(SECOND, "One "))
    assert wait_in(machine.step(events.TurnOverdue())) == [13.0]
    machine.step(phonic.AudioChunk(SECOND, "two."))
    assert wait_in(machine.step(events.TurnOverdue())) == [11.0]
    assert machine.state.value == "speaking"
    machine.step(events.TurnOverdue())
    assert machine.state.value == "ready"


def test_an_answer_that_is_announced_and_never_comes_is_closed(machine: SessionMachine) -> None:
    machine.step(phonic.AssistantStartedSpeaking())
    machine.step(events.TurnOverdue())
    assert machine.state.value == "ready"


def test_the_end_of_the_turn_with_the_call_does_not_end_the_answer(machine: SessionMachine) -> None:
    output = FunctionCallOutput("item_1", "call_1", "get_weather", "sunny")
    for event in (
        phonic.AssistantStartedSpeaking(),
        phonic.AudioChunk(SECOND, "One moment."),
        phonic.ToolCall("call_1", "get_weather", {}),
        events.UpdateChatContext(added=(events.Addition(None, output),)),
        phonic.ToolCallOutputProcessed(tool_call_id="call_1"),
    ):
        step = machine.step(event)
    [opened] = [one for one in step.effects if isinstance(one, effects.OpenGeneration)]
    assert machine.step(phonic.AssistantFinishedSpeaking()).effects == []
    machine.step(phonic.AssistantStartedSpeaking())
    machine.step(phonic.AudioChunk(SECOND, "It is sunny."))
    step = machine.step(phonic.AssistantFinishedSpeaking())
    assert effects.CloseGeneration(opened.response_id) in step.effects


def test_chunks_are_dropped_for_a_while_after_a_reset(machine: SessionMachine) -> None:
    machine.step(phonic.AssistantStartedSpeaking())
    machine.step(events.UpdateSession(instructions="Do the billing.", items=()))
    assert wait_in(machine.step(events.ChangesDue())) == [timers.ON_THE_WAY]
    machine.step(phonic.AudioChunk(SECOND, "late"))
    assert machine.state.value == "ready"
    machine.step(events.TurnOverdue())
    machine.step(phonic.AudioChunk(SECOND, "Are you there?"))
    assert machine.state.value == "speaking"
