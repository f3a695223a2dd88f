"""The options of a model that concern traces, checked."""

from __future__ import annotations

from msgspec import Struct

from ._destination import Destination, Files, destination
from ._rotation import TraceLimits
from ._writer import FILES, Writer


class Recording(Struct, frozen=True):
    destination: Destination
    redact: bool = False
    audio: bool = False
    limits: TraceLimits = TraceLimits()
    writer: Writer = FILES
    """Whose thread writes the traces."""


def checked_recording(
    trace: object, *, redact: bool = False, audio: bool = False, limits: object = TraceLimits()
) -> Recording:
    """The recording that the options ask for.

    Raises:
        ValueError: an option is wrong, or cannot be used with another; the message names it.
    """
    target = destination(trace)
    if not isinstance(limits, TraceLimits):
        raise ValueError(f"trace_limits must be TraceLimits, got {limits!r}")
    if audio and not isinstance(target, Files):
        raise ValueError("trace_audio needs a trace in a file, beside which the audio goes")
    if audio and redact:
        raise ValueError("trace_audio cannot be with redact_trace: audio is not redacted")
    named = isinstance(target, Files) and target.resolved().names_the_session
    if limits.remove_traces and not named:
        raise ValueError(
            "trace_limits: traces are removed only where their names have {session} in them"
        )
    writer = FILES if isinstance(target, Files) else Writer()
    return Recording(target, redact, audio, limits, writer)
