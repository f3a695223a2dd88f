"""Traces: a session's steps as JSON Lines, and their replay.

While a session runs, ``recorder`` queues its steps, and the thread of ``writer`` has ``output``
make lines of them: ``masking`` or ``redaction`` take out what must not be told, ``format`` says
what a line holds, ``sinks`` are where lines go, ``audio`` what goes beside them. ``destination``
names a trace, ``rotation`` makes room for it, ``recording`` is all that the user may choose.

Afterwards ``reader`` reads a trace (``follow`` while it is still written) and ``feeding`` feeds its
events to a fresh machine: ``replay`` compares what that does with what was recorded, ``explain``
says why a step was taken, ``rewriting`` redacts.
``stats`` measures a call, ``diff`` compares two, ``kinds`` says what a step is about. The machine is the only thing of the package that a replay runs: no
socket, no clock, no LiveKit. ``schema`` is the format for other programs.
"""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from ._diff import DifferingStep, diff_traces, diff_with_machine
    from ._format import End, Header, Line
    from ._reader import TraceCutOff, TraceError, TraceReader
    from ._replay import Difference, ReplayedStep, replay
    from ._schema import schema
    from ._stats import Figures, measure

__all__ = [
    "Difference",
    "DifferingStep",
    "End",
    "Figures",
    "Header",
    "Line",
    "ReplayedStep",
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
        "._diff": "DifferingStep diff_traces diff_with_machine",
        "._format": "End Header Line",
        "._reader": "TraceCutOff TraceError TraceReader",
        "._replay": "Difference ReplayedStep replay",
        "._schema": "schema",
        "._stats": "Figures measure",
    },
)
