"""The page of a call. If the call's audio was recorded, the page holds it, too."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from phonic_fsm._core.states import CONVERSING, MEANINGS
from phonic_fsm._diagram.arrows import moves
from phonic_fsm._diagram.layout import BOXES, CONVERSING_BOX, HEIGHT, WIDTH, Box, route
from phonic_fsm._runtime.printable import in_unicode
from phonic_fsm.trace._reader import TraceError, TraceReader
from phonic_fsm.trace._replay import ReplayedStep
from phonic_fsm.trace._stats import Gauge

from .both_sides import Beginning, BothSides, both_sides
from .call import Call
from .conversation import ConversationBuilder, Entry
from .document import document
from .findings import Finding
from .lanes import BIN, LaneBuilder, Lanes
from .log import Log, LogLine
from .numbers import Number, numbers
from .overview import Overview, summed_up, take_all, unreadable
from .rules import RULES, Rule, findings
from .sound import Sound, recording_of, sound_of
from .steps import StepColumns, Steps
from .waterfall import Waterfall, waterfalls

_SCRIPTS = (
    "dom.js",
    "trace.js",
    "sound.js",
    "cursor.js",
    "summary.js",
    "turns.js",
    "shapes.js",
    "table.js",
    "timeline.js",
    "diagram.js",
    "steps.js",
    "chosen.js",
    "conversation.js",
    "both-sides.js",
    "main.js",
)
"""In an order in which each uses only those before it."""


_WATCHED = ("stream.js", "following.js", "what_if.js")
"""What the page of a watched call has besides."""


class Report(Struct, frozen=True):
    html: str
    last: ReplayedStep | None
    """The last step that the machine took. If the replay diverged, it holds the difference."""
    problem: TraceError | None
    """Why the trace cannot be read to its end. The page shows the steps before."""
    overview: Overview
    """With the findings of the page, to which a divergence belongs."""


class _Difference(Struct):
    step: int
    where: str
    expected: Any
    got: Any


class _Diagram(Struct):
    """The state diagram, laid out."""

    width: float
    height: float
    box: str
    """The name of the box that the conversing states stand in."""
    conversing: list[str]
    boxes: dict[str, Box]
    lines: list[tuple[str, str, str]]
    """From, to, and the way as SVG has it, for every move that the table has."""


class Watched(Struct, frozen=True, kw_only=True):
    """A call whose page can ask the server that it comes from."""

    goes_on: bool
    changes: str
    """The address of a stream of the call's rows, as the index has them."""
    what_if: str
    """The address that runs the call again with changes."""


class _Data(Struct):
    """The data of the page, under the names that ``web/`` uses."""

    name: str
    package: str
    started: str
    difference: _Difference | None
    problem: str | None
    states: dict[str, str]
    diagram: _Diagram
    steps: StepColumns
    lanes: Lanes
    bin: float
    conversation: list[Entry]
    findings: list[Finding]
    rules: list[tuple[str, str]]
    numbers: list[Number]
    turns: list[Waterfall]
    log: list[LogLine]
    both_sides: BothSides | None
    """Phonic's record beside the trace, if it has been fetched."""
    watched: Watched | None
    settings: dict[str, Any]
    """Of a watched call: what the session was made with."""


def make_report(
    trace: str | PathLike[str] | TraceReader,
    *,
    index: str = "",
    rules: Sequence[Rule] = RULES,
    log: Log | None = None,
    watched: Watched | None = None,
) -> Report:
    """Replay a trace and make its page.

    Args:
        trace: the file, or its reader.
        index: the address that the page links to, if any.
        rules: what to look for.
        log: the log of the process. The page has its lines from the time of the call, unless the
            trace is redacted: a log is not.
        watched: what the page can ask the server that it comes from, if one serves it.

    Raises:
        TraceError: there is no such file, or its first line is not a trace's header.
    """
    reader = trace if isinstance(trace, TraceReader) else TraceReader(trace)
    call = Call(reader)
    steps, conversation = Steps(), ConversationBuilder()
    builder = LaneBuilder(reader.header.settings, redacted=reader.header.redacted)
    gauge = Gauge()
    beginnings: list[Beginning] = []

    taken = 0
    for line, explanation in call:
        steps.take(line, explanation)
        conversation.take(line)
        if line.event["type"] == "conversation_created":
            begun = Beginning(str(line.event["conversation_id"]), line.seq, line.t)
            beginnings.append(begun)
        taken = line.seq
    # They need no replay, and read most of the steps in a form that takes less time.
    take_all(reader, builder, gauge, last=taken)
    figures = gauge.finished()
    lanes = builder.lanes(reader.end)
    found = _with_divergence(findings(lanes, rules), call)
    entries = conversation.entries(lanes)
    # A redacted trace may lie beside the call's audio and Phonic's record, which are not redacted.
    silent = reader.header.redacted
    data = _Data(
        name=in_unicode(reader.path.name),
        package=reader.header.package,
        started=reader.header.started,
        difference=_difference(call.last),
        problem=in_unicode(str(call.problem)) if call.problem else None,
        states={state.value: meaning for state, meaning in MEANINGS.items()},
        diagram=_diagram(),
        steps=steps.columns(),
        lanes=lanes,
        bin=BIN,
        conversation=entries,
        findings=found,
        rules=[(rule.name, rule.when) for rule in rules],
        numbers=numbers(figures),
        turns=waterfalls(figures.turns),
        log=[] if log is None or silent else log.beside(reader.header.started, lanes.seconds),
        both_sides=None if silent else both_sides(reader.path, beginnings, entries),
        watched=watched,
        settings=_settings(reader) if watched else {},
    )
    sound = Sound() if silent else sound_of(reader.path, builder.heard, lanes.seconds)
    recording = _recording(reader.path, data.both_sides, lanes.seconds)
    page = document(
        "page.html",
        name=data.name,
        styles=("page.css",),
        scripts=(*_SCRIPTS, *_WATCHED) if watched else _SCRIPTS,
        data=data,
        media=bool(sound.wav or recording.wav),
        connects=watched is not None,
        sound=_player(sound, "sound", "the call's audio")
        + _player(recording, "recording", "Phonic's recording"),
        home=f'<a href="{html.escape(index)}">All calls</a>' if index else "",
    )
    seen = structs.replace(summed_up(reader, lanes, ()), findings=found)
    return Report(page, call.last, call.problem, seen)


def _settings(reader: TraceReader) -> dict[str, Any]:
    """The settings by the names that ``--what-if`` gives them."""
    plain = msgspec.to_builtins(reader.header.settings)
    config = plain.pop("config")
    return {**plain, **{f"config.{name}": value for name, value in config.items()}}


def _difference(last: ReplayedStep | None) -> _Difference | None:
    if last is None or last.difference is None:
        return None
    found = last.difference
    return _Difference(last.line.seq, found.where, found.expected, found.got)


@cache
def _diagram() -> _Diagram:
    return _Diagram(
        width=WIDTH,
        height=HEIGHT,
        box=CONVERSING_BOX,
        conversing=[state.value for state in CONVERSING],
        boxes=BOXES,
        lines=[(source, target, route(source, target).path) for source, target in moves()],
    )


def _with_divergence(found: list[Finding], call: Call) -> list[Finding]:
    """Put before the findings that the replay diverges, or that the trace cannot be read on."""
    last = call.last
    at, step = (last.line.t, last.line.seq) if last is not None else (0.0, 1)
    first = []
    if last is not None and last.difference is not None:
        sentence = (
            f"The machine of this version does not do what was recorded: {last.difference.where} "
            "differs. From here on the page shows the recording alone."
        )
        divergence = Finding(
            rule="divergence",
            title="The replay diverges",
            sentence=sentence,
            step=step,
            start=at,
            end=at,
            severity="error",
        )
        first.append(divergence)
    if call.problem is not None:
        first.append(unreadable(str(call.problem), step, at))
    return [*first, *found]


def _recording(trace: Path, compared: BothSides | None, seconds: float) -> Sound:
    kept = [
        (trace.with_name(Path(conversation.recording).name), conversation.began)
        for conversation in (compared.conversations if compared else ())
        if conversation.recording
    ]
    return recording_of(kept, seconds) if kept else Sound()


def _player(sound: Sound, name: str, what: str) -> str:
    if sound.wav:
        wav = base64.b64encode(sound.wav).decode()
        return f'<audio id="{name}" preload="auto" src="data:audio/wav;base64,{wav}"></audio>'
    if sound.remark:
        return f'<p class="muted">Without {what}: {html.escape(sound.remark)}.</p>'
    return ""
