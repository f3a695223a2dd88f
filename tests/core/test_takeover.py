"""A session goes on in another process, from wherever the one before it died."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.machines import conversing
from support.record_traces import TRACES

from phonic_fsm._core import effects, events, memory, timers
from phonic_fsm._core.context import Context, Settings
from phonic_fsm._core.history import FunctionCall, FunctionCallOutput, Message
from phonic_fsm._core.machine import SessionMachine, Step
from phonic_fsm._core.prompt import OUTCOME_UNKNOWN, SOMEBODY_WAS_CUT_OFF, SPOKE_INTO_GAP
from phonic_fsm._core.states import CONVERSING, State
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions
from phonic_fsm.trace import TraceReader
from phonic_fsm.trace._format import event_from, recorded_effects

RECORDED = sorted(TRACES.glob("*.jsonl"))
PROCESSED = (phonic.ToolCallOutputProcessed, phonic.ToolCallInterrupted)


def in_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def copy_of(machine: SessionMachine) -> SessionMachine:
    """What a recovery makes of what a checkpoint of the machine holds."""
    kept = in_json(memory.encode(machine.context))
    return SessionMachine.from_memory(kept, machine.context.settings)


def prefixes(path: Path) -> Iterator[tuple[list[Step], SessionMachine]]:
    """The machine after each step of a recorded call, and the steps so far.

    Of chunks of audio that follow each other, the first will do.
    """
    reader = TraceReader(path)
    machine = SessionMachine(reader.header.settings)
    steps: list[Step] = []
    for line in reader:
        event = event_from(line.event)
        more = steps and type(event) is type(steps[-1].event) is phonic.AudioChunk
        steps.append(machine.step(event))
        if not more:
            yield steps, machine


def sent(steps: list[Step], kind: type[Any] | tuple[type[Any], ...]) -> list[Any]:
    return [
        effect.message
        for step in steps
        for effect in step.effects
        if isinstance(effect, effects.Send) and isinstance(effect.message, kind)
    ]


def outputs_over(steps: list[Step]) -> set[str]:
    """The calls that Phonic has said are over."""
    return {step.event.tool_call_id for step in steps if isinstance(step.event, PROCESSED)}


def go_on(machine: SessionMachine, *, lost_for: float = 1.0, repeatable: tuple[str, ...] = ()):
    """Take over, have the same agent arrive, and open the connection."""
    context = machine.context
    steps = [machine.step(events.TakeOver(lost_for=lost_for, repeatable=repeatable))]
    if machine.state in (State.closed, State.last_words):
        return steps
    steps.append(
        machine.step(
            events.UpdateSession(
                instructions=context.instructions or "",
                tools=context.tools or (),
                items=tuple(context.history),
            )
        )
    )
    steps.append(machine.step(events.ConnectionOpened()))
    if machine.state is State.reconnecting:
        steps.append(machine.step(phonic.ConversationReconnected()))
    else:
        steps.append(machine.step(phonic.ConversationCreated("conv_2")))
        steps.append(machine.step(phonic.ReadyToStartConversation()))
    return steps


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_memory_that_was_kept_goes_on_as_the_machine_does(path):
    reader = TraceReader(path)
    machine = SessionMachine(reader.header.settings)
    for line in reader:
        copy = copy_of(machine)
        event = event_from(line.event)
        assert recorded_effects(copy.step(event)) == recorded_effects(machine.step(event))
        assert memory.encode(copy.context) == memory.encode(machine.context)


@pytest.mark.parametrize("lost_for", [1.0, timers.GRACE], ids=["in_time", "too_late"])
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_call_goes_on_from_every_step_of_a_recorded_one(path, lost_for):
    for before, machine in prefixes(path):
        if machine.state in (State.closed, State.last_words):
            continue
        was, then = machine.context, copy_of(machine)
        steps = go_on(then, lost_for=lost_for)

        assert then.state in CONVERSING, f"after {before[-1].event}"
        kept = [item for item in then.context.history if item in list(was.history)]
        assert kept == list(was.history), "nothing that was said is lost, and the order is kept"
        assert then.context.history.unanswered() == [], "each call has an output"
        given = [output.tool_call_id for output in sent(steps, client.ToolCallOutput)]
        assert len(set(given)) == len(given), "each output goes out once"
        assert not set(given) & outputs_over(before)
        resumed = [e.resume for s in steps for e in s.effects if isinstance(e, effects.Connect)]
        began = was.state not in (State.connecting, State.awaiting_inputs, State.config_sent)
        in_time = began and was.conversation_id and lost_for < timers.GRACE
        assert resumed == [was.conversation_id if in_time else None]
        configs = sent(steps, client.Config)
        assert len(configs) == (0 if in_time else 1)
        for config in configs:
            assert not (began and config.welcome_message), "nobody is greeted twice"
        asked = sent(steps, client.GenerateReply)
        assert len(asked) <= 1, "Phonic is asked to go on once"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_nothing_is_due_of_what_was_open_in_the_process_before(path):
    for _, machine in prefixes(path):
        if machine.state is State.closed:
            continue
        then = copy_of(machine)
        step = then.step(events.TakeOver(lost_for=1.0))
        context = then.context
        assert (context.generation, context.unclaimed) == (None, None)
        assert not context.caller_speaks
        assert context.opening == "over"
        assert context.reply is None or context.reply.request_id is None
        started = {e.event for e in step.effects if isinstance(e, effects.StartTimer)}
        assert ("grace_over" in started) == (then.state is State.reconnecting)
        assert ("echo_over" in started) == bool(context.typed_sent)


@pytest.mark.parametrize(("cause", "told"), [("death", 1), ("move", 0)])
def test_in_a_move_the_caller_who_speaks_is_not_asked_to_repeat(cause, told):
    machine = next(
        machine
        for path in RECORDED
        for _, machine in prefixes(path)
        if machine.state is State.listening and not machine.context.push_to_talk
    )
    then = copy_of(machine)
    then.step(events.TakeOver(cause=cause, lost_for=0.2))
    assert then.context.held.count(client.AddSystemMessage(SPOKE_INTO_GAP)) == told


# -- what is owed to the caller ----------------------------------------------------------------


def newest(machine: SessionMachine) -> str:
    """The id of the last item of the history."""
    newest = machine.context.history.last_id
    assert newest is not None
    return newest


def machine_in(*more: events.Event) -> SessionMachine:
    machine = conversing(Settings(id_seed="seed"))
    for event in more:
        machine.step(event)
    return machine


SPEAKS = (phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"\0\0" * 480, "Good morning. "))
FINISHED = phonic.AssistantFinishedSpeaking()
CALLED = phonic.ToolCall("call_1", "weather")


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(SPEAKS, id="in mid-sentence"),
        pytest.param((phonic.AssistantStartedSpeaking(),), id="before the first word"),
        pytest.param((phonic.UserStartedSpeaking(),), id="while the caller speaks"),
        pytest.param((phonic.InputText("Hello?"),), id="when the caller has spoken"),
        pytest.param((events.GenerateReply("reply_1"),), id="when a reply was asked for"),
        pytest.param((CALLED,), id="while a tool runs"),
    ],
)
def test_phonic_is_asked_at_once_and_once(situation):
    machine = machine_in(*situation)
    steps = go_on(machine)
    asked = sent(steps, client.GenerateReply)
    answered = sent(steps, client.ToolCallOutput)
    # Phonic answers an output by itself.
    assert len(asked) + len(answered) == 1
    assert sent([machine.step(SPEAKS[0])], object) == []
    assert machine.context.reply is None


def test_an_answer_that_was_played_to_its_end_is_not_continued():
    machine = machine_in(*SPEAKS, FINISHED)
    assert sent(go_on(machine), client.GenerateReply) == []


def test_what_was_not_played_is_taken_back_and_phonic_is_told():
    machine = machine_in(*SPEAKS, phonic.AudioChunk(b"\0\0" * 480, "How can I help you?"), FINISHED)
    spoken = newest(machine)
    unheard = events.Unheard(spoken, "Good morning. ", 0.02)
    steps = [machine.step(events.TakeOver(lost_for=1.0, unheard=(unheard,)))]
    steps.append(machine.step(events.ConnectionOpened()))
    steps.append(machine.step(phonic.ConversationReconnected()))
    assert list(machine.context.history) == [
        Message(spoken, "assistant", "Good morning. ", interrupted=True)
    ]
    told = sent(steps, client.AddSystemMessage)
    assert [("Good morning" in m.system_message, "help" in m.system_message) for m in told] == [
        (True, False)
    ]
    assert len(sent(steps, client.GenerateReply)) == 1


def test_an_answer_of_which_nothing_was_heard_is_taken_out():
    machine = machine_in(*SPEAKS, FINISHED)
    unheard = events.Unheard(newest(machine), "", 0.0)
    machine.step(events.TakeOver(lost_for=1.0, unheard=(unheard,)))
    assert list(machine.context.history) == []


def test_the_outcome_of_a_tool_that_ran_is_unknown():
    machine = machine_in(CALLED)
    steps = go_on(machine)
    assert sent(steps, client.ToolCallOutput) == [client.ToolCallOutput("call_1", OUTCOME_UNKNOWN)]
    output = list(machine.context.history)[-1]
    assert isinstance(output, FunctionCallOutput)
    assert output.is_error
    # Phonic answers the output by itself.
    assert sent(steps, client.GenerateReply) == []


def pushed(steps: list[Step]) -> list[effects.PushFunctionCall]:
    kind = effects.PushFunctionCall
    return [e for step in steps for e in step.effects if isinstance(e, kind)]


@pytest.mark.parametrize("lost_for", [1.0, timers.GRACE], ids=["resumed", "afresh"])
def test_a_tool_that_may_be_repeated_runs_again_under_the_same_id(lost_for):
    machine = machine_in(CALLED)
    [call] = [item for item in machine.context.history if isinstance(item, FunctionCall)]
    steps = go_on(machine, lost_for=lost_for, repeatable=("weather",))
    assert [(again.id, again.call_id) for again in pushed(steps)] == [(call.id, "call_1")]
    assert isinstance(steps[-1].event, phonic._ServerMessage), "LiveKit is ready by then"
    assert sent(steps, client.ToolCallOutput) == []
    output = FunctionCallOutput("out", "call_1", "weather", "sunny")
    added = events.UpdateChatContext(added=(events.Addition(call.id, output),))
    given = machine.step(added)
    if lost_for < timers.GRACE:
        assert sent([given], client.ToolCallOutput) == [client.ToolCallOutput("call_1", "sunny")]
    else:
        [told] = sent([given], client.AddSystemMessage)
        assert "sunny" in told.system_message
    assert pushed(go_on(machine, repeatable=("weather",))) == [], "it is over"


def test_a_call_is_not_made_again_before_the_agent_is_there():
    machine = machine_in(CALLED)
    steps = [machine.step(events.TakeOver(lost_for=1.0, repeatable=("weather",)))]
    steps.append(machine.step(events.ConnectionOpened()))
    steps.append(machine.step(phonic.ConversationReconnected()))
    assert pushed(steps) == []
    items = tuple(machine.context.history)
    arrived = machine.step(events.UpdateSession(instructions="Be kind.", tools=(), items=items))
    assert len(pushed([arrived])) == 1


# -- the agent that arrives --------------------------------------------------------------------


def arrive(machine: SessionMachine, **settings: Any) -> list[Step]:
    context: Context = machine.context
    given = {"instructions": "Be kind.", "tools": (), "items": tuple(context.history)} | settings
    steps = [machine.step(events.TakeOver(lost_for=1.0))]
    steps.append(machine.step(events.UpdateSession(**given)))
    steps.append(machine.step(events.ConnectionOpened()))
    steps.append(machine.step(phonic.ConversationReconnected()))
    return steps


def test_the_same_agent_is_no_handoff():
    steps = arrive(machine_in(*SPEAKS, FINISHED))
    assert sent(steps, object) == []


def test_changed_instructions_are_told():
    steps = arrive(machine_in(*SPEAKS, FINISHED), instructions="Be brief.")
    assert sent(steps, object) == [client.UpdateSystemPrompt("Be brief.")]


def test_an_agent_that_forgets_the_history_removes_nothing():
    machine = machine_in(phonic.InputText("Hello?"), *SPEAKS, FINISHED)
    was = list(machine.context.history)
    steps = arrive(machine, items=())
    assert list(machine.context.history) == was
    restored = [e for step in steps for e in step.effects if isinstance(e, effects.RestoreItem)]
    assert [effect.item for effect in restored] == was


def test_what_the_agent_adds_is_told():
    machine = machine_in(*SPEAKS, FINISHED)
    known = tuple(machine.context.history)
    note = Message("note", "system", "The caller is back.")
    steps = arrive(machine, items=(*known, note))
    assert sent(steps, object) == [client.AddSystemMessage("The caller is back.")]
    assert list(machine.context.history) == [*known, note]


def test_the_next_update_is_a_handoff_again():
    machine = machine_in(*SPEAKS, FINISHED)
    arrive(machine)
    machine.step(events.UpdateSession(instructions="Be another.", tools=(), items=()))
    assert list(machine.context.history) == []


# -- the end -----------------------------------------------------------------------------------


def test_last_words_that_were_cut_off_end_the_call():
    machine = machine_in(*SPEAKS, phonic.AssistantEndedConversation())
    taken_over = machine.step(events.TakeOver(lost_for=1.0))
    assert taken_over.target is State.last_words
    machine.step(events.LastWordsOver())
    last = machine.step(events.PlaybackLeft(0.0))
    assert last.target is State.closed
    assert [e.kind for e in last.effects if isinstance(e, effects.EmitError)] == [
        "conversation_ended"
    ]


# -- push-to-talk ------------------------------------------------------------------------------

HOLDS = (events.StartUserActivity(), phonic.UserStartedSpeaking())
HEARD = (phonic.UserFinishedSpeaking(), phonic.InputText("Hello?"))
COMMITS = events.CommitAudio()
ASKS = events.GenerateReply("reply_1")


def push_to_talk(situation: tuple[events.Event, ...]) -> SessionMachine:
    machine = conversing(Settings(id_seed="seed", config=ConfigOptions(push_to_talk=True)))
    for event in situation:
        machine.step(event)
    return machine


@pytest.mark.parametrize("lost_for", [1.0, timers.GRACE], ids=["in_time", "too_late"])
@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(HOLDS[:1], id="before the first word"),
        pytest.param(HOLDS, id="in mid-sentence"),
        pytest.param((*HOLDS, *HEARD, *SPEAKS), id="while Phonic answers at a pause"),
        pytest.param((*HOLDS, *HEARD, *SPEAKS, FINISHED), id="when Phonic has answered at a pause"),
        pytest.param(
            (*HOLDS, *HEARD, *SPEAKS, events.ConnectionClosed(1006)), id="while Phonic is away"
        ),
    ],
)
def test_a_caller_who_holds_the_button_is_heard_on_and_answered_once(situation, lost_for):
    """The turn is the caller's until LiveKit commits it."""
    then = copy_of(push_to_talk(situation))
    was = list(then.context.history)
    steps = go_on(then, lost_for=lost_for)
    assert sent(steps, client.GenerateReply) == [], "nobody speaks over the caller"
    assert sent(steps, client.Mute) == []
    assert then.context.generation is None
    assert len(sent(steps, client.Unmute)) == 1
    assert then.context.microphone == "unmuted"
    assert list(then.context.history) == was
    committed = [then.step(event) for event in (COMMITS, events.GenerateReply("reply_2"))]
    assert len(sent(committed, client.Mute)) == 1
    assert sent(committed, client.GenerateReply) == []
    answer = [effect for event in (*SPEAKS, FINISHED) for effect in then.step(event).effects]
    [opened] = [effect for effect in answer if isinstance(effect, effects.OpenGeneration)]
    [resolved] = [effect for effect in answer if isinstance(effect, effects.ResolveReply)]
    assert (resolved.request_id, resolved.response_id) == ("reply_2", opened.response_id)


@pytest.mark.parametrize("lost_for", [1.0, timers.GRACE], ids=["in_time", "too_late"])
@pytest.mark.parametrize(
    "situation",
    [
        pytest.param((*HOLDS, COMMITS), id="before LiveKit asks"),
        pytest.param((*HOLDS, COMMITS, ASKS), id="before the transcript"),
        pytest.param((*HOLDS, COMMITS, ASKS, *HEARD), id="before the answer"),
        pytest.param((*HOLDS, COMMITS, HEARD[0], *SPEAKS), id="while an answer waits for LiveKit"),
        pytest.param(
            (*HOLDS, COMMITS, HEARD[0], *SPEAKS, FINISHED), id="with a whole answer that waits"
        ),
        pytest.param((*HOLDS, *HEARD, *SPEAKS, COMMITS), id="with an answer that began at a pause"),
        pytest.param((*HOLDS, COMMITS, ASKS, *HEARD, *SPEAKS), id="while the agent answers"),
    ],
)
def test_a_turn_that_was_committed_is_answered_once_and_heard_once(situation, lost_for):
    then = copy_of(push_to_talk(situation))
    steps = go_on(then, lost_for=lost_for)
    assert len(sent(steps, client.GenerateReply)) == 1
    assert (sent(steps, client.Mute), sent(steps, client.Unmute)) == ([], [])
    assert then.context.microphone == "muted"
    answer = [then.step(event) for event in (*SPEAKS, FINISHED)]
    told = [type(effect) for step in answer for effect in step.effects]
    assert effects.OpenGeneration in told, "LiveKit's request died with its process"
    assert sent(answer, object) == []
    assert then.context.reply is None
    assert list(then.context.history)[-1].text == "Good morning. "


AWAY = events.ConnectionClosed(1006)


@pytest.mark.parametrize("asks", [(), (ASKS,)], ids=["before LiveKit asks", "afterwards"])
@pytest.mark.parametrize("lost_for", [1.0, timers.GRACE], ids=["in_time", "too_late"])
def test_a_turn_that_was_committed_while_phonic_was_away_is_answered_at_once(asks, lost_for):
    """LiveKit will not ask for the answer: its request died with its process."""
    then = copy_of(push_to_talk((*HOLDS, AWAY, COMMITS, *asks)))
    steps = go_on(then, lost_for=lost_for)
    # A fresh conversation has heard nothing of the turn.
    told = client.Mute() if lost_for == 1.0 else client.GenerateReply()
    assert sent(steps, (client.Unmute, client.Mute, client.GenerateReply)) == [told]
    assert then.context.microphone == "muted"
    step = then.step(SPEAKS[0])
    assert effects.OpenGeneration in [type(effect) for effect in step.effects]
    after = [then.step(event) for event in (SPEAKS[1], FINISHED)]
    assert sent(after, object) == []
    assert then.context.reply is None


def test_an_answer_to_a_turn_that_ends_only_now_has_its_usual_time():
    then = copy_of(push_to_talk((*HOLDS, AWAY, COMMITS)))
    timer = [
        effect.seconds
        for effect in go_on(then)[-1].effects
        if isinstance(effect, effects.StartTimer) and effect.event == timers.REPLY_OVERDUE
    ]
    assert timer == [then.context.settings.reply_timeout / 2]


@pytest.mark.parametrize("again", ["presses", "lets go"])
def test_a_client_makes_its_calls_again_behind_the_successor(again):
    """The turn that was to be ended goes on until it is committed. It is answered once."""
    then = copy_of(push_to_talk((*HOLDS, AWAY, COMMITS)))
    pressed: list[events.Event] = [events.StartUserActivity()] if again == "presses" else []
    steps = [then.step(event) for event in (events.TakeOver(lost_for=1.0), *pressed)]
    if again == "lets go":
        steps += [then.step(event) for event in (COMMITS, events.GenerateReply("reply_2"))]
    steps += [then.step(events.ConnectionOpened()), then.step(phonic.ConversationReconnected())]
    if again == "presses":
        assert sent(steps, (client.Unmute, client.Mute)) == [client.Unmute()]
        steps += [then.step(event) for event in (COMMITS, events.GenerateReply("reply_2"))]
    kinds = (client.Unmute, client.Mute, client.GenerateReply)
    assert sent(steps, kinds) == [client.Unmute(), client.Mute()]
    step = then.step(SPEAKS[0])
    [resolved] = [effect for effect in step.effects if isinstance(effect, effects.ResolveReply)]
    assert resolved.request_id == "reply_2"


# -- what cannot be read -----------------------------------------------------------------------


def test_of_a_session_that_cannot_be_read_the_conversation_goes_on():
    """Phonic has the settings, and its memory must not be cleared by telling them again."""
    machine = SessionMachine(Settings(id_seed="seed"))
    step = machine.step(events.TakeOver(lost_for=1.0, conversation_id="conv_1"))
    assert machine.state is State.reconnecting
    assert effects.Connect(resume="conv_1") in step.effects
    agent = events.UpdateSession(instructions="Be kind.", tools=(), items=())
    steps = [machine.step(event) for event in (agent, events.ConnectionOpened())]
    steps.append(machine.step(phonic.ConversationReconnected()))
    steps.append(machine.step(events.ChangesDue()))
    messages = [e.message for s in steps for e in s.effects if isinstance(e, effects.Send)]
    assert messages == [client.AddSystemMessage(SOMEBODY_WAS_CUT_OFF), client.GenerateReply()]
    machine.step(events.UpdateInstructions("Be brief."))
    [told] = sent([machine.step(events.ChangesDue())], client.UpdateSystemPrompt)
    assert "Be brief." in told.system_prompt, "a later change is told"


def test_of_a_session_that_cannot_be_read_a_fresh_conversation_has_the_agents_settings():
    machine = SessionMachine(Settings(id_seed="seed", config=ConfigOptions(welcome_message="Hi!")))
    machine.step(events.TakeOver(lost_for=1.0, conversation_id="conv_1"))
    machine.step(events.ConnectionOpened())
    machine.step(events.ConnectionClosed(4800))
    machine.step(events.ConnectionOpened())
    assert machine.state is State.awaiting_inputs
    agent = events.UpdateSession(instructions="Be kind.", tools=(), items=())
    [config] = sent([machine.step(agent)], client.Config)
    assert config.system_prompt == "Be kind."
    assert not config.welcome_message
    ready = [machine.step(phonic.ReadyToStartConversation())]
    assert len(sent(ready, client.GenerateReply)) == 1


def test_whoever_loses_the_lease_sends_no_close_frame():
    machine = machine_in(*SPEAKS)
    step = machine.step(events.LeaseLost())
    kinds = [type(effect) for effect in step.effects]
    assert machine.state is State.closed
    assert effects.Abandon in kinds
    assert effects.Disconnect not in kinds
    assert effects.Send not in kinds
    [error] = [e for e in step.effects if isinstance(e, effects.EmitError)]
    assert (error.kind, error.recoverable) == ("superseded", False)


def test_a_refused_resume_is_tried_again_while_the_former_socket_may_live():
    machine = machine_in(*SPEAKS)
    machine.step(events.TakeOver(lost_for=1.0))
    machine.step(events.ConnectionOpened())
    step = machine.step(events.ConnectionClosed(4801))
    assert machine.state is State.reconnecting
    assert [e.event for e in step.effects if isinstance(e, effects.StartTimer)] == ["retry_due"]


def test_a_checkpoint_holds_the_memory():
    machine = machine_in(*SPEAKS)
    step = machine.step(events.Checkpoint(times={}, playing=(), state={"step": 2}))
    [kept] = step.effects
    assert isinstance(kept, effects.KeepMemory)
    assert json.loads(msgspec.json.encode(kept.memory)) == in_json(memory.encode(machine.context))
