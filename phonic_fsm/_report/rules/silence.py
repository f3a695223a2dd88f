"""Silence: nobody is heard, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from phonic_fsm._core.states import State

from ..findings import Finding, overlap, step_at
from ..lanes import AssistantSpeech, CallerSpeech, Lanes, Link, Span, ToolCall
from ..numbers import duration
from .connection import frozen
from .rule import Rule, Seconds

TELLING = 1.0
"""What keeps the assistant from speaking is a reason for silence from so many seconds on."""


class Silence(Rule, frozen=True, kw_only=True):
    """Nobody is heard: the caller waits in vain, or it is the caller's turn."""

    name = "silence"
    severities = ("error", "note")
    looks_for = (
        "nobody is heard for {waiting:g} s while the caller waits ({tool:g} s where a tool is the "
        "cause; less than that is a note), or for {turn:g} s on the caller's turn; or for "
        "{waiting:g} s at the beginning, if nobody asked the assistant to speak first (a note)"
    )

    waiting: Seconds = 3.0
    """The caller waits for an answer."""
    tool: Seconds = 5.0
    """The caller waits, above all for a tool."""
    turn: Seconds = 10.0
    """It is the caller's turn. This is only ever a note."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for gap, last in _gaps(lanes, min(self.waiting, self.turn)):
            took = gap.took
            reasons, is_owed = _reasons(lanes, gap, last, self.waiting)
            told = f"Nobody was heard for {duration(took)}"
            noticed = f"{duration(took)} of silence"
            if reasons and took >= self.waiting:
                main = reasons[0]
                bad = took >= (max(self.waiting, self.tool) if main.is_tool else self.waiting)
                waited = " while the caller waited" if is_owed else ""
                listed = "; for ".join(
                    f"{duration(reason.seconds)} {reason.told}" for reason in reasons
                )
                yield self.found(
                    main.cause,
                    f"{told}{waited}: for {listed}.",
                    gap,
                    "error" if bad else "note",
                    noticed=noticed,
                    silence=took,
                )
            elif not reasons and took >= self.waiting and _is_nobodys_turn(lanes, gap, last):
                yield self.found(
                    "Nobody asked the assistant to speak first",
                    f"{told}: the session has no welcome message, and the agent asked for no "
                    "reply. The caller may have waited for the assistant.",
                    gap,
                    "note",
                    noticed=noticed,
                    silence=took,
                )
            elif not reasons and took >= self.turn:
                yield self.found(
                    "Phonic heard no speech of the caller",
                    f"{told}: it was the caller's turn.",
                    gap,
                    "note",
                    noticed=noticed,
                    silence=took,
                )


def _gaps(lanes: Lanes, least: float) -> Iterator[tuple[Span, Span | None]]:
    """Where nobody is heard in an open conversation for so many seconds, and who was heard last."""
    heard = sorted(
        (span for span in (*lanes.caller, *lanes.assistant) if span.end > span.start),
        key=lambda span: span.start,
    )
    begin = next((link.start for link in lanes.connection if link.kind == "open"), None)
    if begin is None:
        return
    last: Span | None = None
    for span in [*heard, None]:
        end = span.start if span is not None else lanes.over
        if end > begin and end - begin >= least:
            yield Span(step=step_at(lanes, begin), start=begin, end=end), last
        if span is not None and span.end > begin:
            begin, last = span.end, span


class _Reason(NamedTuple):
    """Something that kept the assistant from speaking."""

    seconds: float
    """For how long."""
    cause: str
    """In words for a title."""
    told: str
    """In words for a sentence, after the time."""
    is_tool: bool = False
    is_owed: bool = False
    """Whether it was the assistant's turn to speak meanwhile."""


def _reasons(
    lanes: Lanes, gap: Span, last: Span | None, waiting: float
) -> tuple[list[_Reason], bool]:
    """Why nobody was heard, the longest reason first, and whether it was the assistant's turn.

    There is none on the caller's turn, unless for so many seconds (``waiting``) nothing of the
    caller would have got through.
    """
    stretches = [(reason, spans) for reason, spans in _seen(lanes, gap) if reason.seconds > 0.05]
    reasons = [reason for reason, _ in stretches]
    explained = _covered([span for _, spans in stretches for span in spans])
    rest = gap.took - explained
    due = _due(lanes, gap, last, rest, waiting)
    is_owed = due is not None or any(
        reason.is_owed and reason.seconds >= TELLING for reason in reasons
    )
    if due is None and explained < (TELLING if is_owed else waiting):
        return [], is_owed
    if rest >= 0.1 and is_owed:
        reasons.append(
            due
            or _Reason(
                rest,
                f"Phonic did not answer for {duration(rest)}",
                "Phonic had not begun to answer",
            )
        )
    return sorted(reasons, key=lambda reason: -reason.seconds), is_owed


def _seen(lanes: Lanes, gap: Span) -> Iterator[tuple[_Reason, list[Span]]]:
    """What the trace shows to have kept the assistant from speaking, and when. Some of it may have
    been at the same time."""

    def reason(
        spans: Iterable[Span], cause: str, told: str, *, behind: Sequence[Span] | None = None
    ) -> tuple[_Reason, list[Span]]:
        """Of an answer that is owed, what lies ``behind`` it is left out: that explains it."""
        within, explained = _within(spans, gap), _within(behind or (), gap)
        seconds = _covered([*within, *explained]) - _covered(explained)
        cause = f"{cause} for {duration(seconds)}"
        return _Reason(seconds, cause, told, is_owed=behind is not None), within

    away = [link for link in lanes.connection if link.kind != "open"]
    stuck = frozen(away)
    yield reason(
        stuck,
        "Nothing got through to Phonic",
        "nothing got through, until the connection was given up",
    )
    problems = [problem for link in away if overlap(link, gap) for problem in link.problems]
    why = f" ({problems[-1].rstrip('.')})" if problems else ""
    yield reason(away, "No connection", f"the connection was lost{why}")
    stood = [held for held in lanes.held_up if held.took >= TELLING / 2]
    outside = [*stuck, *away, *stood]
    yield reason(stood, "The process stood still", "the event loop was held up")
    yield reason(
        lanes.announced,
        "Phonic began an answer and sent no audio of it",
        "an answer had begun, and no audio of it came",
        behind=outside,
    )
    yield reason(
        lanes.open_answers,
        "Phonic sent neither more of an answer nor its end",
        "an answer had not come to its end, and nothing more of it came",
        behind=outside,
    )
    yield from _tools(lanes, gap, away)


def _tools(lanes: Lanes, gap: Span, away: list[Link]) -> Iterator[tuple[_Reason, list[Span]]]:
    """The tools whose outputs were awaited. While there is no connection, no state says so."""
    awaited: dict[str, list[Span]] = defaultdict(list)
    for state in lanes.states:
        if state.state == State.tool_pending.value and overlap(state, gap) > 0:
            by_name: dict[str, list[Span]] = defaultdict(list)
            for call in lanes.tools:
                by_name[call.name] += _within([_run(call)], state)
            ran = {name: _covered(spans) for name, spans in by_name.items()}
            longest = max(ran.values(), default=0.0)
            if calls := sorted(name for name, took in ran.items() if took and took >= longest / 2):
                awaited[" and ".join(calls)].append(state)
    for call in lanes.tools:
        runs = Span(
            step=call.step, start=call.start, end=call.end if call.given is None else call.given
        )
        awaited[call.name] += [span for link in away for span in _within([runs], link)]
    for who, spans in awaited.items():
        within = _within(spans, gap)
        seconds = _covered(within)
        runs_on = any(
            call.name == who and call.given is None and overlap(call, gap) > 0
            for call in lanes.tools
        )
        cause = (
            f"{who} gave no output for {duration(seconds)}"
            if runs_on
            else f"{who} took {duration(_ran(lanes, who, gap) or seconds)}"
        )
        told = f"{who} had yet to give an output"
        yield _Reason(seconds, cause, told, is_tool=True, is_owed=True), within


def _run(call: ToolCall) -> Span:
    """While the tool ran, as far as that was observed."""
    return Span(
        step=call.step, start=call.start, end=call.end if call.returned is None else call.returned
    )


def _within(spans: Iterable[Span], outer: Span) -> list[Span]:
    """What of the spans lies in another one."""
    parts = [
        Span(step=span.step, start=max(span.start, outer.start), end=min(span.end, outer.end))
        for span in spans
    ]
    return [part for part in parts if part.end > part.start]


def _covered(spans: Iterable[Span]) -> float:
    """How many seconds the spans last, where those that overlap count once."""
    seconds, until = 0.0, 0.0
    for span in sorted(spans, key=lambda span: span.start):
        seconds += max(0.0, span.end - max(span.start, until))
        until = max(until, span.end)
    return seconds


def _is_nobodys_turn(lanes: Lanes, gap: Span, last: Span | None) -> bool:
    """Whether this is the beginning of a call in which the assistant was not asked to speak."""
    asked = any(overlap(span, gap) > 0 for span in lanes.requests)
    return last is None and not lanes.may_welcome and not asked


def _due(lanes: Lanes, gap: Span, last: Span | None, rest: float, waiting: float) -> _Reason | None:
    """Why the assistant should have spoken in the rest of the gap, if it should."""
    took = duration(rest)
    # LiveKit's handoff comes in several steps, and its request for a reply may be among them.
    handoff = next((at for at in lanes.handoffs if gap.start <= at.start <= gap.end), None)
    asked = [span for span in lanes.requests if overlap(span, gap) > 0]
    unanswered = min(rest, _covered(_within(asked, gap)))
    missing = "no reply had begun" if asked else "no reply was asked for"
    if unanswered >= TELLING and unanswered >= rest / 2:
        return _Reason(
            unanswered,
            f"Phonic did not begin the reply that was asked for, for {duration(unanswered)}",
            "a reply had been asked for, and Phonic had not begun it",
        )
    if handoff is not None:
        after = [span.start - handoff.start for span in asked if span.start >= handoff.start]
        return _Reason(
            rest,
            f"The new agent was asked to speak after {duration(after[0])}"
            if after
            else "Nobody asked the new agent to speak",
            f"another agent had taken over, and {missing}",
        )
    since = max(gap.start, _first_frame(lanes))
    if last is None and not lanes.welcome and asked and asked[0].start - since >= waiting:
        return _Reason(
            rest,
            f"The agent asked for its first reply after {duration(asked[0].start - since)}",
            "the agent had not asked for a reply, or Phonic had not begun it",
        )
    if isinstance(last, AssistantSpeech) and last.message in lanes.cut_by_reset:
        return _Reason(
            rest,
            "A reset cut the answer off",
            f"a reset had cut the answer off, and {missing}",
        )
    empty = [call.name for call in lanes.tools if _asked_for_nothing(call, gap)]
    if empty:
        return _Reason(
            rest,
            f"{empty[-1]} returned nothing, so that LiveKit asked for no answer",
            "the tool had returned nothing, and Phonic had not begun to answer",
        )
    held = lanes.uncommitted
    if held is not None and held.start <= gap.start and isinstance(last, CallerSpeech):
        return _Reason(
            rest,
            "The caller's turn was never committed",
            "the agent's code had not committed the caller's turn",
        )
    for turn in lanes.withdrawn:
        if gap.start <= turn.end <= gap.end and _cut_off_by(lanes, turn):
            return _Reason(
                rest,
                "A sound was taken for the caller and cut the answer off",
                "the assistant did not go on, although there had been no speech",
            )
    silent = (one for one in lanes.assistant if one.words and one.end == one.start)
    if any(gap.start <= one.start <= gap.end and one.unheard is None for one in silent):
        return _Reason(
            rest,
            "Phonic sent the text of an answer and no audio of it",
            "only the text of an answer had come",
        )
    excused = any(gap.start <= at <= gap.end for at in lanes.excused)
    if isinstance(last, CallerSpeech) and not excused:
        return _Reason(rest, f"Phonic did not answer for {took}", "Phonic had not begun to answer")
    if last is None and lanes.welcome and lanes.goodbye is None:
        return _Reason(rest, "No welcome came", "the welcome had not come")
    return None


def _first_frame(lanes: Lanes) -> float:
    """When the first audio of the caller came: before, nobody may have been there."""
    return next((part.start for part in lanes.caller_audio if part.received_ms), 0.0)


def _asked_for_nothing(call: ToolCall, gap: Span) -> bool:
    """Whether it gave an empty output here, of a tool that raised no error."""
    given = call.given is not None and gap.start <= call.given <= gap.end
    return given and not call.asks_for_answer and not call.is_error


def _cut_off_by(lanes: Lanes, turn: Span) -> AssistantSpeech | None:
    """What the assistant was saying when the caller seemed to begin to speak."""
    cut = (speech for speech in lanes.assistant if speech.unheard is not None)
    return next((speech for speech in cut if abs(speech.end - turn.start) < 0.01), None)


def _ran(lanes: Lanes, name: str, gap: Span) -> float | None:
    """For how long the tool ran (s), the longest of its calls; ``None`` if nobody observed it."""
    ran = [
        call.returned - call.began
        for call in lanes.tools
        if call.name == name
        and overlap(call, gap) > 0
        and call.began is not None
        and call.returned is not None
    ]
    return max(ran, default=None)
