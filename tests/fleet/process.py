"""A job's process in virtual time: one session with the real machine, its journal and its fence."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fleet.phonic import Connection
from fleet.store import BEAT

from phonic_fsm._core import effects, events
from phonic_fsm._core.context import Settings
from phonic_fsm._core.events import EVENTS, Event
from phonic_fsm._core.history import FunctionCallOutput, Message
from phonic_fsm._core.machine import SessionMachine, Step
from phonic_fsm._core.reading import READ
from phonic_fsm._core.states import CONVERSING, State
from phonic_fsm._runtime.fence import AT_ONCE, MOST_THROWN_OUT
from phonic_fsm._runtime.lease import Verdict
from phonic_fsm._runtime.secrets import Secrets
from phonic_fsm._wire import client, server
from phonic_fsm._wire.config import InlineTool
from phonic_fsm.durable._fold import Folded, fold
from phonic_fsm.durable._journal import INTERVAL, LINGER, PAUSE
from phonic_fsm.durable._store import (
    STILL_SECONDS,
    Ended,
    Holder,
    OwnershipLost,
    StoreFailed,
    Taken,
)
from phonic_fsm.trace._lines import StepLines

if TYPE_CHECKING:
    from fleet.fleet import Call, Fleet, Worker

STARTED = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""When virtual time began, for headers."""

ASKING = 0.005
"""Seconds that the store takes to answer."""

NO_ANSWER = 1.0
"""Seconds until it is clear that it does not answer."""

REMOVING = 0.05
"""Seconds that LiveKit takes to remove the participant of the process before."""

AGENT = 0.1
"""Seconds from a recovery to the session."""

TOOLS = (
    InlineTool(
        {
            "type": "function",
            "function": {
                "name": "look_up",
                "description": "Looks something up.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ),
)

Recover = Callable[["Process", Folded], SessionMachine]
"""What a successor goes on from; a test puts a wrong one in its place."""


def lines_of(settings: Settings, steps: list[tuple[float, Step]]) -> list[bytes]:
    """The journal that these steps make, as the recorder writes it."""
    lines = StepLines(settings, Secrets())
    return (lines.header(STARTED) + lines.of(steps)).splitlines(keepends=True)


class Process:
    """Alive until ``died`` says when it was not any more."""

    def __init__(self, fleet: Fleet, call: Call, worker: Worker) -> None:
        self.call = call
        self.zone = worker.zone
        self.worker = worker
        self.died: float | None = None
        self.is_lost = False
        """Whether it knows that the call is another's."""
        self.replaced_at = 0.0
        """When another process has taken the call over."""
        self.machine = SessionMachine(Settings(id_seed=call.name))
        self.connection: Connection | None = None
        self._fleet, self._clock = fleet, fleet.clock
        self._phase = fleet.rng.random() * BEAT
        self._queue: deque[Event] = deque()
        self._is_stepping = False
        self._timers: dict[str, int] = {}
        self._timer_count = 0
        self._unwritten: list[tuple[float, Step]] = []
        self._offers_again = False
        self._has_journal = False
        self._owner_since = 0.0
        self._thrown_out = 0
        self._settled: set[str] = set()
        """The tool calls of which Phonic has said that they are over."""
        self._heard: list[str] = []
        """What the caller has said, as it was accepted."""
        self._holder = Holder(self.zone, 1, 0.0, call.name, call.name)

    # -- its life --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a new call."""
        self._has_journal, self._owner_since = True, self._clock.now
        self._fleet.store.begin(self.call.name, self._holder, self)
        self.dispatch(events.Open())
        self.dispatch(events.UpdateSession(instructions="Be brief.", tools=TOOLS, items=()))

    def recover(self) -> None:
        """Take the call over, as a successor does."""
        store, name = self._fleet.store, self.call.name
        entry = store.journals[name]
        former = entry.lease.owner
        try:
            status = store.status(name)
            self._fleet.rules.take_over(store, name, self._holder, self, self.zone)
        except (Taken, Ended, StoreFailed):
            self.leave()
            return
        self._has_journal, self._owner_since = True, self._clock.now
        if former.died is None and status.held == "held":
            self._fleet.ledger.breach(name, "an owner whose heart beats was replaced")
        former.replaced_at = self._clock.now
        died = max(self._clock.now - status.beat_age, entry.steps[-1][0] if entry.steps else 0.0)
        settings = self.machine.context.settings
        folded = fold(lines_of(settings, entry.steps))
        self.machine = self._fleet.rules.recover(self, folded)
        for _, step in entry.steps:
            self._note(step)
        if self.machine.state is State.closed:
            self._finish()
            return
        self._judge_history()
        self._clock.after(REMOVING, former.be_removed)
        lost_at = folded.account.lost_at
        lost = died if lost_at is None or self.machine.state is not State.reconnecting else lost_at
        self._clock.after(AGENT, self._go_on, lost, folded.account.unheard(died))

    def _go_on(self, lost: float, unheard: tuple[events.Unheard, ...]) -> None:
        if self.died is not None:
            return
        lost_for = round(self._clock.now - lost, 3)
        self.call.process = self
        self.dispatch(events.TakeOver(lost_for=lost_for, unheard=unheard))
        items = tuple(self.machine.context.history)
        self.dispatch(events.UpdateSession(instructions="Be brief.", tools=TOOLS, items=items))

    def die(self) -> None:
        """Be killed: what was not written is lost, and the socket breaks off."""
        if self.died is not None:
            return
        now = self._clock.now
        written = [one for one in self._unwritten if one[0] <= now - INTERVAL]
        if written and not self.is_lost:
            self._append(written)
        self.leave()
        if self.connection is not None and self.connection.is_open:
            self._fleet.phonic.lose(self.connection)
        self._fleet.store.suspects.add(self.call.name)
        if self.call.process is self and not self.call.is_over:
            self._fleet.ledger.lose(self.call.name, now)

    def leave(self) -> None:
        """Be gone, with nothing left to do."""
        if self.died is None:
            self.died = self._clock.now
            self.worker.jobs.discard(self)

    def move(self) -> None:
        """Hand the call over for a deploy, and go."""
        if self.died is not None or self.machine.state is State.closed:
            return
        self._flush()
        try:
            self._fleet.store.finish(self.call.name, self, released=True)
        except (OwnershipLost, StoreFailed):
            return
        self._fleet.ledger.lose(self.call.name, self._clock.now)
        self._lose_call()

    def be_removed(self) -> None:
        """LiveKit has removed its participant, so its ``AgentSession`` closes."""
        if self.died is None and not self.is_lost:
            self.dispatch(events.Close())

    # -- the machine -----------------------------------------------------------------------------

    def hear(self, connection: Connection, event: Event) -> None:
        """Something comes over a connection, or of one."""
        if self.died is not None or connection is not self.connection:
            return
        if isinstance(event, events.ConnectionClosed):
            at_once = connection.resume is not None and event.seconds < AT_ONCE
            self._thrown_out = self._thrown_out + 1 if at_once else 0
        self.dispatch(event)

    def dispatch(self, event: Event) -> None:
        self._queue.append(event)
        if self._is_stepping:
            return
        self._is_stepping = True
        while self._queue and self.died is None:
            self._step(self._queue.popleft())
        self._is_stepping = False

    def _step(self, event: Event) -> None:
        if isinstance(event, READ):
            event = self.machine.read(event)
        step = self.machine.step(event)
        self._unwritten.append((self._clock.now, step))
        if not isinstance(event, server.AudioChunk):
            self._flush()
        self._note(step)
        self._count(step)
        own_only = isinstance(event, events.TakeOver)
        for effect in step.effects:
            if not own_only or isinstance(effect, OWN):
                do = _DO.get(type(effect))
                if do is not None:
                    do(self, effect)
        if step.target is State.closed and step.source is not State.closed:
            self._judge_history()
            if self.is_lost:
                self.leave()
            else:
                self._clock.after(LINGER, self._finish)

    def _note(self, step: Step) -> None:
        event = step.event
        if isinstance(event, server.ToolCallOutputProcessed):
            self._settled.add(event.tool_call_id)
        elif isinstance(event, server.InputText) and step.source in CONVERSING:
            self._heard.append(event.text)

    def _count(self, step: Step) -> None:
        ledger, name, now = self._fleet.ledger, self.call.name, self._clock.now
        source, target = step.source, step.target
        if self.call.is_over:
            return
        if source in CONVERSING and target not in CONVERSING and target is not State.closed:
            ledger.lose(name, now, owed=self.machine.context.reply is not None)
        if target in CONVERSING and source not in CONVERSING:
            resumed = isinstance(step.event, server.ConversationReconnected)
            ledger.regain(name, now, "resumed" if resumed else "afresh")
            if self.call.is_poison and now >= self._fleet.fault:
                self._clock.after(0.5, self.die)
        if target is State.closed and source is not State.closed and not self.is_lost:
            ledger.lose(name, now)
            if isinstance(step.event, events.Close):
                # LiveKit has removed it for a successor, which goes on with the call.
                ledger.counts["removed from the room"] += 1
            else:
                ledger.regain(name, now, "lost")
                self.call.end()

    def _judge_history(self) -> None:
        """What was accepted is still there."""
        said = [i.text for i in self.machine.context.history if isinstance(i, Message)]
        for text in self._heard:
            if text not in said:
                self._fleet.ledger.breach(self.call.name, f"lost: {text!r}")

    # -- effects ---------------------------------------------------------------------------------

    def _connect(self, effect: effects.Connect) -> None:
        self.connection = connection = Connection(self, effect.resume)
        seconds = ASKING if self.reaches_store else NO_ANSWER
        self._clock.after(seconds, self._connect_if_ours, connection)

    def _connect_if_ours(self, connection: Connection) -> None:
        if self.died is not None or connection is not self.connection:
            return
        verdict = self._verdict()
        if verdict == "lost" or (verdict == "unknown" and self._thrown_out >= MOST_THROWN_OUT):
            self._lose_call()
            return
        self._judge_owner("a connection was opened")
        self._fleet.phonic.connect(connection)

    def _disconnect(self, _: effects.Disconnect) -> None:
        connection, self.connection = self.connection, None
        if connection is None or not connection.is_open:
            return
        beaten = max(self._fleet.store.last_beat(self), self._owner_since)
        is_safe = self._clock.now - beaten < STILL_SECONDS
        if self._fleet.rules.may_end(self._verdict(), is_safe=is_safe):
            self._judge_owner("a conversation was closed", must_know=True)
            self._fleet.phonic.close(connection)
        else:
            self._fleet.phonic.lose(connection)

    def _abandon(self, _: effects.Abandon) -> None:
        connection, self.connection = self.connection, None
        if connection is not None and connection.is_open:
            self._fleet.phonic.lose(connection)

    def _send(self, effect: effects.Send) -> None:
        connection, message = self.connection, effect.message
        if connection is None or not connection.is_open:
            return
        self._judge_owner("a message was sent", has_asked=False)
        if isinstance(message, client.ToolCallOutput) and message.tool_call_id in self._settled:
            self._fleet.ledger.breach(self.call.name, f"output twice: {message.tool_call_id}")
        if isinstance(message, client.Config):
            prompt = message.system_prompt or ""
            for text in self._heard:
                if text not in str(prompt):
                    self._fleet.ledger.breach(self.call.name, f"not in the prompt: {text!r}")
        self._fleet.phonic.receive(connection, message)

    def _start_timer(self, effect: effects.StartTimer) -> None:
        self._timer_count += 1
        self._timers[effect.event] = self._timer_count
        self._clock.after(effect.seconds, self._ring, effect.event, self._timer_count)

    def _stop_timer(self, effect: effects.StopTimer) -> None:
        self._timers.pop(effect.event, None)

    def _ring(self, name: str, number: int) -> None:
        if self.died is None and self._timers.get(name) == number:
            del self._timers[name]
            self.dispatch(EVENTS[name]())

    def _run_tool(self, effect: effects.PushFunctionCall) -> None:
        rng = self._fleet.rng
        seconds = 7.0 if rng.random() < 0.03 else rng.uniform(0.1, 2.0)
        self._clock.after(seconds, self._give_output, effect)

    def _give_output(self, effect: effects.PushFunctionCall) -> None:
        if self.died is not None or self.machine.state is State.closed:
            return
        last = self.machine.context.history.last_id
        output = FunctionCallOutput(f"out_{effect.call_id}", effect.call_id, effect.name, "done")
        self.dispatch(events.UpdateChatContext(added=(events.Addition(last, output),)))

    def _say(self, _: effects.PushText) -> None:
        self.call.hear_voice()

    def _end_answer(self, effect: effects.CloseGeneration) -> None:
        if not effect.interrupted:
            self.call.hear_end()

    def _tell_playback(self, _: effects.AskPlayback) -> None:
        self._queue.append(events.PlaybackLeft(0.0))

    # -- the journal and the fence ---------------------------------------------------------------

    @property
    def reaches_store(self) -> bool:
        try:
            self._fleet.store.reach(self.zone)
        except StoreFailed:
            return False
        return True

    def beat_before(self, time: float) -> float:
        """When its heart last beat before that time."""
        return math.floor((time - self._phase) / BEAT) * BEAT + self._phase

    def learn_later(self) -> None:
        """Its lease is another's: the next heartbeat shows it."""
        if self.died is None and not self.is_lost:
            now = self._clock.now
            self._clock.after(self.beat_before(now) + BEAT - now, self._learn)

    def _learn(self) -> None:
        if self.died is not None or self.is_lost or not self._has_journal:
            return
        verdict = self._verdict()
        if verdict == "lost":
            self._lose_call()
        elif verdict == "unknown":
            self._clock.after(BEAT, self._learn)

    def _verdict(self) -> Verdict:
        try:
            self._fleet.rules.check(self._fleet.store, self.call.name, self)
        except OwnershipLost:
            return "lost"
        except StoreFailed:
            return "unknown"
        return "ours"

    def _lose_call(self) -> None:
        self.is_lost = True
        self.dispatch(events.LeaseLost())
        self.leave()

    def _judge_owner(self, what: str, *, has_asked: bool = True, must_know: bool = False) -> None:
        """Who does this must be the owner. If it has not asked before, it may not know for a
        heartbeat that it no longer is; and as long as the store does not answer, unless it must."""
        lease, now = self._fleet.store.journals[self.call.name].lease, self._clock.now
        if lease.owner is self and lease.held and lease.open:
            return
        could_ask_since = max(
            [self.replaced_at]
            + [end for _, end in self._fleet.store.outages(self.zone) if end <= now]
        )
        if not (self.reaches_store or must_know):
            self._fleet.ledger.counts[f"{what} by one that could not ask"] += 1
        elif not has_asked and now - could_ask_since <= BEAT:
            self._fleet.ledger.counts[f"{what} by one that did not know yet"] += 1
        else:
            self._fleet.ledger.breach(self.call.name, f"{what} by one that is not the owner")

    def _flush(self) -> None:
        if self._unwritten and self._has_journal and not self.is_lost:
            self._append(self._unwritten)

    def _append(self, steps: list[tuple[float, Step]]) -> None:
        try:
            self._fleet.store.append(self.call.name, self, steps)
            self._unwritten = []
        except OwnershipLost:
            self.learn_later()
        except StoreFailed:
            if not self._offers_again and self.died is None:
                self._offers_again = True
                self._clock.after(PAUSE, self._offer_again)

    def _offer_again(self) -> None:
        self._offers_again = False
        if self.died is None:
            self._flush()

    def _finish(self) -> None:
        """The call is over: end its journal, and go."""
        if self.died is not None:
            return
        self._flush()
        try:
            self._fleet.store.finish(self.call.name, self, released=False)
        except StoreFailed:
            self._clock.after(PAUSE, self._finish)
            return
        except OwnershipLost:
            self.is_lost = True
        self.leave()


_DO: dict[type[Any], Callable[[Process, Any], None]] = {
    effects.Connect: Process._connect,
    effects.Disconnect: Process._disconnect,
    effects.Abandon: Process._abandon,
    effects.Send: Process._send,
    effects.StartTimer: Process._start_timer,
    effects.StopTimer: Process._stop_timer,
    effects.PushFunctionCall: Process._run_tool,
    effects.PushText: Process._say,
    effects.CloseGeneration: Process._end_answer,
    effects.AskPlayback: Process._tell_playback,
}

OWN = (
    effects.Connect,
    effects.Disconnect,
    effects.Abandon,
    effects.Send,
    effects.StartTimer,
    effects.StopTimer,
)
"""What a runtime carries out itself: the first step of a successor concerns another LiveKit."""
