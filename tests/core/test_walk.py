"""The machine, walked: every situation that it can get into, and every event in each of them.

The walk keeps a small model of the world around the machine (the socket, the timers that run,
the caller's audio gate), so it knows what can happen next. Situations that differ only in what
was said, in ids and in how often something was counted are one. From each of them every kind of
event is fed. What can happen is followed; what cannot (a timer that does not run, a message
without a socket) must still do no harm.

All of it at once takes minutes. So each walk leaves some rare things out, and each of these is in
one walk (``tox -e walk``). With the environment variable ``WALK=whole`` each walk has everything
rare in it (``tox -e walk-whole``). The machine does the same on every Python, so it is walked on
one; ``test_table.py`` and ``test_machine.py`` run on each.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from copy import copy
from functools import cache
from graphlib import TopologicalSorter
from typing import Any, Literal, get_args

import pytest
from msgspec import Struct, structs

from phonic_fsm._core import effects, events, guards, timers
from phonic_fsm._core.context import Context, Generation, Reply, Settings
from phonic_fsm._core.events import EVENTS, Event, name_of
from phonic_fsm._core.history import FunctionCall, FunctionCallOutput, History, Message
from phonic_fsm._core.machine import SessionMachine, Step
from phonic_fsm._core.states import CONVERSING, State
from phonic_fsm._wire import client, codec
from phonic_fsm._wire import server as phonic
from phonic_fsm._wire.config import ConfigOptions, InlineTool

USUAL = ConfigOptions()
WELCOMING = ConfigOptions(welcome_message="Hello.")
PUSH_TO_TALK = ConfigOptions(push_to_talk=True)
OVERLAPPING = ConfigOptions(stream_ahead_of_real_time=False)

WEATHER = InlineTool({"type": "function", "function": {"name": "weather"}})
NOT_SERVED = (State.connecting, State.awaiting_inputs, State.config_sent, State.closed)
CALLS = ("c1", "c2")
NOT_BEGUN = ("due", "awaited")
WATCHDOG = events.StateOverdue(60.0)
"""Comes from outside, at any time."""
TIMER_EVENTS = tuple(kind for kind in get_args(events.TimerEvent) if kind is not type(WATCHDOG))
TIMERS = tuple(map(name_of, TIMER_EVENTS))
RETRY, ANSWER, GRACE, REPLY, OPENING, ECHO, TURN, LAST, UNCLAIMED, CHANGES = TIMERS

Phase = str
"""Of the socket: none, opening, resuming, open, reopened, configured."""


Detail = Literal["small_changes", "streams", "complaints", "former_calls", "takeovers"]
"""Something rare that a walk follows, or leaves out.

``small_changes``
    Instructions or tools that are changed in mid-conversation, which needs no reset.
``streams``
    Texts to say that come in parts.
``complaints``
    Errors of Phonic's in mid-conversation, except those that refuse a tool's output; and what
    becomes of a connection that is closed after an error.
``former_calls``
    Tool calls that Phonic may still complain of, though it knows their output in another way.
``takeovers``
    Another process that takes the session over, wherever it is. What it leads to is what a lost
    connection leads to.
"""
DETAILS: frozenset[Detail] = frozenset(get_args(Detail))


class Bounds(Struct, frozen=True):
    """What one walk goes into."""

    calls: int
    """Tool calls that are known at a time."""
    retries: int
    """Attempts to connect again."""
    details: frozenset[Detail] = frozenset()


class World(Struct):
    """What is around the machine."""

    phase: Phase = "none"
    timers: frozenset[str] = frozenset()
    audio: effects.Gate = "holding"
    conversation: bool = False
    """Phonic has named the conversation that is, or was last, under way."""
    asked: bool = False
    """The machine has asked how long LiveKit still plays the last words."""
    unplayed: bool = False
    """LiveKit may still have some of them to play."""


class Before(Struct):
    """What the machine remembered before a step."""

    generation: str | None
    unclaimed: str | None
    reply: str | None
    caller_speaks: bool
    outputs: set[str]
    """Calls whose output was given and that Phonic has not yet taken note of."""


# -- what can happen -----------------------------------------------------------------------------

SERVER: tuple[Event, ...] = (
    phonic.ReadyToStartConversation(),
    phonic.ConversationCreated("conv_1"),
    phonic.ConversationReconnected(),
    phonic.InputText("Hello."),
    phonic.InputCancelled(),
    phonic.AudioChunk(b"\0\0", "Yes. "),
    phonic.AudioChunk(b"\0\0", None, {"llm_ms": 1.0}),
    phonic.UserStartedSpeaking(),
    phonic.UserFinishedSpeaking(),
    phonic.AssistantStartedSpeaking(),
    phonic.AssistantFinishedSpeaking(),
    phonic.InterruptedResponse("Ye"),
    phonic.Dtmf("1"),
    phonic.AssistantChoseNotToRespond(),
    phonic.AssistantEndedConversation(),
    phonic.Warning(phonic.Problem("hm")),
    phonic.Warning(phonic.Problem("update_system_prompt"), names="update_system_prompt"),
    codec.UnknownMessage("new"),
    codec.MalformedMessage("audio_chunk", "$.audio"),
)
CONNECTION: tuple[Event, ...] = (
    events.ConnectFailed("refused", retryable=True),
    events.ConnectFailed("forbidden", retryable=False),
    events.ConnectionOpened(),
)
CALLS_OF_LIVEKIT: tuple[Event, ...] = (
    events.UpdateSession(instructions="Be somebody else.", items=()),
    events.UpdateChatContext(added=(events.Addition(None, Message("m", "user", "Typed.")),)),
    events.UpdateChatContext(added=(events.Addition(None, Message("m", "system", "Know.")),)),
    events.UpdateChatContext(removed=("m",)),
    events.SetExternalId("call-1"),
    events.CancelReply("unknown"),
    events.Interrupt(),
    events.StartUserActivity(),
    events.CommitAudio(),
    events.ClearAudio(0),
    events.ClearAudio(400),
    events.Restart(),
    WATCHDOG,
)
THE_END: tuple[Event, ...] = (events.Break("a fault"), events.LeaseLost(), events.Close())
TAKEOVERS: tuple[Event, ...] = (
    events.TakeOver(lost_for=1.0),
    events.TakeOver(lost_for=timers.GRACE),
    events.TakeOver(cause="move", lost_for=0.2),
    events.TakeOver(lost_for=1.0, repeatable=("weather",)),
    events.TakeOver(lost_for=1.0, conversation_id="conv_1"),
)
CHECKPOINT = events.Checkpoint(times={}, playing=(), state=None)


def outputs_of(*calls: str, spoken_about: bool = True) -> events.UpdateChatContext:
    items = (
        FunctionCallOutput(f"o_{call}", call, "weather", "sunny", spoken_about) for call in calls
    )
    return events.UpdateChatContext(added=tuple(events.Addition(None, item) for item in items))


SILENT_OUTPUT = outputs_of(CALLS[0], spoken_about=False)


@cache
def about(*calls: str) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """What the server says of tool calls, and what LiveKit does."""
    kinds = (phonic.ToolCallInterrupted, phonic.ToolCallOutputProcessed)
    said: list[Event] = [kind(tool_call_id=call) for kind in kinds for call in calls]
    said += [phonic.ToolCall(call, "weather") for call in calls]
    done = {calls, *((call,) for call in calls)}
    outputs = (outputs_of(*some) for some in sorted(done))
    return tuple(said), (*outputs, SILENT_OUTPUT, events.CallsDropped(calls[:1]))


@cache
def errors_about(*calls: str) -> tuple[phonic.Error, ...]:
    """An error in general, and one about each call."""
    problem = phonic.Problem("bad")
    general = phonic.Error(problem, {"voice_id": "unknown"})
    return general, *(phonic.Error(problem, calls=(call,)) for call in calls)


def all_events(context: Context, world: World, bounds: Bounds) -> Iterator[tuple[Event, bool]]:
    """Every kind of event, and whether the walk is to follow it."""
    said, done = about(*CALLS[: bounds.calls])
    connected = world.phase in ("open", "reopened", "configured")
    yield events.Open(), False
    for event in (*SERVER, *said):
        yield event, connected
    complaints = "complaints" in bounds.details or not context.conversing
    for error in errors_about(*CALLS[: bounds.calls]):
        yield error, connected and (complaints or guards.refuses_an_output(context, error))
    for event in CONNECTION:
        yield event, world.phase in ("opening", "resuming")
    for code in (1000, 1006):
        yield events.ConnectionClosed(code), connected
    yield events.ConnectionClosed(1006, seconds=timers.PROVED_AFTER), connected
    yield events.PlaybackLeft(0.0), world.asked
    yield events.PlaybackLeft(2.5), world.asked and world.unplayed
    answered = context.calls_in("answered")
    unsent = tuple(client.ToolCallOutput(call_id, "sunny") for call_id in answered)
    yield events.ConnectionClosed(1006, unsent=unsent), connected and bool(unsent)
    for name in TIMERS:
        yield EVENTS[name](), name in world.timers
    for event in (*CALLS_OF_LIVEKIT, *done, *THE_END):
        yield event, True
    if "takeovers" in bounds.details:
        for event in TAKEOVERS:
            yield event, context.arrival == "over" and context.state is not State.closed
        yield events.ConnectionClosed(guards.INVALID_STATE), connected
        yield CHECKPOINT, True
    # Something else than before, since the same again is no change.
    instructions = "Be brief." if context.instructions == "Be kind." else "Be kind."
    tools = (WEATHER,) if context.tools == () else ()
    voice = "ann" if context.config.voice_id != "ann" else "ben"
    small = "small_changes" in bounds.details or context.state in NOT_SERVED
    yield events.UpdateInstructions(instructions), small
    yield events.UpdateTools(tools), small
    yield events.UpdateToolChoice(()), False
    yield events.UpdateOptions(config=structs.replace(context.config, voice_id=voice)), True
    reply = context.reply
    pending = reply.request_id if reply else None
    request = "r2" if pending == "r1" else "r1"
    yield events.GenerateReply(request), True
    yield events.GenerateReply(request, "Ask."), True
    yield events.Say(request, "Hello."), True
    streams = "streams" in bounds.details
    yield events.Say(request, "Hel", complete=False), streams
    yield events.SayMore(pending or "r1", "lo.", complete=False), streams
    yield events.SayMore(pending or "r1", "", complete=True), streams
    yield events.CancelReply(pending or "r1"), True


# -- situations ----------------------------------------------------------------------------------

Key = tuple[Any, ...]
Situation = tuple[Key, Context, World]


def key_of(context: Context, world: World) -> Key:
    """What tells one situation from another."""
    if context.state is State.closed:
        return (State.closed, world.phase)
    if context.state is State.last_words:
        return (
            State.last_words,
            world.phase,
            world.audio,
            ticking(context, world),
            world.asked,
            world.unplayed,
            kind_of(context.generation),
            context.unclaimed is not None,
        )
    # Instructions and tools are each told in a small message, and in one reset together.
    changes = "reset" if guards.a_reset_is_due(context) else "small" if context.changes else "none"
    reply = context.reply
    timers = ticking(context, world)
    calls = sorted(call.phase for call in context.calls.values())
    return (
        context.state,
        world.phase,
        timers,
        world.audio,
        world.conversation,
        context.conversation_id is not None,
        context.continuing,
        context.attempts,
        context.connection,
        context.complaint and context.complaint.kind,
        context.arrival,
        bool(context.repeats),
        context.wait if REPLY in timers else "over",
        context.microphone,
        context.instructions is not None,
        context.tools is not None,
        changes,
        kind_of(context.generation),
        context.opening,
        kind_of_unclaimed(context),
        context.caller_speaks,
        context.leftover != "none",
        # Which of the calls is which makes no difference.
        tuple(calls),
        reply and (reply.request_id is not None, how_it_goes_out(reply)),
    )


def ticking(context: Context, world: World) -> frozenset[str]:
    """The timers that run for something: others do nothing when they run out, and stop no other.

    The time in which typed text may come back is about words alone.
    """
    if not world.timers:
        return world.timers
    if context.state is State.last_words:
        return world.timers - {ECHO, REPLY, TURN, CHANGES}
    phase = kind_of(context.generation)
    idle = {ECHO}
    if context.reply is None and phase not in NOT_BEGUN:
        idle.add(REPLY)
    if context.opening == "over":
        idle.add(OPENING)
    if context.leftover == "none" and phase in ("none", *NOT_BEGUN):
        idle.add(TURN)
    if not context.changes or not context.conversing:
        idle.add(CHANGES)
    return world.timers - idle


def kind_of(generation: Generation | None) -> str:
    if generation is None:
        return "none"
    return generation.phase


def kind_of_unclaimed(context: Context) -> str:
    """What LiveKit does not know of: an answer, perhaps with a tool call in it."""
    if context.unclaimed is None:
        return "none"
    calls = any(isinstance(item, FunctionCall) for item in context.unclaimed.items)
    return "a call" if calls else "an answer"


def how_it_goes_out(reply: Reply) -> str:
    """Once it is sent, its message makes no difference any more."""
    if reply.phase != "waiting":
        return reply.phase
    return "by muting" if isinstance(reply.message, client.Mute) else "as a message"


def outputs_in(context: Context) -> set[str]:
    """Calls whose output was given and that Phonic has not taken note of."""
    calls = context.calls.items()
    return {call_id for call_id, call in calls if call.phase in ("answered", "repeated")}


def copy_of(context: Context) -> Context:
    """A copy to go on from; what was said so far is of no concern to the machine."""
    copied = copy(context)
    copied.effects, copied.history, copied.carried = [], History(), ""
    copied.typed, copied.typed_sent = {}, []
    copied.changes, copied.held = set(context.changes), list(context.held)
    copied.repeats = list(context.repeats)
    copied.calls = {call_id: copy(call) for call_id, call in context.calls.items()}
    copied.generation = context.generation and copy(context.generation)
    copied.reply = context.reply and copy(context.reply)
    copied.caller_turns = []
    if unclaimed := context.unclaimed:
        copied.unclaimed = structs.replace(unclaimed, items=list(unclaimed.items))
    return copied


def nothing_happened(step: Step, origin: Context, context: Context) -> bool:
    """The step put out nothing, and the copy that it was taken on is still a copy."""
    if step.effects or context.history.last_id is not None:
        return False
    context.history = origin.history
    return context == origin


# -- what holds --------------------------------------------------------------------------------


def recall(context: Context) -> Before:
    generation, reply = context.generation, context.reply
    return Before(
        # LiveKit has not been told of one that is due.
        generation.response_id if generation and generation.phase != "due" else None,
        context.unclaimed.response_id if context.unclaimed else None,
        reply.request_id if reply else None,
        context.caller_speaks,
        outputs_in(context),
    )


def holds_within(step: Step, before: Before, context: Context) -> None:
    """What must hold of every step, whether its event can happen or not."""
    now = recall(context)
    effects_tell_what_changed(step, before, now)
    replies_end_once(step, before, now)
    state, source = step.target, step.source
    if state is not State.last_words:
        assert (context.generation is not None) == (state is State.speaking)
    if state is State.listening:
        assert now.caller_speaks
    elif state in (State.ready, State.tool_pending):
        assert not now.caller_speaks
        assert bool(context.calls_in("pending")) == (state is State.tool_pending)
    elif state is State.closed:
        assert now == Before(None, None, None, False, set())
    if source is State.closed:
        assert state is State.closed
        assert all(isinstance(effect, effects.RejectReply) for effect in step.effects)


def effects_tell_what_changed(step: Step, before: Before, now: Before) -> None:
    """One generation at a time, each announced once; the caller starts and stops in turn."""
    opened, unannounced = before.generation, before.unclaimed
    announced: effects.OpenGeneration | effects.AnnounceGeneration | None = None
    speaking = before.caller_speaks
    for effect in step.effects:
        if type(effect) in TOLD_OF_NO_TURN:
            continue
        match effect:
            case effects.OpenGeneration(response_id=opening):
                assert opened is unannounced is None
                opened, announced = opening, effect
            case effects.PrepareGeneration(response_id=opening):
                assert opened is unannounced is None
                opened = unannounced = opening
            case effects.AnnounceGeneration(response_id=waiting):
                assert unannounced == waiting
                unannounced, announced = None, effect
            case effects.CloseGeneration(response_id=closing):
                assert opened == closing
                opened = None
            case effects.PushText() | effects.PushAudio() | effects.PushFunctionCall():
                assert opened is not None
            case effects.ResolveReply(response_id=answer):
                assert announced is not None
                assert (announced.response_id, announced.user_initiated) == (answer, True)
            case effects.EmitSpeechStarted():
                assert not speaking
                speaking = True
            case effects.EmitSpeechStopped():
                assert speaking
                speaking = False
    over = step.target in (State.connecting, State.closed)
    if now.unclaimed is None and (over or isinstance(step.event, DROP_AN_ANSWER)):
        unannounced = None
    assert (opened, unannounced, speaking) == (now.generation, now.unclaimed, now.caller_speaks)


TOLD_OF_NO_TURN = frozenset((effects.Send, effects.StartTimer, effects.StopTimer))
"""By far the most of all effects."""

DROP_AN_ANSWER = (
    phonic.UserStartedSpeaking,
    events.ClearAudio,
    events.ConnectionClosed,
    events.TakeOver,
    *get_args(events.SettingsEvent),
    events.UpdateToolChoice,
    phonic.Warning,
)
"""Of which LiveKit knew nothing: the caller speaks on, or a reset or a loss cuts it off."""


ENDS_A_REPLY = (effects.ResolveReply, effects.RejectReply, effects.SupersedeReply)


def replies_end_once(step: Step, before: Before, now: Before) -> None:
    """What was asked for before, or is now, has ended in this step or is still pending."""
    asked = [before.reply] if before.reply else []
    if isinstance(step.event, (events.GenerateReply, events.Say)):
        asked.append(step.event.request_id)
    elif isinstance(step.event, events.CancelReply) and step.event.request_id in asked:
        asked.remove(step.event.request_id)
    ended = [effect.request_id for effect in step.effects if isinstance(effect, ENDS_A_REPLY)]
    assert sorted(asked) == sorted(ended + ([now.reply] if now.reply else []))


OF_A_CONVERSATION = (
    phonic.InputText,
    phonic.InputCancelled,
    phonic.AudioChunk,
    phonic.UserStartedSpeaking,
    phonic.UserFinishedSpeaking,
    phonic.AssistantStartedSpeaking,
    phonic.AssistantFinishedSpeaking,
    phonic.InterruptedResponse,
    phonic.Dtmf,
    phonic.ToolCall,
    phonic.ToolCallInterrupted,
    phonic.ToolCallOutputProcessed,
    phonic.AssistantChoseNotToRespond,
    phonic.AssistantEndedConversation,
)
"""What only a running conversation sends: a lost one has been resumed, whatever was missed."""


def once_it_happened(world: World, event: Event) -> World:
    """The world once an event has happened, before the machine has done anything about it."""
    if isinstance(event, events.TakeOver):
        there = world.conversation or event.conversation_id is not None
        return World(conversation=there, unplayed=world.unplayed)
    world = structs.replace(world, timers=world.timers - {name_of(event)})
    match event:
        case events.ConnectionOpened():
            world.phase = {"opening": "open", "resuming": "reopened"}[world.phase]
        case events.ConnectFailed() | events.ConnectionClosed():
            world.phase = "none"
        case phonic.ConversationReconnected() if world.phase == "reopened":
            world.phase = "configured"
        case _ if world.phase == "reopened" and isinstance(event, OF_A_CONVERSATION):
            world.phase = "configured"
        case phonic.ConversationCreated() if world.phase == "configured":
            world.conversation = True
        case events.LastWordsOver():
            world.unplayed = False
        case events.PlaybackLeft():
            world.asked = False
    return world


def after(world: World, step: Step) -> World:
    """The world once an event has happened and its effects have been carried out."""
    if not step.effects and type(step.event) not in OF_THE_WORLD:
        return world
    world = once_it_happened(world, step.event)
    timers = set(world.timers)
    if step.target is State.last_words is not step.source:
        world.unplayed = True
    for effect in step.effects:
        match effect:
            case effects.Connect(resume=resumed):
                assert world.phase == "none", "one socket at a time"
                assert resumed is None or world.conversation, "resume what was lost, nothing older"
                world.phase = "resuming" if resumed else "opening"
            case effects.Disconnect() | effects.Abandon():
                world.phase = "none"
            case effects.Send(message=client.Config()):
                assert world.phase == "open", "the config is the first message, and sent once"
                world.phase = "configured"
                world.conversation = False
            case effects.Send():
                assert world.phase == "configured", "nothing is sent without config"
                assert State.config_sent is not step.target, "nothing follows until it is taken"
            case effects.SetAudioGate(gate=gate):
                world.audio = gate
            case effects.StartTimer(event=name, seconds=seconds):
                assert name in TIMERS
                assert seconds >= 0
                timers.add(name)
            case effects.AskPlayback():
                assert step.target is State.last_words
                world.asked = True
            case effects.PushAudio() if step.target is State.last_words:
                world.unplayed = True
            case effects.StopTimer(event=name):
                timers.discard(name)
    # The runtime stops what still runs.
    world.timers = frozenset() if step.target is State.closed else frozenset(timers)
    if step.target is State.closed:
        world.asked = world.unplayed = False
    return world


OF_THE_WORLD = frozenset(
    (
        *TIMER_EVENTS,
        *get_args(events.ConnectionEvent),
        phonic.ConversationReconnected,
        phonic.ConversationCreated,
        events.PlaybackLeft,
        events.TakeOver,
    )
)
"""These tell what has happened around the machine."""


def holds_around(step: Step, before: Before, context: Context, world: World) -> None:
    """What must hold of machine and world together, after everything that can happen."""
    state, phase, timers = step.target, world.phase, world.timers
    assert context.leftover == "none" or state not in (State.connecting, State.config_sent)
    if state in CONVERSING:
        assert world.audio == ("muted" if context.microphone == "muted" else "open")
    elif state is State.last_words:
        assert (world.audio == "closed") == (phase == "none")
    else:
        assert world.audio == ("closed" if state is State.closed else "holding")
    if state in CONVERSING:
        assert phase == "configured"
        assert world.conversation == (context.conversation_id is not None)
        assert not context.held

    # Whoever waits has somebody, or a timer, to wait for.
    assert (RETRY in timers) == (
        state in (State.connecting, State.reconnecting) and phase == "none"
    )
    assert (GRACE in timers) == (state is State.reconnecting)
    assert (ANSWER in timers) == (phase == "reopened" or state is State.config_sent)
    assert phase in {
        State.connecting: ("none", "opening"),
        State.awaiting_inputs: ("open",),
        State.config_sent: ("configured",),
        State.reconnecting: ("none", "resuming", "reopened"),
        State.last_words: ("configured", "none"),
        State.closed: ("none",),
    }.get(state, ("configured",))
    assert (state is State.last_words) == (LAST in timers or world.asked)
    generation, reply = context.generation, context.reply
    if state is State.last_words:
        assert reply is None
        return
    # A reply that waits for a turn, or the opening, to end has no time of its own meanwhile.
    held_up = generation is not None or context.opening == "awaited"
    if reply is not None and reply.phase == "waiting" and context.conversing:
        assert held_up
    elif reply is not None and (reply.request_id is not None or state is not State.reconnecting):
        assert REPLY in timers
    if context.opening == "awaited":
        assert OPENING in timers
        assert generation is None
        assert context.conversing
    if generation is not None and generation.phase in NOT_BEGUN:
        assert REPLY in timers
    if generation is not None and generation.phase not in NOT_BEGUN:
        assert TURN in timers
    if context.unclaimed is not None and context.microphone == "muted":
        assert UNCLAIMED in timers
    if context.changes - {"past"} and context.conversing:
        assert CHANGES in timers

    outputs_are_kept(step, before, context)


def outputs_are_kept(step: Step, before: Before, context: Context) -> None:
    """An output that was given is kept until Phonic has taken note of it."""
    over = before.outputs - outputs_in(context)
    sent = [effect.message for effect in step.effects if isinstance(effect, effects.Send)]
    told = sent or context.held or guards.a_reset_is_due(context)
    if step.target in (State.connecting, State.closed):
        return  # the history has it
    if any(isinstance(message, client.Reset) for message in sent):
        return  # it carries the history
    match step.event:
        case phonic.ToolCallOutputProcessed(tool_call_id=call):
            assert over <= {call}
        case phonic.ToolCallInterrupted(tool_call_id=call):
            assert not over or (over == {call} and told)
        case _:
            assert not over or told


# -- the walk ------------------------------------------------------------------------------------


class Walk:
    """Breadth first from a session's first event. Each situation has a number."""

    def __init__(self, config: ConfigOptions, bounds: Bounds) -> None:
        self.situations: dict[Key, int] = {}
        self.leads: list[set[tuple[type[Event], int]]] = []
        """From each situation: what can happen, and to which other one it leads."""
        self.edges = 0
        """Events that can happen, in all situations; those that lead nowhere included."""
        self.steps = 0
        """Events that were fed, those that cannot happen included."""
        self._bounds = bounds
        self._came: list[tuple[int, Event]] = []
        self._waiting: deque[tuple[int, Context, World]] = deque()
        self._machine = SessionMachine(
            Settings(id_seed="seed", config=config, max_retries=bounds.retries)
        )
        opening = events.Open()
        world = after(World(), self._machine.step(opening))
        self._arrive(0, opening, self._machine.context, world)
        while self._waiting:
            self._leave(*self._waiting.popleft())

    def _arrive(self, came_from: int, event: Event, context: Context, world: World) -> int:
        """The number of this situation, which is entered later if it is a new one."""
        number = len(self.leads)
        known = self.situations.setdefault(key_of(context, world), number)
        if known == number:
            self.leads.append(set())
            self._came.append((came_from, event))
            self._waiting.append((number, copy_of(context), world))
        return known

    def _leave(self, here: int, origin: Context, world: World) -> None:
        """Feed every event to this situation."""
        machine = self._machine
        before = recall(origin)
        context = machine.context = copy_of(origin)
        for event, can_happen in all_events(origin, world, self._bounds):
            self.steps += 1
            self.edges += can_happen
            try:
                step = machine.step(event)
                reached = after(world, step) if can_happen else world
                if nothing_happened(step, origin, context):
                    replies_end_once(step, before, before)
                    if reached is world:
                        continue
                else:
                    holds_within(step, before, context)
                if can_happen:
                    holds_around(step, before, context, reached)
                    self._follow(here, event, context, reached)
            except Exception as error:
                raise AssertionError(f"after {self._way_to(here)}: {event}") from error
            context = machine.context = copy_of(origin)

    def _follow(self, here: int, event: Event, context: Context, world: World) -> None:
        if "complaints" not in self._bounds.details:
            context.complaint = None
        if "former_calls" not in self._bounds.details:
            for call_id in context.calls_in("over"):
                del context.calls[call_id]
        there = self._arrive(here, event, context, world)
        if there != here:
            self.leads[here].add((type(event), there))
        elif isinstance(event, TIMER_EVENTS):
            assert name_of(event) not in ticking(context, world), "again and again, for ever"

    def _way_to(self, number: int) -> list[Event]:
        way: list[Event] = []
        while number:
            number, event = self._came[number]
            way.insert(0, event)
        return way


# -- what holds of the whole ---------------------------------------------------------------------


Leads = list[set[int]]
"""From each situation, the others that it leads to."""


def can_reach(leads: Leads, ends: set[int]) -> set[int]:
    """The situations from which one of these can be reached."""
    sources: dict[int, list[int]] = {}
    for number, targets in enumerate(leads):
        for target in targets:
            sources.setdefault(target, []).append(number)
    reached, waiting = set(ends), list(ends)
    while waiting:
        new = set(sources.get(waiting.pop(), ())) - reached
        reached |= new
        waiting += new
    return reached


def only(walk: Walk, *kinds: type[Any]) -> Leads:
    """Where these kinds of events lead."""
    return [{target for kind, target in leads if issubclass(kind, kinds)} for leads in walk.leads]


def longest_way(leads: Leads) -> int:
    """How many events there can be before nothing more can happen; a circle raises."""
    steps: dict[int, int] = {}
    for number in TopologicalSorter(dict(enumerate(leads))).static_order():
        steps[number] = max((steps[target] + 1 for target in leads[number]), default=0)
    return max(steps.values())


def test_a_copy_to_go_on_from_shares_nothing_that_can_change():
    machine = SessionMachine(Settings(id_seed="seed", config=USUAL))
    copied = copy_of(machine.context)
    for name in machine.context.__struct_fields__:
        value = getattr(machine.context, name)
        assert getattr(copied, name) is not value or not isinstance(value, (list, dict, set)), name


COMPLAINING = Bounds(1, 0, frozenset({"complaints"}))
DETAILED = Bounds(1, 0, frozenset({"small_changes", "streams", "former_calls"}))
TAKEN_OVER = Bounds(1, 0, frozenset({"takeovers"}))


WALKS = [
    pytest.param(USUAL, Bounds(2, 1), 6_000, 280_000, id="usual"),
    pytest.param(PUSH_TO_TALK, Bounds(1, 0), 7_700, 350_000, id="push_to_talk"),
    pytest.param(WELCOMING, COMPLAINING, 3_300, 155_000, id="welcoming"),
    pytest.param(OVERLAPPING, DETAILED, 5_900, 310_000, id="overlapping"),
    pytest.param(USUAL, TAKEN_OVER, 3_800, 190_000, id="taken_over"),
]
WALK = os.environ.get("WALK", "each")
assert WALK in ("each", "whole"), f"WALK={WALK} is neither each nor whole"


@pytest.mark.parametrize(("config", "bounds", "situations", "edges"), WALKS)
def test_the_machine_keeps_its_promises_wherever_it_gets(config, bounds, situations, edges):
    if WALK == "whole":
        bounds = structs.replace(bounds, details=DETAILS)
    walk = Walk(config, bounds)
    by_itself = only(walk, *TIMER_EVENTS, events.PlaybackLeft, *get_args(events.ConnectionEvent))
    longest = longest_way(by_itself)
    print(  # noqa: T201 - shown by pytest -rP
        f"{len(walk.leads):,} situations, {walk.edges:,} edges, {walk.steps:,} steps; "
        f"without a server or a caller, closed after at most {longest} events"
    )
    closed = {number for key, number in walk.situations.items() if key[0] is State.closed}
    at_rest = {number for key, number in walk.situations.items() if key[0] is State.ready}

    # The walk has not shrunk.
    assert len(walk.leads) >= situations
    assert walk.edges >= edges
    assert {key[0] for key in walk.situations} == set(State)
    # aclose() ends everything, a fault too.
    assert set().union(*only(walk, events.Close, events.Break)) <= closed
    # No situation is a trap: without being closed, each can come to rest again, or end.
    lively = only(
        walk, *(kind for kind in EVENTS.values() if kind not in (events.Close, events.Break))
    )
    assert can_reach(lively, at_rest | closed) == set(range(len(walk.leads)))
    # None waits for ever: if only time passes and the network fails, each ends.
    assert {number for number, leads in enumerate(by_itself) if not leads} == closed
