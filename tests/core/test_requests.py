"""What was asked for is said, each request ends, and nothing is asked for that nobody wants."""

from __future__ import annotations

from typing import Any

import pytest
from support.machines import conversing

from phonic_fsm._core import effects, events, timers
from phonic_fsm._core.context import Settings
from phonic_fsm._core.history import FunctionCallOutput
from phonic_fsm._core.machine import SessionMachine
from phonic_fsm._wire import client
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions

Effects = list[effects.Effect]

ANSWERS = (phonic.AssistantStartedSpeaking(), phonic.AudioChunk(b"\0\0" * 480, "Good morning. "))
FINISHED = phonic.AssistantFinishedSpeaking()
PRESSES, COMMITS = events.StartUserActivity(), events.CommitAudio()
IN_WORDS = client.GenerateReply("Greet.")
SAYS = events.Say("of_author", "One moment.")
INSTRUCTS = events.GenerateReply("of_author", "Greet.")
RESUMED = (events.ConnectionOpened(), phonic.ConversationReconnected())


def push_to_talk() -> SessionMachine:
    return conversing(Settings(id_seed="seed", config=ConfigOptions(push_to_talk=True)))


def fed(machine: SessionMachine, *happens: events.Event) -> Effects:
    return [effect for event in happens for effect in machine.step(event).effects]


def sent(put_out: Effects, *kinds: type[Any]) -> list[Any]:
    return [
        effect.message
        for effect in put_out
        if isinstance(effect, effects.Send) and isinstance(effect.message, kinds)
    ]


def lost(*unsent: client.ClientMessage) -> events.ConnectionClosed:
    return events.ConnectionClosed(1006, unsent=unsent)


# -- what the author asks for ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asks", "request_"),
    [(SAYS, client.Say("One moment.")), (INSTRUCTS, IN_WORDS)],
    ids=["say", "with instructions"],
)
def test_what_the_author_asks_for_before_livekit_asks_for_the_answer_is_said(asks, request_):
    machine = push_to_talk()
    fed(machine, PRESSES, COMMITS, *ANSWERS, asks, events.AnswerUnclaimed())
    over = fed(machine, FINISHED)
    assert sent(over, object) == [request_]
    assert not [effect for effect in over if isinstance(effect, effects.ResolveReply)]
    said = fed(machine, *ANSWERS)
    [opened] = [effect for effect in said if isinstance(effect, effects.OpenGeneration)]
    assert effects.ResolveReply("of_author", opened.response_id) in said


@pytest.mark.parametrize(
    ("asks", "request_"),
    [(SAYS, client.Say("One moment.")), (INSTRUCTS, IN_WORDS)],
    ids=["say", "with instructions"],
)
@pytest.mark.parametrize("is_unsent", [False, True], ids=["it waits", "it was sent"])
def test_what_the_author_asks_for_outlives_that_the_caller_presses_again(asks, request_, is_unsent):
    machine = push_to_talk()
    if is_unsent:
        fed(machine, PRESSES, COMMITS, asks, lost(client.Mute(), request_))
    else:
        fed(machine, PRESSES, COMMITS, lost(client.Mute()), asks)
    put_out = fed(machine, PRESSES, COMMITS, *RESUMED)
    told = sent(put_out, client.Mute, client.Say, client.GenerateReply)
    assert sorted(told, key=str) == sorted([client.Mute(), request_], key=str)
    answered = fed(machine, *ANSWERS)
    assert [e.request_id for e in answered if isinstance(e, effects.ResolveReply)] == ["of_author"]


# -- what LiveKit asks for ---------------------------------------------------------------------


@pytest.mark.parametrize("again", [PRESSES, COMMITS], ids=["presses", "commits"])
def test_the_reply_to_a_turn_that_goes_on_is_superseded(again):
    """The turn's end was not sent, and another reply will answer the whole turn."""
    machine = push_to_talk()
    fed(machine, PRESSES, COMMITS, events.GenerateReply("reply_1"), lost(client.Mute()))
    put_out = fed(machine, again)
    assert effects.SupersedeReply("reply_1") in put_out
    put_out = fed(machine, COMMITS, events.GenerateReply("reply_2"), *RESUMED)
    assert sent(put_out, client.Unmute, client.Mute, client.GenerateReply) == [
        client.Unmute(),
        client.Mute(),
    ]
    resolved = [e for e in fed(machine, *ANSWERS) if isinstance(e, effects.ResolveReply)]
    assert [effect.request_id for effect in resolved] == ["reply_2"]


def test_the_reply_to_a_turn_that_goes_on_after_a_takeover_is_superseded():
    machine = push_to_talk()
    fed(machine, PRESSES, lost(), COMMITS, events.TakeOver(lost_for=1.0))
    fed(machine, events.GenerateReply("reply_1"))
    assert effects.SupersedeReply("reply_1") in fed(machine, PRESSES)


# -- what nobody asks for ----------------------------------------------------------------------


def declined() -> SessionMachine:
    """Phonic has a tool's output, and has chosen not to speak about it."""
    machine = conversing(Settings(id_seed="seed"))
    output = FunctionCallOutput("item_1", "call_1", "get_weather", "sunny")
    fed(machine, phonic.ToolCall("call_1", "get_weather", {}))
    [call] = machine.context.history
    fed(
        machine,
        events.UpdateChatContext(added=(events.Addition(call.id, output),)),
        phonic.ToolCallOutputProcessed(tool_call_id="call_1"),
        phonic.AssistantChoseNotToRespond(),
    )
    return machine


def test_an_answer_that_phonic_has_declined_is_not_asked_for_at_a_reset():
    machine = declined()
    put_out = fed(machine, events.UpdateInstructions("Be {{mood}}."), events.ChangesDue())
    assert len(sent(put_out, client.Reset)) == 1
    assert not [e for e in put_out if getattr(e, "event", None) == timers.REPLY_OVERDUE]
    assert sent(fed(machine, events.ReplyOverdue()), object) == []


def test_an_answer_that_phonic_has_declined_is_not_asked_for_in_another_conversation():
    machine = declined()
    fed(machine, events.Restart(), events.ConnectionOpened())
    fed(machine, phonic.ConversationCreated("conv_2"))
    put_out = fed(machine, phonic.ReadyToStartConversation())
    assert sent(put_out, object) == []


def test_a_conversation_rests_once_phonic_has_declined_an_answer():
    assert declined().context.rests
