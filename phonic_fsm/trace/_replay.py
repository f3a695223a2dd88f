"""Replays a trace: compares every state and effect with what a fresh machine does."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import Any

import msgspec
from msgspec import Struct

from .._core.context import Context
from .._core.machine import Step
from ._explain import Explanation
from ._feeding import FedMachine
from ._format import Line, recorded_effect, recorded_effects, same_in_json
from ._reader import TraceReader

_encode = msgspec.json.Encoder().encode


class Difference(Struct, frozen=True):
    """A place where a replayed step differs from the recorded one."""

    where: str
    """``from``, ``to``, ``effects`` (their number) or ``effects[2].text`` and the like."""
    expected: Any
    """As recorded."""
    got: Any
    """What this version's machine does."""


class ReplayedStep(Struct, frozen=True):
    """A recorded step beside what the machine did for the same event."""

    line: Line
    step: Step
    difference: Difference | None
    """The first difference, or ``None`` if the step is identical."""
    explanation: Explanation | None = None
    """Why the step was taken; ``None`` if that was not asked for."""


class Replay:
    """Gives a trace's steps to a fresh machine, one after the other, and compares."""

    def __init__(self, reader: TraceReader, *, explain: bool = False) -> None:
        """With ``explain``, each step says why it was taken; that takes a fifth longer."""
        self._machine = FedMachine(reader.path, reader.header.settings)
        self._explain = explain

    @property
    def context(self) -> Context:
        """What the session remembers after the last step that was taken."""
        return self._machine.context

    def take(self, line: Line) -> ReplayedStep:
        """Take the next step. After a difference the machine and the trace are in different
        situations, so nothing more should be taken.

        Raises:
            TraceError: the line holds no event that the machine can take.
        """
        explanation = None
        if self._explain:
            step, explanation = self._machine.feed_and_explain(line.seq, line.event)
        else:
            step = self._machine.feed(line.seq, line.event)
        return ReplayedStep(line, step, _compare(line, step), explanation)


def replay(
    trace: str | PathLike[str] | TraceReader, *, explain: bool = False
) -> Iterator[ReplayedStep]:
    """Replay a trace, by its path or its reader, to its end or to the first difference.

    With ``explain``, each step says why it was taken.

    Raises:
        TraceError: the file is not a readable trace.
    """
    reader = trace if isinstance(trace, TraceReader) else TraceReader(trace)
    machine = Replay(reader, explain=explain)
    for line in reader:
        step = machine.take(line)
        yield step
        if step.difference is not None:
            return


def _compare(line: Line, step: Step) -> Difference | None:
    if line.source != step.source.value:
        return Difference("from", line.source, step.source.value)
    if line.target != step.target.value:
        return Difference("to", line.target, step.target.value)
    if _encode([*map(recorded_effect, step.effects)]) == _encode(line.effects):
        return None
    return _first_difference("effects", line.effects, recorded_effects(step))


def _first_difference(where: str, expected: Any, got: Any) -> Difference | None:
    if isinstance(expected, list) and isinstance(got, list):
        for index, (one, other) in enumerate(zip(expected, got, strict=False)):
            found = _first_difference(f"{where}[{index}]", one, other)
            if found is not None:
                return found
        if len(expected) != len(got):
            index = min(len(expected), len(got))
            return Difference(f"{where}[{index}]", *(_at(v, index) for v in (expected, got)))
        return None
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in [*expected, *(key for key in got if key not in expected)]:
            found = _first_difference(f"{where}.{key}", expected.get(key), got.get(key))
            if found is not None:
                return found
        return None
    return None if same_in_json(expected, got) else Difference(where, expected, got)


def _at(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None
