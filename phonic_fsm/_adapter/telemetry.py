"""Makes OpenTelemetry spans of a session's steps, with LiveKit's tracer.

``phonic_session`` is a child of LiveKit's ``agent_session``, and the parent of:

- a span for each stay in a state (``phonic_ready``, ``phonic_listening``, …), with the event that
  led to the state. What happens meanwhile is an event of this span: ``user_transcript``,
  ``interrupted``, ``message_corrected``, ``dtmf``, ``error``. (OpenTelemetry keeps 128 events of a
  span, too few for a whole call.)
- ``phonic_generation``, from its opening to its end, with the event ``first_audio``
- ``phonic_tool_call``, from the call until Phonic has settled it, with the event ``output``
- ``phonic_outage``, from the loss of a connection until a conversation is open again

What was said is only under LiveKit's keys that begin with ``lk.pii.``. If nobody records spans,
none are made. A fault in what records them ends the spans, never the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import llm
from livekit.agents.telemetry import trace_types, tracer
from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode

from .._core import effects, events
from .._core.events import name_of
from .._core.history import FunctionCallOutput
from .._core.machine import Step
from .._core.states import CONVERSING, State
from .._runtime.faults import log_fault_of_others
from .._runtime.secrets import Secrets
from .._wire.server import ConversationCreated

CONVERSATION_ID = "phonic.conversation_id"
RESPONSE_ID = trace_types.ATTR_GEN_AI_RESPONSE_ID
STATE = "phonic.state"
EVENT = "phonic.event"
"""The machine's event that was the cause, by name."""
USER_INITIATED = "phonic.user_initiated"
OUTCOME = "phonic.outcome"
RECOVERABLE = "phonic.recoverable"
RESUMED = "phonic.resumed"
"""Whether the same conversation went on after the outage."""
ERROR = "lk.pii.error"
DIGITS = "lk.pii.digits"


def begin_spans(model: llm.RealtimeModel, secrets: Secrets) -> SessionSpans | None:
    """Begin the spans of a session, as children of the current span.

    ``None`` if nobody records spans.
    """
    try:
        session = tracer.start_span(
            "phonic_session",
            attributes={
                trace_types.ATTR_GEN_AI_PROVIDER_NAME: model.provider,
                trace_types.ATTR_GEN_AI_REQUEST_MODEL: model.model,
            },
        )
        return SessionSpans(session, secrets) if session.is_recording() else None
    except BaseException as error:  # noqa: BLE001 - an exporter or processor may raise anything
        log_fault_of_others("this session has no spans", error, secrets)
        return None


MOST_OPEN_CALLS = 1_000
"""Spans of tool calls that Phonic has not settled. Before one more begins, they are ended."""


class _GenerationSpan:
    def __init__(self, span: Span) -> None:
        self.span = span
        self.text: list[str] = []
        self.heard = False


class SessionSpans:
    """The spans of one session, made step by step."""

    def __init__(self, session: Span, secrets: Secrets) -> None:
        self._session = session
        self._secrets = secrets
        self._context = trace.set_span_in_context(session)
        self._state = self._begin_state(State.connecting, "open")
        self._generation: _GenerationSpan | None = None
        self._calls: dict[str, Span] = {}
        self._outage: Span | None = None
        self._cut_off: str | None = None
        """The answer whose interruption was recorded last."""
        self._tellers: dict[type[Any], Callable[[Any, str], None]] = {
            effects.OpenGeneration: self._open_generation,
            effects.PrepareGeneration: self._prepare_generation,
            effects.AnnounceGeneration: self._announce_generation,
            effects.PushText: self._push_text,
            effects.PushAudio: self._push_audio,
            effects.PushFunctionCall: self._push_function_call,
            effects.CloseGeneration: self._close_generation,
            effects.CorrectMessage: self._correct_message,
            effects.EmitToolCallSettled: self._settle_tool_call,
            effects.EmitTranscript: self._tell_transcript,
            effects.EmitDtmf: self._tell_digits,
            effects.EmitError: self._tell_error,
        }
        self._record: Callable[[Step], None] = self._tell

    def record(self, step: Step) -> None:
        """Record one step. This never raises: a fault ends the spans, and the log says so."""
        try:
            self._record(step)
        except BaseException as error:  # noqa: BLE001 - see begin_spans
            log_fault_of_others("the spans of this session end here", error, self._secrets)
            self._record = _ignore

    def _tell(self, step: Step) -> None:
        event = step.event
        if isinstance(event, ConversationCreated):
            conversation_id = self._secrets.hide(event.conversation_id)
            self._session.set_attribute(CONVERSATION_ID, conversation_id)
        elif isinstance(event, events.UpdateChatContext):
            self._tell_outputs(self._secrets.out_of(event))
        cause = name_of(event)
        for effect in step.effects:
            teller = self._tellers.get(type(effect))
            if teller is not None:
                teller(self._secrets.out_of(effect), cause)
        if step.source is not step.target:
            self._move(step, cause)

    # -- states and outages ----------------------------------------------------------------------

    def _move(self, step: Step, cause: str) -> None:
        self._state.end()
        if step.target is State.reconnecting:
            self._outage = self._begin("phonic_outage", {EVENT: cause})
        elif step.target in CONVERSING or step.target is State.closed:
            self._end_outage(
                resumed=step.target in CONVERSING and step.source is State.reconnecting
            )
        if step.target is State.connecting:
            # A fresh conversation follows. Phonic will not settle the former one's tool calls.
            self._abandon_calls()
        if step.target is State.closed:
            self._abandon_calls()
            self._session.end()
        else:
            self._state = self._begin_state(step.target, cause)

    def _end_outage(self, *, resumed: bool) -> None:
        if self._outage is not None:
            self._outage.set_attribute(RESUMED, resumed)
            self._outage.end()
            self._outage = None

    def _begin_state(self, state: State, cause: str) -> Span:
        return self._begin(f"phonic_{state.value}", {STATE: state.value, EVENT: cause})

    def _begin(self, name: str, attributes: dict[str, str | bool]) -> Span:
        return tracer.start_span(name, context=self._context, attributes=attributes)

    # -- the assistant's output ------------------------------------------------------------------

    def _open_generation(self, effect: effects.OpenGeneration, cause: str) -> None:
        self._prepare_generation(effect, cause)
        self._announce_generation(effect, cause)

    def _prepare_generation(
        self, effect: effects.OpenGeneration | effects.PrepareGeneration, cause: str
    ) -> None:
        attributes: dict[str, str | bool] = {RESPONSE_ID: effect.response_id, EVENT: cause}
        self._generation = _GenerationSpan(self._begin("phonic_generation", attributes))

    def _announce_generation(
        self, effect: effects.OpenGeneration | effects.AnnounceGeneration, _: str
    ) -> None:
        # With push-to-talk an answer can end before it is asked for. Then its span has ended.
        if self._generation is not None:
            self._generation.span.set_attribute(USER_INITIATED, effect.user_initiated)

    def _push_text(self, effect: effects.PushText, _: str) -> None:
        self._open.text.append(effect.text)

    def _push_audio(self, _effect: effects.PushAudio, _: str) -> None:
        if not self._open.heard:
            self._open.heard = True
            self._open.span.add_event("first_audio")

    def _close_generation(self, effect: effects.CloseGeneration, cause: str) -> None:
        generation, self._generation = self._open, None
        if generation.text:
            text = "".join(generation.text)
            generation.span.set_attribute(trace_types.ATTR_RESPONSE_TEXT, text)
        generation.span.set_attribute(trace_types.ATTR_SPEECH_INTERRUPTED, effect.interrupted)
        generation.span.end()
        if effect.interrupted and (generation.text or generation.heard):
            self._tell_interruption(effect.response_id, cause)

    @property
    def _open(self) -> _GenerationSpan:
        # The machine pushes nothing unless it has opened a generation.
        assert self._generation is not None
        return self._generation

    def _correct_message(self, effect: effects.CorrectMessage, cause: str) -> None:
        # If the answer has ended on the wire, nothing but this shows its interruption.
        self._tell_interruption(effect.id, cause)
        self._state.add_event(
            "message_corrected",
            {RESPONSE_ID: effect.id, trace_types.ATTR_RESPONSE_TEXT: effect.text},
        )

    def _tell_interruption(self, response_id: str, cause: str) -> None:
        if response_id != self._cut_off:
            self._cut_off = response_id
            self._state.add_event("interrupted", {RESPONSE_ID: response_id, EVENT: cause})

    # -- tool calls ------------------------------------------------------------------------------

    def _push_function_call(self, effect: effects.PushFunctionCall, _: str) -> None:
        if len(self._calls) >= MOST_OPEN_CALLS:
            self._abandon_calls()
        self._calls[effect.call_id] = self._begin(
            "phonic_tool_call",
            {
                trace_types.ATTR_FUNCTION_TOOL_ID: effect.call_id,
                trace_types.ATTR_FUNCTION_TOOL_NAME: effect.name,
                trace_types.ATTR_FUNCTION_TOOL_ARGS: effect.arguments,
            },
        )

    def _tell_outputs(self, event: events.UpdateChatContext) -> None:
        for addition in event.added:
            output = addition.item
            if isinstance(output, FunctionCallOutput) and output.call_id in self._calls:
                self._calls[output.call_id].add_event(
                    "output", {trace_types.ATTR_FUNCTION_TOOL_OUTPUT: output.output}
                )

    def _settle_tool_call(self, effect: effects.EmitToolCallSettled, _: str) -> None:
        call = self._calls.pop(effect.call_id, None)
        if call is None:
            return
        call.set_attribute(OUTCOME, effect.outcome)
        if effect.problem is not None:
            call.set_attribute(ERROR, effect.problem)
            call.set_status(StatusCode.ERROR)
        call.end()

    def _abandon_calls(self) -> None:
        for call in self._calls.values():
            call.set_attribute(OUTCOME, "abandoned")
            call.end()
        self._calls.clear()

    # -- what else happens in a state ------------------------------------------------------------

    def _tell_transcript(self, effect: effects.EmitTranscript, _: str) -> None:
        attributes = {trace_types.ATTR_USER_TRANSCRIPT: effect.text}
        self._state.add_event("user_transcript", attributes)

    def _tell_digits(self, effect: effects.EmitDtmf, _: str) -> None:
        self._state.add_event("dtmf", {DIGITS: effect.digits})

    def _tell_error(self, effect: effects.EmitError, _: str) -> None:
        self._state.add_event(
            "error",
            {
                trace_types.ATTR_ERROR_TYPE: effect.kind,
                RECOVERABLE: effect.recoverable,
                ERROR: effect.problem,
            },
        )
        if not effect.recoverable:
            self._session.set_attribute(trace_types.ATTR_ERROR_TYPE, effect.kind)
            self._session.set_status(StatusCode.ERROR)


def _ignore(_: Step) -> None:
    pass
