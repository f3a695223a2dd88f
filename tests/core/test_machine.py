"""The machine under random events: what holds whatever server, caller and LiveKit do."""

from __future__ import annotations

from typing import Any

import msgspec
import transitions
from hypothesis import given, settings
from hypothesis import strategies as st

from phonic_fsm._core import effects, events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.history import FunctionCallOutput, Message
from phonic_fsm._core.machine import SessionMachine, Step, TableMachine
from phonic_fsm._core.states import CONVERSING, State
from phonic_fsm._wire import client, codec, config
from phonic_fsm._wire import server as phonic
from phonic_fsm.trace._format import recorded_effect

CONNECTING = (State.connecting, State.reconnecting)
CALLS = ("call_1", "call_2", "call_3")
REQUESTS = tuple(f"reply_{number}" for number in range(6))

words = st.sampled_from(["", "yes ", "Good morning. ", "{{name}}"])
call_ids = st.sampled_from(CALLS)
tools = st.sampled_from(
    [(), (config.InlineTool({"type": "function", "function": {"name": "weather"}}),)]
)
messages = st.builds(
    Message,
    id=st.sampled_from(["m1", "m2", "m3"]),
    role=st.sampled_from(["system", "user", "assistant"]),
    text=words,
)
outputs = st.builds(
    FunctionCallOutput,
    id=st.sampled_from(["o1", "o2", "o3"]),
    call_id=call_ids,
    name=st.just("weather"),
    output=st.just("sunny"),
    reply_required=st.booleans(),
)
additions = st.lists(
    st.builds(
        events.Addition, after=st.sampled_from([None, "m1"]), item=st.one_of(messages, outputs)
    ),
    max_size=3,
).map(tuple)

from_the_server = st.one_of(
    st.sampled_from(
        [
            phonic.ReadyToStartConversation(),
            phonic.ConversationReconnected(),
            phonic.InputCancelled(),
            phonic.UserStartedSpeaking(),
            phonic.UserFinishedSpeaking(),
            phonic.AssistantStartedSpeaking(),
            phonic.AssistantFinishedSpeaking(),
            phonic.AssistantChoseNotToRespond(),
            phonic.AssistantEndedConversation(),
            phonic.Dtmf("1"),
            phonic.Error(phonic.Problem("bad")),
            phonic.Warning(phonic.Problem("hm")),
            codec.UnknownMessage("new"),
            codec.MalformedMessage("audio_chunk", "Invalid base64"),
        ]
    ),
    st.builds(phonic.ConversationCreated, st.sampled_from(["conv_1", "conv_2"])),
    st.builds(phonic.InputText, words),
    st.builds(
        phonic.AudioChunk,
        audio=st.sampled_from([b"", b"\0", b"\0\0" * 480]),
        text=words,
        timings=st.sampled_from([None, {"llm_ms": 1.0}]),
    ),
    st.builds(phonic.InterruptedResponse, words),
    st.builds(phonic.ToolCall, call_ids, st.just("weather")),
    st.builds(phonic.ToolCallInterrupted, call_ids),
    st.builds(phonic.ToolCallOutputProcessed, tool_call_id=call_ids),
)
from_the_connection = st.one_of(
    st.just(events.ConnectionOpened()),
    st.builds(events.ConnectFailed, st.just("refused"), st.booleans()),
    st.builds(
        events.ConnectionClosed,
        st.sampled_from([1000, 1001, 1006, 1012, 4800]),
        st.sampled_from(["", "restarting"]),
    ),
    st.sampled_from(
        [
            events.RetryDue(),
            events.AnswerOverdue(),
            events.ReplyOverdue(),
            events.TurnOverdue(),
            events.AnswerUnclaimed(),
            events.ChangesDue(),
        ]
    ),
)
from_livekit = st.one_of(
    st.builds(events.UpdateInstructions, words),
    st.builds(events.UpdateTools, tools),
    st.builds(
        events.UpdateSession,
        instructions=words,
        tools=tools,
        items=st.lists(messages, max_size=2).map(tuple),
    ),
    st.builds(
        events.UpdateOptions,
        config=st.sampled_from([config.ConfigOptions(), config.ConfigOptions(voice_id="ann")]),
        tools=tools,
    ),
    st.builds(events.UpdateToolChoice, st.sampled_from([None, (), ("weather",)])),
    st.builds(events.UpdateChatContext, added=additions),
    st.just(events.SetExternalId("call-1")),
    st.builds(events.CancelReply, st.sampled_from(REQUESTS)),
    st.just(events.Interrupt()),
    st.sampled_from([events.StartUserActivity(), events.CommitAudio()]),
    st.builds(events.ClearAudio, st.sampled_from([0, 400])),
    # One that no list of requests knows gets its name when it is fed in.
    st.builds(events.GenerateReply, st.just(""), st.none() | words),
    st.builds(events.Say, st.just(""), words),
)
a_beginning = [
    events.Open(),
    events.UpdateSession(instructions="Be kind.", tools=()),
    events.ConnectionOpened(),
    phonic.ConversationCreated("conv_1"),
    phonic.ReadyToStartConversation(),
]
MODES = {
    "usual": config.ConfigOptions(template_variables={"name": "Ada"}),
    "overlapping": config.ConfigOptions(stream_ahead_of_real_time=False),
    "push_to_talk": config.ConfigOptions(push_to_talk=True),
}


class History(list[Any]):
    """Events, and the mode of the session that they come to."""

    mode = "usual"


def history_in(mode: str, begun: bool, rest: list[events.Event]) -> History:
    history = History((a_beginning if begun else [events.Open()]) + rest)
    history.mode = mode
    return history


def histories_in(*modes: str) -> st.SearchStrategy[History]:
    return st.builds(
        history_in,
        st.sampled_from(modes),
        st.booleans(),
        st.lists(st.one_of(from_the_server, from_the_connection, from_livekit), max_size=40),
    )


histories = histories_in(*MODES)


def new_machine(mode: str) -> SessionMachine:
    return SessionMachine(Settings(id_seed="seed", config=MODES[mode]))


def run(history: History) -> list[Step]:
    """The steps of a fresh machine, closed in the end; each request gets a name of its own."""
    machine = new_machine(history.mode)
    steps = []
    for number, event in enumerate([*history, events.Close()]):
        steps.append(machine.step(_named(event, f"request_{number}")))
    return steps


def _named(event: events.Event, request_id: str) -> events.Event:
    if isinstance(event, events.GenerateReply | events.Say):
        return msgspec.structs.replace(event, request_id=request_id)
    return event


def put_out(steps: list[Step]) -> list[effects.Effect]:
    return [effect for step in steps for effect in step.effects]


class StockMachine(TableMachine):
    """The table with the events of ``transitions`` itself."""

    event_cls = transitions.Event  # type: ignore[assignment]  # the table's is our own


STOCK = StockMachine()


@given(histories)
@settings(max_examples=100)
def test_the_table_is_taken_as_transitions_takes_it(history):
    stock = new_machine(history.mode).context
    for step in run(history):
        stock.effects = []
        STOCK.events[events.name_of(step.event)].trigger(stock, stock, step.event)
        assert (stock.state, stock.effects) == (step.target, step.effects)


@given(histories)
@settings(max_examples=100)
def test_at_most_one_generation_is_open_and_only_it_is_pushed_into(history):
    opened = None
    for step in run(history):
        for effect in step.effects:
            if isinstance(effect, effects.OpenGeneration | effects.PrepareGeneration):
                assert opened is None
                opened = effect.response_id
            elif isinstance(effect, effects.CloseGeneration):
                assert opened == effect.response_id
                opened = None
            elif isinstance(
                effect, effects.PushText | effects.PushAudio | effects.PushFunctionCall
            ):
                assert opened is not None
        assert opened is None or step.target in (State.speaking, State.last_words)


@given(histories)
@settings(max_examples=100)
def test_the_config_goes_out_first_and_once_on_each_connection(history):
    fresh, sent = True, []
    for step in run(history):
        if isinstance(step.event, events.ConnectionOpened) and step.source in CONNECTING:
            fresh, sent = step.source is State.connecting, []
        for effect in step.effects:
            if isinstance(effect, effects.Send):
                is_config = isinstance(effect.message, client.Config)
                assert is_config == (fresh and not sent)
                sent.append(effect.message)


@given(histories)
@settings(max_examples=100)
def test_a_call_gets_at_most_one_output_on_a_connection_and_only_if_it_was_made(history):
    made, answered = set(), set()
    for step in run(history):
        if isinstance(step.event, phonic.ToolCall):
            # It is handed over, or answered at once with the reason why not.
            made.add(step.event.tool_call_id)
        for effect in step.effects:
            if isinstance(effect, effects.Connect):
                answered = set()
            elif isinstance(effect, effects.PushFunctionCall):
                answered.discard(effect.call_id)
            elif isinstance(effect, effects.Send) and isinstance(
                effect.message, client.ToolCallOutput
            ):
                assert effect.message.tool_call_id in made
                assert effect.message.tool_call_id not in answered
                answered.add(effect.message.tool_call_id)


@given(histories)
@settings(max_examples=100)
def test_every_reply_that_is_asked_for_ends_once(history):
    steps = run(history)
    asked = {
        step.event.request_id
        for step in steps
        if isinstance(step.event, events.GenerateReply | events.Say)
    }
    ended = [
        effect.request_id
        for effect in put_out(steps)
        if isinstance(effect, effects.ResolveReply | effects.RejectReply | effects.SupersedeReply)
    ]

    assert sorted(ended) == sorted(asked)


@given(histories)
@settings(max_examples=100)
def test_a_resolved_reply_names_the_generation_that_was_just_announced(history):
    announced = None
    for effect in put_out(run(history)):
        if isinstance(effect, effects.OpenGeneration | effects.AnnounceGeneration):
            announced = effect
        elif isinstance(effect, effects.ResolveReply):
            assert effect.response_id == announced.response_id
            assert announced.user_initiated


@given(histories)
@settings(max_examples=100)
def test_the_callers_speech_starts_and_stops_in_turn(history):
    speaking = False
    for effect in put_out(run(history)):
        if isinstance(effect, effects.EmitSpeechStarted):
            assert not speaking
            speaking = True
        elif isinstance(effect, effects.EmitSpeechStopped):
            assert speaking
            speaking = False
    assert not speaking


@given(histories)
@settings(max_examples=100)
def test_every_generation_is_announced_once(history):
    opened, announced, prepared = [], [], []
    for effect in put_out(run(history)):
        if isinstance(effect, effects.PrepareGeneration):
            prepared.append(effect.response_id)
        if isinstance(effect, effects.OpenGeneration | effects.PrepareGeneration):
            opened.append(effect.response_id)
        if isinstance(effect, effects.OpenGeneration | effects.AnnounceGeneration):
            announced.append(effect.response_id)
    # In push-to-talk, LiveKit may never ask for one: the caller speaks on, or the history ends.
    assert [one for one in opened if one in announced] == announced
    assert not [one for one in opened if one not in announced and one not in prepared]


@given(histories_in("push_to_talk"))
@settings(max_examples=100)
def test_the_callers_audio_flows_only_while_phonic_listens(history):
    begins_muted, listening, gate = True, False, "closed"
    for step in run(history):
        for effect in step.effects:
            if isinstance(effect, effects.Send):
                if isinstance(effect.message, client.Unmute):
                    listening = True
                elif isinstance(effect.message, client.Mute):
                    listening = False
                elif isinstance(effect.message, client.Config):
                    begins_muted = effect.message.push_to_talk is True
                    listening = not begins_muted
                elif isinstance(effect.message, client.Reset):
                    begins_muted = effect.message.config.push_to_talk is True
                    listening = not begins_muted
            elif isinstance(effect, effects.Connect):
                listening = not begins_muted
            elif isinstance(effect, effects.SetAudioGate):
                gate = effect.gate
        assert gate != "open" or listening, step


@given(histories_in("usual", "overlapping"))
@settings(max_examples=100)
def test_messages_flow_only_through_an_open_gate(history):
    gate = "closed"
    for step in run(history):
        starts = gate
        for effect in step.effects:
            if isinstance(effect, effects.SetAudioGate):
                gate = effect.gate
        for effect in step.effects:
            if isinstance(effect, effects.Send) and not isinstance(effect.message, client.Config):
                assert "open" in (starts, gate)
        if step.target is not State.last_words:  # Phonic may have closed the socket, or not yet.
            assert (gate == "open") == (step.target in CONVERSING)


@given(histories, histories)
@settings(max_examples=100)
def test_closed_absorbs_everything(history, more):
    steps = run(history_in(history.mode, False, [*history, events.Close(), *more]))
    closed = next(number for number, step in enumerate(steps) if step.target is State.closed)

    for step in steps[closed + 1 :]:
        assert step.target is State.closed
        assert all(isinstance(effect, effects.RejectReply) for effect in step.effects)


@given(histories)
@settings(max_examples=100)
def test_rest_follows_from_the_context(history):
    machine = new_machine(history.mode)
    for event in history:
        machine.step(event)
        context = machine.context
        if context.state is State.listening:
            assert context.caller_speaks
        if context.state is State.tool_pending:
            assert context.calls_in("pending")
            assert not context.caller_speaks
        if context.state is State.ready:
            assert not context.calls_in("pending")
            assert not context.caller_speaks


@given(histories)
@settings(max_examples=100)
def test_the_same_events_make_the_same_steps(history):
    def seen(steps):
        return [
            (step.source, step.target, msgspec.json.encode([*map(recorded_effect, step.effects)]))
            for step in steps
        ]

    assert seen(run(history)) == seen(run(history))
