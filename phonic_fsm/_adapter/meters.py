"""Makes OpenTelemetry metrics of a session's steps: the figures that a fleet is run by.

They go to the meter provider of the process, as LiveKit's own do. Names, units and attributes
follow OpenTelemetry's conventions. No attribute holds what somebody said, an id, or anything else
of which there is no end: a tool has the name that its author gave it, and of the parts of a
latency, which Phonic names, the first ``MOST_PARTS`` have series of their own.

If no provider is set, no session has meters. A fault in a provider ends a session's metrics, never
the call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from itertools import islice
from typing import Any, NamedTuple

from msgspec import Struct
from opentelemetry import metrics

from .._audio.formats import WireFormat
from .._core import effects, events
from .._core.events import name_of
from .._core.machine import Step
from .._core.states import CONVERSING, State
from .._runtime.caller_meter import Passage
from .._runtime.faults import log_fault_of_others
from .._runtime.secrets import Secrets
from .._wire.bounds import Bound
from .._wire.server import LONGEST_NAME
from .metrics import MOST_TIMINGS
from .moving import MoveOutcome

STATE = "phonic.state"
START = "phonic.conversation.start"
OUTCOME = "phonic.outcome"
EVENT = "phonic.event"
PART = "phonic.response.part"
FATE = "phonic.audio.fate"
BOUND = "phonic.bound"
CAUSE = "phonic.takeover.cause"
ERROR_TYPE = "error.type"
TOOL_NAME = "gen_ai.tool.name"

MOST_PARTS = 20
"""The most names of Phonic's for the parts of a latency. Further ones are counted as ``other``."""

MOST_OPEN_CALLS = 1_000
"""Tool calls that Phonic has not settled. Before one more begins, they are counted as abandoned."""

SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Upper ends of the buckets for what a caller waits for."""

STORE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper ends of the buckets for a store of journals."""

CALL_SECONDS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0)
"""Upper ends of the buckets for a whole session."""


class Metric(NamedTuple):
    """One metric, as the documentation lists it and as a provider makes it."""

    kind: str
    """``counter``, ``up_down_counter`` or ``histogram``, as in OpenTelemetry's API."""
    name: str
    unit: str
    says: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def make(self, meter: metrics.Meter) -> Any:
        further = {"explicit_bucket_boundaries_advisory": self.buckets} if self.buckets else {}
        create = getattr(meter, f"create_{self.kind}")
        return create(self.name, unit=self.unit, description=self.says, **further)


SESSIONS = Metric(
    "up_down_counter", "phonic.session.active", "{session}", "Sessions, by their state.", (STATE,)
)
SESSION_DURATION = Metric(
    "histogram",
    "phonic.session.duration",
    "s",
    "How long a session lasted; with the error that ended it, if one did.",
    (ERROR_TYPE,),
    CALL_SECONDS,
)
CONVERSATIONS = Metric(
    "counter",
    "phonic.conversation.starts",
    "{conversation}",
    "Conversations that were opened: new, resumed after an outage, or begun afresh after one.",
    (START,),
)
OUTAGE = Metric(
    "histogram",
    "phonic.outage.duration",
    "s",
    "From the loss of an open conversation until one is open again (resumed or fresh) or the "
    "session ends (given_up), with the event by which it was lost.",
    (OUTCOME, EVENT),
    SECONDS,
)
LATENCY = Metric(
    "histogram",
    "phonic.response.latency",
    "s",
    "From the end of the caller's speech, as Phonic tells it, to the first audio of the answer.",
    (),
    SECONDS,
)
PARTS = Metric(
    "histogram",
    "phonic.response.part.duration",
    "s",
    "Phonic's own breakdown of that latency, under Phonic's names.",
    (PART,),
    SECONDS,
)
INTERRUPTIONS = Metric(
    "counter", "phonic.interruptions", "{interruption}", "Answers that were cut off."
)
TOOL_CALLS = Metric(
    "histogram",
    "phonic.tool_call.duration",
    "s",
    "From a tool call until Phonic has processed its output, has given it up, or the caller has "
    "interrupted it.",
    (TOOL_NAME, OUTCOME),
    SECONDS,
)
REPLIES_FAILED = Metric(
    "counter",
    "phonic.reply.failures",
    "{reply}",
    "Replies that were asked for and did not come: timed_out, declined, closed.",
    (ERROR_TYPE,),
)
SPOKEN = Metric("counter", "phonic.usage.spoken", "s", "Audio that Phonic has sent.")
HEARD = Metric(
    "counter",
    "phonic.usage.heard",
    "s",
    "The caller's audio: sent to Phonic, filled in as silence, or dropped.",
    (FATE,),
)
ERRORS = Metric(
    "counter",
    "phonic.errors",
    "{error}",
    "Errors, those included that a session has overcome.",
    (ERROR_TYPE,),
)
BOUNDS = Metric(
    "counter",
    "phonic.bound.hits",
    "{hit}",
    "Times that more came than a bound allows, so something was dropped, cut or given up; of "
    "audio, once a second as long as that lasts.",
    (BOUND,),
)
JOURNAL_APPENDS = Metric(
    "histogram",
    "phonic.journal.append.duration",
    "s",
    "How long a journal's store takes for lines; with an error if it fails.",
    (ERROR_TYPE,),
    STORE_SECONDS,
)
JOURNAL_DELAY = Metric(
    "histogram",
    "phonic.journal.delay",
    "s",
    "From a step until it is in the store: what the call loses if its process dies.",
    (),
    STORE_SECONDS,
)
TAKEOVERS = Metric(
    "histogram",
    "phonic.takeover.gap",
    "s",
    "For how long nobody had a call that this process has taken over: another process has died, or "
    "has moved it here.",
    (CAUSE,),
    SECONDS,
)
MOVES = Metric(
    "counter",
    "phonic.moves",
    "{move}",
    "Moves of calls to another process: at a moment when nobody spoke (moved), without one because "
    "none came in time (forced), or none since no successor came (stayed).",
    (OUTCOME,),
)

METRICS = (
    SESSIONS,
    SESSION_DURATION,
    CONVERSATIONS,
    OUTAGE,
    LATENCY,
    PARTS,
    INTERRUPTIONS,
    TOOL_CALLS,
    REPLIES_FAILED,
    SPOKEN,
    HEARD,
    ERRORS,
    BOUNDS,
    JOURNAL_APPENDS,
    JOURNAL_DELAY,
    TAKEOVERS,
    MOVES,
)

_meter = metrics.get_meter("phonic_fsm")
_made = {metric: metric.make(_meter) for metric in METRICS}
_parts: set[str] = set()
"""Names of Phonic's that have series of their own."""


def begin_meters(
    wire_format: WireFormat,
    secrets: Secrets,
    tools: Callable[[], Container[str]],
    state: State,
) -> SessionMeters | None:
    """Begin the metrics of a session; ``None`` if nobody reads them.

    ``tools`` returns the names of the session's tools. ``state`` is where it begins: one that goes
    on from another process's, where that one was.
    """
    provider = type(metrics.get_meter_provider())
    if provider.__module__.startswith(metrics.__name__):
        return None  # The API's own providers, which stand for no provider.
    meters = SessionMeters(wire_format.bytes_per_second, secrets, tools, state)
    meters.count(SESSIONS, 1, {STATE: state.value})
    return meters


class _ToolCall(Struct):
    name: str
    began: float


class SessionMeters:
    """The metrics of one session, made step by step."""

    def __init__(
        self,
        bytes_per_second: int,
        secrets: Secrets,
        tools: Callable[[], Container[str]],
        state: State,
    ) -> None:
        self._bytes_per_second = bytes_per_second
        self._secrets = secrets
        self._tools = tools
        self._began = time.monotonic()
        self._counted_in = state
        """The state in which the session is counted. One that waits for its call is in none of the
        machine's yet."""
        self._outage: tuple[float, str] | None = None
        """Since when no conversation is open (s), and by which event."""
        self._opened = False
        """Whether a conversation has been open."""
        self._leaves = False
        """Whether this process leaves the call to another, which is no error."""
        self._asked: float | None = None
        """When the caller's speech ended, until the answer is heard."""
        self._spoken = 0
        """Bytes of the open generation's audio."""
        self._cut_off: str | None = None
        """The answer whose interruption was counted last."""
        self._calls: dict[str, _ToolCall] = {}
        self._error: str | None = None
        """What ends the session."""
        self._event_tellers: dict[type[Any], Callable[[Any], None]] = {
            events.TakeOver: self._take_over,
            events.LeaseLost: self._leave,
            events.ConnectionClosed: self._tell_bound,
        }
        self._tellers: dict[type[Any], Callable[[Any], None]] = {
            effects.PushAudio: self._push_audio,
            effects.CloseGeneration: self._close_generation,
            effects.CorrectMessage: self._correct_message,
            effects.EmitSpeechStarted: self._start_speech,
            effects.EmitSpeechStopped: self._stop_speech,
            effects.EmitTimings: self._tell_timings,
            effects.PushFunctionCall: self._call_tool,
            effects.EmitToolCallSettled: self._settle_tool_call,
            effects.RejectReply: self._reject_reply,
            effects.EmitError: self._tell_error,
            effects.Log: self._tell_bound,
        }
        self._record: Callable[[Step], None] = self._tell
        self._count_passage: Callable[[Passage], None] = self._tell_passage

    def record(self, step: Step) -> None:
        """Record one step. This never raises: a fault ends the metrics, and the log says so."""
        try:
            self._record(step)
        except BaseException as error:  # noqa: BLE001 - a provider may raise anything
            self._give_up(error)

    def passed(self, passage: Passage) -> None:
        """Count what has become of the caller's audio. This never raises either."""
        try:
            self._count_passage(passage)
        except BaseException as error:  # noqa: BLE001 - a provider may raise anything
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        log_fault_of_others("the metrics of this session end here", error, self._secrets)
        self._record = self._count_passage = _ignore

    def _tell_passage(self, passage: Passage) -> None:
        fates = {"sent": passage.sent, "filled": passage.filled, "dropped": passage.dropped}
        for fate, ms in fates.items():
            if ms:
                self.count(HEARD, ms / 1000, {FATE: fate})
        if passage.overflowed:
            self.count(BOUNDS, 1, {BOUND: "unsent_audio"})
        if passage.outlasted:
            self.count(BOUNDS, 1, {BOUND: "kept_audio"})

    # -- what is told from elsewhere, some of it in other threads --------------------------------

    def bounded(self, bound: Bound) -> None:
        """Count that a bound was reached. This and the following never raise."""
        self._safely(self.count, BOUNDS, 1, {BOUND: bound})

    def appended(self, seconds: float, failed: bool) -> None:
        attributes = {ERROR_TYPE: "store_failed"} if failed else {}
        self._safely(self.measure, JOURNAL_APPENDS, seconds, attributes)

    def stored(self, delay: float) -> None:
        self._safely(self.measure, JOURNAL_DELAY, delay, {})

    def moved(self, outcome: MoveOutcome) -> None:
        self._safely(self.count, MOVES, 1, {OUTCOME: outcome})

    def _safely(
        self,
        tell: Callable[[Metric, float, dict[str, Any]], None],
        metric: Metric,
        value: float,
        attributes: dict[str, Any],
    ) -> None:
        if self._record is _ignore:
            return
        try:
            tell(metric, value, attributes)
        except BaseException as error:  # noqa: BLE001 - a provider may raise anything
            self._give_up(error)

    def count(self, metric: Metric, amount: float, attributes: dict[str, Any]) -> None:
        _made[metric].add(amount, attributes)

    def measure(self, metric: Metric, seconds: float, attributes: dict[str, Any]) -> None:
        _made[metric].record(seconds, attributes)

    def _tell(self, step: Step) -> None:
        tell_event = self._event_tellers.get(type(step.event))
        if tell_event is not None:
            tell_event(step.event)
        for effect in step.effects:
            teller = self._tellers.get(type(effect))
            if teller is not None:
                teller(effect)
        if step.source is not step.target:
            self._move(step)

    # -- handovers -------------------------------------------------------------------------------

    def _take_over(self, event: events.TakeOver) -> None:
        self.measure(TAKEOVERS, event.lost_for, {CAUSE: event.cause})
        self._opened = True  # by the process before

    def _leave(self, event: events.LeaseLost) -> None:
        self._leaves = event.reason is not None

    # -- states ----------------------------------------------------------------------------------

    def _move(self, step: Step) -> None:
        self.count(SESSIONS, -1, {STATE: self._counted_in.value})
        if step.target in (State.connecting, State.closed):
            # Phonic will not settle the former conversation's tool calls.
            self._abandon_calls()
        if step.target is State.closed:
            self._end()
            return
        self._counted_in = step.target
        self.count(SESSIONS, 1, {STATE: step.target.value})
        if step.target in CONVERSING:
            if step.source not in CONVERSING:
                self._open_conversation(step.source)
        elif step.source in CONVERSING and step.target is not State.last_words:
            self._outage = (time.monotonic(), name_of(step.event))

    def _open_conversation(self, source: State) -> None:
        start = "new"
        if self._opened:
            start = "resumed" if source is State.reconnecting else "fresh"
        self._opened = True
        self.count(CONVERSATIONS, 1, {START: start})
        self._end_outage(start)

    def _end_outage(self, outcome: str) -> None:
        if self._outage is not None:
            began, event = self._outage
            self._outage = None
            attributes = {OUTCOME: outcome, EVENT: event}
            self.measure(OUTAGE, time.monotonic() - began, attributes)

    def _end(self) -> None:
        self._end_outage("given_up")
        attributes = {} if self._error is None else {ERROR_TYPE: self._error}
        self.measure(SESSION_DURATION, time.monotonic() - self._began, attributes)

    # -- answers ---------------------------------------------------------------------------------

    def _start_speech(self, _: effects.EmitSpeechStarted) -> None:
        self._asked = None

    def _stop_speech(self, _: effects.EmitSpeechStopped) -> None:
        self._asked = time.monotonic()

    def _push_audio(self, effect: effects.PushAudio) -> None:
        self._spoken += len(effect.audio)
        if self._asked is not None:
            asked, self._asked = self._asked, None
            self.measure(LATENCY, time.monotonic() - asked, {})

    def _close_generation(self, effect: effects.CloseGeneration) -> None:
        if self._spoken:
            self.count(SPOKEN, self._spoken / self._bytes_per_second, {})
            if effect.interrupted:
                self._tell_interruption(effect.response_id)
        self._spoken = 0

    def _correct_message(self, effect: effects.CorrectMessage) -> None:
        # If the answer has ended on the wire, nothing but this shows its interruption.
        self._tell_interruption(effect.id)

    def _tell_interruption(self, response_id: str) -> None:
        if response_id != self._cut_off:
            self._cut_off = response_id
            self.count(INTERRUPTIONS, 1, {})

    def _tell_timings(self, effect: effects.EmitTimings) -> None:
        for name, ms in islice(effect.timings.items(), MOST_TIMINGS):
            if len(_parts) < MOST_PARTS and len(name) <= LONGEST_NAME:
                _parts.add(name)
            part = self._secrets.hide(name) if name in _parts else "other"
            self.measure(PARTS, ms / 1000, {PART: part})

    # -- the rest --------------------------------------------------------------------------------

    def _call_tool(self, effect: effects.PushFunctionCall) -> None:
        if len(self._calls) >= MOST_OPEN_CALLS:
            self._abandon_calls()
        # Phonic may call what nobody has defined.
        name = effect.name if effect.name in self._tools() else "unknown"
        self._calls[effect.call_id] = _ToolCall(name, time.monotonic())

    def _settle_tool_call(self, effect: effects.EmitToolCallSettled) -> None:
        call = self._calls.pop(effect.call_id, None)
        if call is not None:
            attributes = {TOOL_NAME: call.name, OUTCOME: effect.outcome}
            self.measure(TOOL_CALLS, time.monotonic() - call.began, attributes)

    def _abandon_calls(self) -> None:
        for call in self._calls.values():
            attributes = {TOOL_NAME: call.name, OUTCOME: "abandoned"}
            self.measure(TOOL_CALLS, time.monotonic() - call.began, attributes)
        self._calls.clear()

    def _reject_reply(self, effect: effects.RejectReply) -> None:
        self.count(REPLIES_FAILED, 1, {ERROR_TYPE: effect.reason})

    def _tell_bound(self, told: events.ConnectionClosed | effects.Log) -> None:
        if told.bound is not None:
            self.count(BOUNDS, 1, {BOUND: told.bound})

    def _tell_error(self, effect: effects.EmitError) -> None:
        if self._leaves:
            return
        self.count(ERRORS, 1, {ERROR_TYPE: effect.kind})
        if not effect.recoverable:
            self._error = effect.kind


def _ignore(_: object) -> None:
    pass
