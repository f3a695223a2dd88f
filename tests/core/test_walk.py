"""The machine, walked: every situation that it can get into, and every event in each of them.

The walk keeps a small model of the world around the machine (the socket, the timers that run,
the caller's audio gate), so it knows what can happen next. Situations that differ only in what
was said, in ids and in how often something was counted are one. From each of them every kind of
event is fed. What can happen is followed; what cannot (a timer that does not run, a message
without a socket) must still do no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from typing import Any, get_args

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


class Bounds(Struct, frozen=True):
    """What one walk goes into; without bounds it would be endless, with all at once too long."""

    calls: int
    """Tool calls that are known at a time."""
    retries: int
    """Attempts to connect again."""
    details: bool
    """Whether it follows changes in mid-conversation that need no reset, texts that come as a
    stream and errors of Phonic's there, and remembers calls that a lost conversation made."""
    takeovers: bool = False
    """Whether another process takes the session over, wherever it is."""


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
ERROR = phonic.Error(phonic.Problem("bad"), {"voice_id": "unknown"})
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
    events.TakeOver(lost_for=1.0, repeatable=("weather",)),
)
"""They need a walk of their own: what they lead to is what a lost connection leads to."""
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
    said += [phonic.Error(phonic.Problem("nobody waits for it"), calls=(call,)) for call in calls]
    done = {calls, *((call,) for call in calls)}
    return tuple(said), (*(outputs_of(*some) for some in sorted(done)), SILENT_OUTPUT)


def all_events(context: Context, world: World, bounds: Bounds) -> Iterator[tuple[Event, bool]]:
    """Every kind of event, and whether the walk is to follow it."""
    said, done = about(*CALLS[: bounds.calls])
    connected = world.phase in ("open", "reopened", "configured")
    yield events.Open(), False
    for event in (*SERVER, *said):
        yield event, connected
    yield ERROR, connected and (bounds.details or not context.conversing)
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
    if bounds.takeovers:
        for event in TAKEOVERS:
            yield event, context.arrival == "over" and context.state is not State.closed
        yield events.ConnectionClosed(guards.INVALID_STATE), connected
        yield CHECKPOINT, True
    # Something else than before, since the same again is no change.
    instructions = "Be brief." if context.instructions == "Be kind." else "Be kind."
    tools = (WEATHER,) if context.tools == () else ()
    voice = "ann" if context.config.voice_id != "ann" else "ben"
    small = bounds.details or context.state in NOT_SERVED
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
    yield events.Say(request, "Hel", complete=False), bounds.details
    yield events.SayMore(pending or "r1", "lo.", complete=False), bounds.details
    yield events.SayMore(pending or "r1", "", complete=True), bounds.details
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
        context.complaint is not None,
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
        tuple(sorted(what_of(context, call) for call in CALLS)),
        reply and (reply.request_id is not None, how_it_goes_out(reply)),
    )


def ticking(context: Context, world: World) -> frozenset[str]:
    """The timers that run for something: others do nothing when they run out, and stop no other.

    The time in which typed text may come back is about words alone.
    """
    idle = {REPLY, TURN, CHANGES} if context.state is State.last_words else set()
    idle.add(ECHO)
    if context.reply is None and kind_of(context.generation) not in NOT_BEGUN:
        idle.add(REPLY)
    if context.opening == "over":
        idle.add(OPENING)
    if context.leftover == "none" and kind_of(context.generation) in ("none", *NOT_BEGUN):
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


def what_of(context: Context, call_id: str) -> str:
    call = context.calls.get(call_id)
    return call.phase if call else "none"


def outputs_in(context: Context) -> set[str]:
    """Calls whose output was given and that Phonic has not taken note of."""
    return {*context.calls_in("answered"), *context.calls_in("repeated")}


def copy_of(context: Context) -> Context:
    """A copy to go on from; what was said so far is of no concern to the machine."""
    generation, reply, unclaimed = context.generation, context.reply, context.unclaimed
    return structs.replace(
        context,
        history=History(),
        carried="",
        typed={},
        typed_sent=[],
        changes=set(context.changes),
        held=list(context.held),
        repeats=list(context.repeats),
        calls={call_id: structs.replace(call) for call_id, call in context.calls.items()},
        generation=generation and structs.replace(generation),
        reply=reply and structs.replace(reply),
        unclaimed=unclaimed and structs.replace(unclaimed, items=list(unclaimed.items)),
    )


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
    if isinstance(step.event, events.GenerateReply | events.Say):
        asked.append(step.event.request_id)
    elif isinstance(step.event, events.CancelReply) and step.event.request_id in asked:
        asked.remove(step.event.request_id)
    ended = [effect.request_id for effect in step.effects if isinstance(effect, ENDS_A_REPLY)]
    assert sorted(asked) == sorted(ended + ([now.reply] if now.reply else []))


def after(world: World, step: Step) -> World:
    """The world once an event has happened and its effects have been carried out."""
    world = structs.replace(world)
    timers = set(world.timers) - {name_of(step.event)}
    if isinstance(step.event, events.TakeOver):
        world, timers = World(conversation=world.conversation, unplayed=world.unplayed), set()
    match step.event:
        case events.ConnectionOpened():
            world.phase = {"opening": "open", "resuming": "reopened"}[world.phase]
        case events.ConnectFailed() | events.ConnectionClosed():
            world.phase = "none"
        case phonic.ConversationReconnected() if world.phase == "reopened":
            world.phase = "configured"
        case phonic.ConversationCreated() if world.phase == "configured":
            world.conversation = True
        case events.LastWordsOver():
            world.unplayed = False
        case events.PlaybackLeft():
            world.asked = False
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

    # An output that was given is kept until Phonic has taken note of it.
    if state not in (State.connecting, State.closed):
        over = before.outputs - outputs_in(context)
        sent = any(isinstance(effect, effects.Send) for effect in step.effects)
        told = sent or context.held or guards.a_reset_is_due(context)
        match step.event:
            case phonic.ToolCallOutputProcessed(tool_call_id=call):
                assert over <= {call}
            case phonic.ToolCallInterrupted(tool_call_id=call):
                assert not over or (over == {call} and told)
            case _:
                assert not over or told


# -- the walk ------------------------------------------------------------------------------------


class Walk:
    """Breadth first from a session's first event."""

    def __init__(self, config: ConfigOptions, bounds: Bounds) -> None:
        self.edges: dict[Key, list[tuple[Event, Key]]] = {}
        """From each situation: what can happen, and where it leads."""
        self.steps = 0
        """Events that were fed, those that cannot happen included."""
        self._bounds = bounds
        self._came: dict[Key, tuple[Key, Event]] = {}
        self._machine = SessionMachine(
            Settings(id_seed="seed", config=config, max_retries=bounds.retries)
        )
        world = after(World(), self._machine.step(events.Open()))
        origin = self._machine.context
        start = key_of(origin, world)
        waiting = deque([(start, origin, world)])
        self.edges[start] = []
        while waiting:
            key, context, world = waiting.popleft()
            for event, target, context_then, world_then in self._leave(key, context, world):
                if target not in self.edges:
                    self.edges[target] = []
                    self._came[target] = key, event
                    waiting.append((target, context_then, world_then))

    def _leave(
        self, key: Key, origin: Context, world: World
    ) -> Iterator[tuple[Event, Key, Context, World]]:
        machine = self._machine
        machine.context = copy_of(origin)
        for event, followed in all_events(origin, world, self._bounds):
            context = machine.context
            before = recall(context)
            try:
                step = machine.step(event)
                holds_within(step, before, context)
                reached = after(world, step) if followed else world
                if followed:
                    holds_around(step, before, context, reached)
            except Exception as error:
                raise AssertionError(f"after {self._way_to(key)}: {event}") from error
            self.steps += 1
            if not self._bounds.details:
                for call_id in context.calls_in("over"):
                    del context.calls[call_id]
            target = key_of(context, reached)
            restarted = name_of(event) in ticking(context, reached)
            assert not restarted or target != key, f"after {self._way_to(key)}: {event} for ever"
            if followed:
                self.edges[key].append((event, target))
                yield event, target, context, reached
            if step.effects or target != key:
                machine.context = copy_of(origin)

    def _way_to(self, key: Key) -> list[Event]:
        way: list[Event] = []
        while key in self._came:
            key, event = self._came[key]
            way.insert(0, event)
        return way


# -- what holds of the whole ---------------------------------------------------------------------


def can_reach(edges: dict[Key, list[tuple[Event, Key]]], ends: set[Key]) -> set[Key]:
    """The situations from which one of these can be reached."""
    sources: dict[Key, set[Key]] = {}
    for key, leads in edges.items():
        for _, target in leads:
            sources.setdefault(target, set()).add(key)
    reached, waiting = set(ends), list(ends)
    while waiting:
        new = sources.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return reached


def only(walk: Walk, *kinds: type[Any]) -> dict[Key, list[tuple[Event, Key]]]:
    """The walk's edges of some kinds of events, as far as they lead anywhere."""
    return {
        key: [(event, to) for event, to in leads if isinstance(event, kinds) and to != key]
        for key, leads in walk.edges.items()
    }


def longest_way(edges: dict[Key, list[tuple[Event, Key]]]) -> int:
    """How many events there can be before nothing more can happen; a circle raises."""
    steps: dict[Key, int] = {}
    order = TopologicalSorter({key: {t for _, t in leads} for key, leads in edges.items()})
    for key in order.static_order():
        steps[key] = max((steps[target] + 1 for _, target in edges[key]), default=0)
    return max(steps.values())


@pytest.mark.parametrize(
    ("config", "bounds", "situations", "edges"),
    [
        pytest.param(USUAL, Bounds(2, 1, False), 2_100, 90_000, id="usual"),
        pytest.param(WELCOMING, Bounds(1, 0, False), 1_000, 10_000, id="welcoming"),
        pytest.param(OVERLAPPING, Bounds(1, 0, True), 1_700, 75_000, id="overlapping"),
        pytest.param(PUSH_TO_TALK, Bounds(1, 0, False), 4_000, 170_000, id="push_to_talk"),
        pytest.param(USUAL, Bounds(1, 0, False, True), 1_000, 10_000, id="taken_over"),
    ],
)
def test_the_machine_keeps_its_promises_wherever_it_gets(config, bounds, situations, edges):
    walk = Walk(config, bounds)
    seen = sum(map(len, walk.edges.values()))
    by_itself = only(walk, *TIMER_EVENTS, events.PlaybackLeft, *get_args(events.ConnectionEvent))
    longest = longest_way(by_itself)
    print(  # noqa: T201 - shown by pytest -rP
        f"{len(walk.edges):,} situations, {seen:,} edges, {walk.steps:,} steps; "
        f"without a server or a caller, closed after at most {longest} events"
    )
    closed = {key for key in walk.edges if key[0] is State.closed}
    at_rest = {key for key in walk.edges if key[0] is State.ready}

    # The walk has not shrunk.
    assert len(walk.edges) >= situations
    assert seen >= edges
    assert {key[0] for key in walk.edges} == set(State)
    # aclose() ends everything, a fault too.
    for leads in only(walk, events.Close, events.Break).values():
        assert {target for _, target in leads} <= closed
    # No situation is a trap: without being closed, each can come to rest again, or end.
    lively = only(
        walk, *(kind for kind in EVENTS.values() if kind not in (events.Close, events.Break))
    )
    assert can_reach(lively, at_rest | closed) == set(walk.edges)
    # None waits for ever: if only time passes and the network fails, each ends.
    assert {key for key, leads in by_itself.items() if not leads} == closed
