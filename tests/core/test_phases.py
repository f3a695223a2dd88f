"""What the machine remembers of where a turn is, and the state that follows from it."""

from __future__ import annotations

from itertools import product

import pytest
from support.machines import conversing

from phonic_fsm._core import effects, events
from phonic_fsm._core.actions.choices import settle
from phonic_fsm._core.context import Call, Context, Generation, Settings
from phonic_fsm._core.history import Message
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._core.states import State
from phonic_fsm._core.table import CHOICES
from phonic_fsm._wire import client, server
from phonic_fsm._wire.config import ConfigOptions, InlineTool

SETTINGS = Settings(id_seed="seed")


@pytest.mark.parametrize(("open_", "speaks", "pending"), [*product([True, False], repeat=3)])
def test_the_conversations_state_follows_from_memory(open_, speaks, pending):
    context = Context(settings=SETTINGS, config=SETTINGS.config, caller_speaks=speaks)
    context.generation = Generation("PS_1") if open_ else None
    context.calls = {"call_1": Call("weather")} if pending else {}
    settle(context, events.Open())
    first = [open_, speaks, pending, True].index(True)
    assert context.state is CHOICES[settle].branches[first].target


def test_the_rule_is_the_one_that_the_design_names():
    assert [branch.target for branch in CHOICES[settle].branches] == [
        State.speaking,
        State.listening,
        State.tool_pending,
        State.ready,
    ]


def test_an_answer_without_words_so_far_is_not_taken_for_one_that_has_not_begun():
    machine = conversing(SETTINGS)
    machine.step(server.AssistantStartedSpeaking())
    machine.step(server.AudioChunk(b"\0\0" * 480))
    [closed, opened] = (
        effect
        for effect in machine.step(server.AssistantStartedSpeaking()).effects
        if not isinstance(effect, (effects.StartTimer, effects.StopTimer))
    )
    assert isinstance(closed, effects.CloseGeneration)
    assert closed.interrupted
    assert isinstance(opened, effects.OpenGeneration)


def test_a_call_that_a_reset_takes_back_is_answered_and_not_handed_over():
    machine = conversing(SETTINGS)
    machine.step(events.UpdateOptions(config=ConfigOptions(voice_id="ann")))
    step = machine.step(server.ToolCall("c1", "weather"))
    [sent] = [effect.message for effect in step.effects if isinstance(effect, effects.Send)]
    assert isinstance(sent, client.ToolCallOutput)
    assert sent.tool_call_id == "c1"
    assert sent.output.startswith("The tool was not run")
    assert machine.state is State.ready
    refusal = server.Error(server.Problem("nobody waits for it"), calls=("c1",))
    assert not any(isinstance(e, effects.EmitError) for e in machine.step(refusal).effects)


def test_what_was_on_its_way_at_a_reset_opens_no_turn():
    machine = conversing(SETTINGS)
    machine.step(server.AssistantStartedSpeaking())
    machine.step(events.UpdateOptions(config=ConfigOptions(voice_id="ann")))
    assert machine.state is State.ready
    assert machine.step(server.AudioChunk(b"\0\0", "And so ")).effects == []
    machine.step(events.ChangesDue())
    assert machine.step(server.AudioChunk(b"\0\0", "on. ")).effects == []
    machine.step(server.AssistantStartedSpeaking())
    assert machine.step(server.AudioChunk(b"\0\0", "Hello. ")).target is State.speaking


def test_a_refused_prompt_and_another_change_in_its_tick_are_one_reset():
    machine = conversing(SETTINGS)
    machine.step(events.UpdateInstructions("Be brief."))
    machine.step(events.ChangesDue())
    machine.step(server.AssistantStartedSpeaking())
    refused = server.Problem("update_system_prompt is deprecated")
    machine.step(server.Warning(refused, names="update_system_prompt"))
    machine.step(events.UpdateTools((InlineTool({"type": "function"}),)))
    assert machine.state is State.ready
    [reset] = (e for e in machine.step(events.ChangesDue()).effects if isinstance(e, effects.Send))
    assert isinstance(reset.message, client.Reset)
    assert reset.message.config.system_prompt == "Be brief."


def said_in(machine: SessionMachine) -> list[str]:
    return [item.text for item in machine.context.history if isinstance(item, Message)]


def typed(machine: SessionMachine, text: str) -> list[effects.Effect]:
    """The user writes, and LiveKit asks for an answer to it."""
    last = machine.context.history.last_id
    added = events.Addition(last, Message(f"typed {text}", "user", text))
    machine.step(events.UpdateChatContext(added=(added,)))
    return machine.step(events.GenerateReply(f"reply to {text}")).effects


def transcribe(machine: SessionMachine, text: str) -> None:
    """A transcript comes."""
    machine.step(machine.read(server.InputText(text)))


def test_an_echo_that_comes_when_the_caller_has_spoken_is_no_transcript():
    machine = conversing(SETTINGS)
    typed(machine, "Hello.")
    machine.step(server.UserStartedSpeaking())
    machine.step(server.UserFinishedSpeaking())
    transcribe(machine, "Hello.")
    transcribe(machine, "And you?")
    assert said_in(machine) == ["Hello.", "And you?"]


def test_an_echo_that_comes_after_the_answer_to_an_earlier_request_is_no_transcript():
    machine = conversing(SETTINGS)
    machine.step(events.GenerateReply("reply_0"))
    typed(machine, "Hello.")
    machine.step(server.AssistantStartedSpeaking())
    machine.step(server.AudioChunk(b"\0\0" * 480, "So."))
    machine.step(server.UserStartedSpeaking())
    transcribe(machine, "Hello.")
    machine.step(server.UserFinishedSpeaking())
    transcribe(machine, "And you?")
    assert said_in(machine) == ["Hello.", "So.", "And you?"]


def test_each_of_two_typed_texts_may_come_back():
    machine = conversing(SETTINGS)
    typed(machine, "Hello.")
    typed(machine, "And you?")
    transcribe(machine, "Hello.")
    transcribe(machine, "And you?")
    assert said_in(machine) == ["Hello.", "And you?"]


def test_typed_text_that_is_sent_again_after_an_outage_may_come_back_from_then_on():
    machine = conversing(SETTINGS)
    typed(machine, "Hello.")
    unsent = client.GenerateReply(user_message="Hello.")
    machine.step(events.ConnectionClosed(1006, unsent=(unsent,)))
    machine.step(events.EchoOver())
    machine.step(events.ConnectionOpened())
    resumed = machine.step(server.ConversationReconnected())
    assert effects.Send(unsent) in resumed.effects
    transcribe(machine, "Hello.")
    assert said_in(machine) == ["Hello."]


def test_a_tool_call_that_crosses_with_the_request_is_no_answer_to_what_was_typed():
    machine = conversing(SETTINGS)
    typed(machine, "Hello.")
    machine.step(server.ToolCall("c1", "weather"))
    transcribe(machine, "Hello.")
    assert said_in(machine) == ["Hello."]


def test_a_caller_who_says_later_what_was_typed_is_heard():
    machine = conversing(SETTINGS)
    sent = typed(machine, "Hello.")
    [echo] = [e for e in sent if isinstance(e, effects.StartTimer) and e.event == "echo_over"]
    assert echo.seconds == machine.context.settings.reply_timeout
    machine.step(server.AssistantStartedSpeaking())
    machine.step(server.AudioChunk(b"\0\0" * 480, "Hi."))
    machine.step(server.AssistantFinishedSpeaking())
    machine.step(server.UserStartedSpeaking())
    machine.step(events.EchoOver())
    machine.step(server.UserFinishedSpeaking())
    transcribe(machine, "Hello.")
    assert said_in(machine) == ["Hello.", "Hi.", "Hello."]


def test_two_turns_over_one_answer_stand_in_their_order_though_their_transcripts_are_late():
    settings = Settings(id_seed="seed", config=ConfigOptions(stream_ahead_of_real_time=False))
    machine = SessionMachine(settings)
    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=(), items=()),
        events.ConnectionOpened(),
        server.ConversationCreated("conv_1"),
        server.ReadyToStartConversation(),
        server.AssistantStartedSpeaking(),
        server.AudioChunk(b"\0\0" * 480, "One "),
        server.UserStartedSpeaking(),
        server.UserFinishedSpeaking(),
        server.AudioChunk(b"\0\0" * 480, "two "),
        server.InputText("Hm."),
        server.UserStartedSpeaking(),
        server.UserFinishedSpeaking(),
        server.AudioChunk(b"\0\0" * 480, "three."),
        server.AssistantFinishedSpeaking(),
        server.InputText("And then?"),
    ):
        machine.step(event)
    assert said_in(machine) == ["One two three.", "Hm.", "And then?"]


@pytest.mark.parametrize("announced", ["before the commit", "after it", "never"])
@pytest.mark.parametrize("opens", ["before", "after"])
def test_a_turn_that_livekit_commits_is_one_turn_whenever_phonic_hears_it(announced, opens):
    """Also one that is committed before the conversation is open, of which Phonic hears later."""
    machine = SessionMachine(Settings(id_seed="seed", config=ConfigOptions(push_to_talk=True)))
    opening = (
        events.ConnectionOpened(),
        server.ConversationCreated("conv_1"),
        server.ReadyToStartConversation(),
    )
    heard = (server.UserStartedSpeaking(), server.UserFinishedSpeaking())

    def turn(words, answer, request_id, opening=()):
        early, late = announced == "before the commit", announced == "after it"
        return (
            events.StartUserActivity(),
            *(heard if early and not opening else ()),
            events.CommitAudio(),
            events.GenerateReply(request_id),
            *opening,
            *(heard if late or (early and opening) else ()),
            server.AssistantStartedSpeaking(),
            server.AudioChunk(b"\0\0" * 480, answer),
            server.InputText(words),
            server.AssistantFinishedSpeaking(),
        )

    for event in (
        events.Open(),
        events.UpdateSession(instructions="Be kind.", tools=(), items=()),
        *(opening if opens == "before" else ()),
        *turn("Hello.", "Hi.", "reply_1", () if opens == "before" else opening),
        *turn("And the weather?", "It is fine.", "reply_2"),
    ):
        machine.step(event)
    assert said_in(machine) == ["Hello.", "Hi.", "And the weather?", "It is fine."]
