"""Finds the steps in which two traces differ, or a trace and this version's machine.

Two runs of one conversation are never the same to the letter, so some differences do not count. Two
ids are equal if they stand for each other in the whole call. Measured values are not compared; how
long things took is, if that is asked for.
Audio comes in other pieces, so chunks in a row count as one step, of which the words are compared.
If only one trace has a step, the steps after it are aligned again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from os import PathLike
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

from .._core.effects import Effect
from .._core.events import CallerAudio, Event, EventLoopLate, RoundTrip, name_of
from .._wire.facts import UNKNOWN, Fact, Field, field_of, fields_of
from ._durations import Duration, durations
from ._feeding import FedMachine, recorded_event_of
from ._format import Line, recorded_effects, same_in_json
from ._kinds import only_passes_audio, words_of
from ._reader import TraceError, TraceReader
from ._replay import Difference

_EVENT, _EFFECT = field_of(Event), field_of(Effect)

T = TypeVar("T")


MEASUREMENTS = frozenset(map(name_of, (CallerAudio, EventLoopLate, RoundTrip)))
"""The events that hold nothing but what was measured. How many there are says nothing, either."""

LEAST = 0.2
"""Seconds. Two durations that are nearer to each other are the same."""

SHARE = 0.2
"""Two durations are the same, too, if they differ by less than this share of the longer one."""


class TimeDifference(Struct, frozen=True):
    """How long something took in each trace, in seconds."""

    what: str
    """Such as a tool's name."""
    expected: float
    got: float

    @property
    def differs(self) -> bool:
        """Whether one is longer by 0.2 s and a fifth at least."""
        longer = max(self.expected, self.got)
        return abs(self.expected - self.got) >= max(LEAST, SHARE * longer)


class ComparedStep(Struct, frozen=True):
    """A step of both sides, or one that only one side has."""

    expected: Line | None
    """The step of the first trace, or the recorded one. If audio chunks in a row count as one step,
    it is the first of them, with the words of all."""
    got: Line | None
    differences: tuple[Difference, ...] = ()
    """Each difference, if both sides have the step."""
    times: tuple[TimeDifference, ...] = ()
    """What begins with the step, if both sides have it and times are compared."""

    @property
    def differs(self) -> bool:
        """Whether only one side has it, or the two differ."""
        one_has_it = self.expected is None or self.got is None
        return one_has_it or bool(self.differences) or any(time.differs for time in self.times)


def diff_with_machine(path: str | PathLike[str]) -> Iterator[ComparedStep]:
    """The recorded steps that this version's machine takes differently, given the same events.

    Everything is compared, ids and audio too: the same events make the same ones.

    Raises:
        TraceError: the file is not a readable trace.
    """
    return (step for step in compare_with_machine(path) if step.differs)


def diff_traces(
    a: str | PathLike[str], b: str | PathLike[str], *, times: bool = False
) -> Iterator[ComparedStep]:
    """The differing steps of two traces, in order. Both are held in memory, without their audio.

    Args:
        times: whether it counts how long tools, answers, outages and the beginning took.

    Raises:
        TraceError: one of the files is not a readable trace.
    """
    return (step for step in compare_traces(a, b, times=times) if step.differs)


def compare_with_machine(path: str | PathLike[str]) -> Iterator[ComparedStep]:
    """Every recorded step, beside what this version's machine makes of its event."""
    reader = TraceReader(path)
    machine = FedMachine(reader.path, reader.header.settings)
    comparison = _Comparison(exactly=True)
    for line in reader:
        step = machine.feed(line.seq, line.event)
        got = structs.replace(
            line,
            source=step.source.value,
            target=step.target.value,
            effects=recorded_effects(step),
        )
        yield ComparedStep(line, got, tuple(comparison.of_steps(line, got)))


def compare_traces(
    a: str | PathLike[str], b: str | PathLike[str], *, times: bool = False
) -> Iterator[ComparedStep]:
    """Every step of two traces, those that belong together side by side."""
    ours, theirs = (list(_with_audio_joined(_steps_of(TraceReader(path)))) for path in (a, b))
    took = [durations(lines) if times else {} for lines in (ours, theirs)]
    comparison = _Comparison(exactly=False)
    happened = [
        [line for line in lines if _type(line) not in MEASUREMENTS] for lines in (ours, theirs)
    ]
    for one, other in _aligned(*happened):
        if one is None or other is None:
            yield ComparedStep(one, other)
        else:
            differences = tuple(comparison.of_steps(one, other))
            lasted = _paired(took[0].get(one.seq, ()), took[1].get(other.seq, ()))
            yield ComparedStep(one, other, differences, tuple(lasted))


def _paired(ours: Iterable[Duration], theirs: Iterable[Duration]) -> Iterator[TimeDifference]:
    found = {duration.what: duration.seconds for duration in theirs}
    for duration in ours:
        if duration.what in found:
            yield TimeDifference(duration.what, duration.seconds, found[duration.what])


# -- alignment -----------------------------------------------------------------------------------


def _steps_of(reader: TraceReader) -> Iterator[Line]:
    """The steps; effects may be other ones than the machine knows, since that is a difference."""
    for line in reader:
        recorded_event_of(reader.path, line.seq, line.event)
        if not all(isinstance(effect.get("type"), str) for effect in line.effects):
            raise TraceError(f"{reader.path}: step {line.seq}: an effect has no type")
        yield line


def _with_audio_joined(lines: Iterable[Line]) -> Iterator[Line]:
    run: Line | None = None
    for line in lines:
        chunk = _words_alone(line) if only_passes_audio(line) else None
        if run is not None and chunk is not None and run.source == chunk.source:
            run.event["text"] += chunk.event["text"]
            continue
        if run is not None:
            yield run
        run = chunk
        if run is None:
            yield line
    if run is not None:
        yield run


def _words_alone(line: Line) -> Line:
    played = [{"type": "push_audio"}] if line.effects else []
    words = {"type": "audio_chunk", "text": words_of(line)}
    return structs.replace(line, event=words, effects=played)


def _aligned(
    ours: Sequence[Line], theirs: Sequence[Line]
) -> Iterator[tuple[Line | None, Line | None]]:
    """Pairs of steps: equal ones first, then, between those, steps of the same event."""
    for same, one, other in _blocks(ours, theirs, _content):
        for paired, left, right in [(True, one, other)] if same else _blocks(one, other, _type):
            if paired:
                yield from zip(left, right, strict=True)
            else:
                yield from ((line, None) for line in left)
                yield from ((None, line) for line in right)


def _blocks(
    ours: Sequence[T], theirs: Sequence[T], key: Callable[[T], Any]
) -> Iterator[tuple[bool, Sequence[T], Sequence[T]]]:
    """Both sequences in blocks; each block is either equal by ``key`` or not."""
    matcher = SequenceMatcher(None, [*map(key, ours)], [*map(key, theirs)])
    for tag, a, b, c, d in matcher.get_opcodes():
        yield tag == "equal", ours[a:b], theirs[c:d]


def _type(line: Line) -> str:
    return str(line.event.get("type"))


def _content(line: Line) -> bytes:
    """The part of a step that is the same in every run of a conversation, but for ids in texts."""
    event, effects = _without_ids(_EVENT, line.event), _without_ids(_EFFECT, line.effects)
    return msgspec.json.encode((line.source, line.target, event, effects))


def _without_ids(field: Field, value: Any) -> Any:
    if isinstance(value, list):
        return [_without_ids(field, item) for item in value]
    if isinstance(value, dict):
        return {
            name: _without_ids(within, value[name])
            for name, within in _compared(field, value).items()
            if Fact.ID not in within.facts
        }
    return value


def _compared(field: Field, value: dict[str, Any]) -> dict[str, Field]:
    """The fields of an object that are not measured."""
    known = fields_of(field.type_of(value))
    fields = {name: known.get(name, UNKNOWN) for name in value}
    return {name: one for name, one in fields.items() if Fact.MEASURED not in one.facts}


# -- comparison ----------------------------------------------------------------------------------


class _Comparison:
    """Compares steps in their order, and learns which ids stand for each other."""

    def __init__(self, *, exactly: bool) -> None:
        self._exactly = exactly
        self._theirs: dict[str, str] = {}
        """Id of the first side → id of the other side."""
        self._ours: dict[str, str] = {}

    def of_steps(self, one: Line, other: Line) -> Iterator[Difference]:
        yield from self._of_values("event", _EVENT, one.event, other.event)
        yield from self._of_values("from", UNKNOWN, one.source, other.source)
        yield from self._of_values("to", UNKNOWN, one.target, other.target)
        yield from self._of_effects(one.effects, other.effects)

    def _of_effects(self, one: list[Any], other: list[Any]) -> Iterator[Difference]:
        """The differences of effects. One that is missing does not make all after it differ."""
        at = 0
        for same, left, right in _blocks(one, other, lambda effect: str(effect.get("type"))):
            if same:
                for number, pair in enumerate(zip(left, right, strict=True), start=at):
                    yield from self._of_values(f"effects[{number}]", _EFFECT, *pair)
            else:
                for number, effect in enumerate(left, start=at):
                    yield Difference(f"effects[{number}]", effect, None)
                for effect in right:
                    yield Difference(f"effects[{at}]", None, effect)
            at += len(left)

    def _of_values(self, where: str, field: Field, one: Any, other: Any) -> Iterator[Difference]:
        if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            for number, pair in enumerate(zip(one, other, strict=True)):
                yield from self._of_values(f"{where}[{number}]", field, *pair)
        elif isinstance(one, dict) and isinstance(other, dict):
            both = {**one, **other}
            fields = dict.fromkeys(both, UNKNOWN) if self._exactly else _compared(field, both)
            for name, within in fields.items():
                pair = one.get(name), other.get(name)
                yield from self._of_values(f"{where}.{name}", within, *pair)
        elif Fact.ID in field.facts and self._stand_for_each_other(one, other):
            return
        elif not same_in_json(one, other) and not self._same_but_for_ids(one, other):
            yield Difference(where, one, other)

    def _stand_for_each_other(self, one: Any, other: Any) -> bool:
        if self._exactly or not (isinstance(one, str) and isinstance(other, str)):
            return False
        return self._theirs.setdefault(one, other) == other and (
            self._ours.setdefault(other, one) == one
        )

    def _same_but_for_ids(self, one: Any, other: Any) -> bool:
        if self._exactly or not (isinstance(one, str) and isinstance(other, str)):
            return False
        return re.sub(r"[\w-]+", lambda word: self._theirs.get(word[0], word[0]), one) == other
