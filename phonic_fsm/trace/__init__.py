"""Traces: a session's steps as JSON Lines, and their replay.

While a session runs:

``recorder``
    The event loop hands its steps to it; it queues them.
``writer`` and ``output``
    One thread for all sessions takes what is queued, makes lines of it and writes them.
``levels``
    How loud the audio of a step is.
``masking`` and ``redaction``
    What a trace must not hold is taken out: secrets always, what was said if it is redacted.
``format`` and ``schema``
    What a line holds, and the same as a JSON Schema for other programs.
``sinks``, ``audio``, ``destination`` and ``rotation``
    Where lines go, the audio beside them, how a trace is named, and which old traces give way.
``lock``
    Shows that a process still writes a trace.
``recording``
    The options of a recording, checked.

Afterwards:

``reader`` and ``follow``
    Read a trace, or one that is still being written.
``feeding``
    Feeds a trace's events to a fresh machine. Everything below that replays goes through it.
``replay`` and ``explain``
    Compare what the machine does with what was recorded, and say why it does it.
``rewriting``
    Redacts a recorded trace.
``standing``
    Says where a session that runs stands: its state, and what it waits for.
``kinds``, ``stats`` and ``diff``
    Say what a step is about, measure a call, and compare two traces.
``turns`` and ``lost_audio``
    What ``stats`` measures of the caller: what each turn waited for, and what outages lost.

A replay runs the machine and nothing else of this package: no socket, no clock, no LiveKit.
"""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from ._diff import ComparedStep, TimeDifference, diff_traces, diff_with_machine
    from ._format import End, Header, Line
    from ._reader import TraceCutOff, TraceError, TraceReader
    from ._replay import Difference, ReplayedStep, replay
    from ._schema import schema
    from ._stats import Figures, measure

__all__ = [
    "ComparedStep",
    "Difference",
    "End",
    "Figures",
    "Header",
    "Line",
    "ReplayedStep",
    "TimeDifference",
    "TraceCutOff",
    "TraceError",
    "TraceReader",
    "diff_traces",
    "diff_with_machine",
    "measure",
    "replay",
    "schema",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "._diff": "ComparedStep TimeDifference diff_traces diff_with_machine",
        "._format": "End Header Line",
        "._reader": "TraceCutOff TraceError TraceReader",
        "._replay": "Difference ReplayedStep replay",
        "._schema": "schema",
        "._stats": "Figures measure",
    },
)
