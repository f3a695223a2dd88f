"""Runs a recorded call again with something changed: what would the machine have done?

What comes from outside (Phonic, LiveKit, the network) comes as it was recorded, but for what is
changed. Timers do not: once the machine has left the recording, they run out when the machine's own
timers would. So the answer is exact about the machine, and says nothing about what Phonic, or the
agent, would have done otherwise.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union, get_args

import msgspec
from msgspec import Struct, structs

from .._core import effects
from .._core.context import Settings
from .._core.events import EVENTS, StateOverdue, TimerEvent, name_of
from .._core.machine import SessionMachine, Step
from .._core.states import State
from ._feeding import recorded_event_of
from ._format import Line, event_from, recorded_effects
from ._reader import TraceReader

_TIMERS = frozenset(name_of(kind) for kind in get_args(TimerEvent) if kind is not StateOverdue)
"""Events by which a timer of the machine runs out. The watchdog of states is the runtime's."""


class ChangeError(ValueError):
    """A change that cannot be made: which, and why."""

    __module__ = "phonic_fsm.trace"


class Drop(NamedTuple):
    """The event of this step does not happen."""

    seq: int


class Delay(NamedTuple):
    """The event of this step happens so many seconds later."""

    seq: int
    seconds: float


class Edit(NamedTuple):
    """The event of this step has another value in a field."""

    seq: int
    field: str
    value: Any


class Option(NamedTuple):
    """The session is made with another value of a setting, such as ``reply_timeout``."""

    name: str
    value: Any


Change = Union[Drop, Delay, Edit, Option]

FORMS = "drop STEP, delay STEP SECONDS, edit STEP FIELD=VALUE, or option NAME=VALUE"


class WhatIf(Struct, frozen=True):
    """A step of the changed call, beside the recorded one of the same event."""

    t: float
    event: dict[str, Any]
    """As a trace holds it."""
    source: str
    target: str
    effects: list[dict[str, Any]]
    """As a trace holds them."""
    recorded: Line | None
    """``None`` if the event was not recorded: a timer that would have run out."""

    @property
    def is_same(self) -> bool:
        """Whether the machine does what was recorded."""
        line = self.recorded
        return (
            line is not None
            and line.t == self.t
            and line.event == self.event
            and line.source == self.source
            and line.target == self.target
            and line.effects == self.effects
        )


def parse_change(text: str) -> Change:
    """A change as the command line has it.

    Raises:
        ChangeError: it has none of the ``FORMS``.
    """
    for pattern, make in _PARSERS:
        if found := re.fullmatch(pattern, text.strip()):
            return make(*found.groups())
    raise ChangeError(f"{text!r} is no change: write {FORMS}")


_PARSERS: tuple[tuple[str, Callable[..., Change]], ...] = (
    (r"drop (\d+)", lambda seq: Drop(int(seq))),
    (r"delay (\d+) (\d+(?:\.\d+)?)", lambda seq, seconds: Delay(int(seq), float(seconds))),
    (r"edit (\d+) (\w+)=(.*)", lambda seq, field, value: Edit(int(seq), field, _value(value))),
    (r"option (\w+(?:\.\w+)?)=(.*)", lambda name, value: Option(name, _value(value))),
)


def _value(text: str) -> Any:
    """A JSON value, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def what_if(reader: TraceReader, changes: Sequence[Change]) -> Iterator[WhatIf]:
    """Read the call, and run it with these changes, to its end.

    Raises:
        ChangeError: a change names a step, a field or a setting that is not there, or a value that
            does not fit.
        TraceError: the trace cannot be read.
    """
    machine = SessionMachine(_changed_settings(reader.header.settings, changes))
    return _run(reader.path, machine, _coming(reader, changes))


def _run(path: Path, machine: SessionMachine, queue: list[_Coming]) -> Iterator[WhatIf]:
    timers: dict[str, float] = {}
    """When each timer that runs will run out (s)."""
    as_recorded = True
    recorded: dict[str, Any] | None
    line: Line | None
    while machine.state is not State.closed:
        coming = queue[0] if queue else None
        due = (
            None if as_recorded else min(((at, name) for name, at in timers.items()), default=None)
        )
        if due is not None and (coming is None or due[0] + LATE < coming.t):
            t, name = due
            event, recorded, line = EVENTS[name](), {"type": name}, None
        elif coming is not None:
            heapq.heappop(queue)
            t, recorded, line = coming.t, coming.event, coming.line
            as_recorded = as_recorded and recorded is not None
            if recorded is None or (
                not as_recorded and recorded["type"] in _TIMERS and not _is_due(timers, recorded, t)
            ):
                continue
            event = recorded_event_of(path, coming.seq, recorded)
        else:
            return
        step = machine.step(event)
        _set_timers(timers, t, step)
        source, target = step.source.value, step.target.value
        taken = WhatIf(t, recorded, source, target, recorded_effects(step), line)
        as_recorded = as_recorded and taken.is_same
        yield taken


LATE = 0.25
"""Seconds by which a recorded timer may have run out late."""


class _Coming(NamedTuple):
    """A recorded event, when it comes now."""

    t: float
    seq: int
    line: Line
    event: dict[str, Any] | None
    """``None`` if it is dropped."""


def _is_due(timers: dict[str, float], recorded: dict[str, Any], t: float) -> bool:
    due = timers.get(recorded["type"])
    return due is not None and due <= t + LATE


def _set_timers(timers: dict[str, float], t: float, step: Step) -> None:
    timers.pop(name_of(step.event), None)
    for effect in step.effects:
        if isinstance(effect, effects.StartTimer):
            timers[effect.event] = t + effect.seconds
        elif isinstance(effect, effects.StopTimer):
            timers.pop(effect.event, None)


def _coming(reader: TraceReader, changes: Sequence[Change]) -> list[_Coming]:
    """The events, in the order in which they come now, as a heap."""
    of_steps = {change.seq: change for change in changes if not isinstance(change, Option)}
    queue = []
    for line in reader:
        change = of_steps.pop(line.seq, None)
        t, event = line.t, line.event
        if isinstance(change, Drop):
            queue.append(_Coming(t, line.seq, line, None))
            continue
        if isinstance(change, Delay):
            # The event is missing where it was.
            queue.append(_Coming(t, line.seq, line, None))
            t += change.seconds
        elif isinstance(change, Edit):
            event = _edited(line, change)
        queue.append(_Coming(t, line.seq, line, event))
    if of_steps:
        last = queue[-1].seq if queue else 0
        raise ChangeError(f"there is no step {min(of_steps)}: the trace has {last}")
    heapq.heapify(queue)
    return queue


def _edited(line: Line, change: Edit) -> dict[str, Any]:
    event = {**line.event, change.field: change.value}
    known = EVENTS[line.event["type"]].__struct_encode_fields__
    if change.field not in known:
        fields = ", ".join(known) or "no fields"
        raise ChangeError(
            f"step {line.seq}, {line.event['type']}, has no field {change.field!r}: it has {fields}"
        )
    try:
        event_from(event)
    except (msgspec.ValidationError, ValueError) as error:
        raise ChangeError(f"step {line.seq}, {change.field}: {error}") from error
    return event


def _changed_settings(settings: Settings, changes: Sequence[Change]) -> Settings:
    for change in changes:
        if isinstance(change, Option):
            settings = _with_option(settings, change)
    return settings


def _with_option(settings: Settings, change: Option) -> Settings:
    plain = msgspec.to_builtins(settings)
    *within, name = change.name.split(".")
    held = plain
    for part in within:
        held = plain.get(part)
    known = getattr(settings, within[0], None) if within else settings
    if not isinstance(held, dict) or not isinstance(known, Struct) or not hasattr(known, name):
        names = ", ".join(structs.asdict(settings))
        raise ChangeError(f"there is no setting {change.name!r}: there are {names}, and config.…")
    held[name] = change.value
    try:
        return msgspec.convert(plain, Settings)
    except msgspec.ValidationError as error:
        raise ChangeError(f"option {change.name}: {error}") from error
