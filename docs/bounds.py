"""The table of bounds in ``reliability.md``: each made from the constant that the code obeys.

A test finds every constant of the package that is named like a bound, and fails if it is neither in
the table nor among those that bound nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from phonic_fsm import TraceLimits
from phonic_fsm._adapter import (
    journal,
    listener,
    meters,
    metrics,
    moving,
    outage,
    standby,
    telemetry,
)
from phonic_fsm._core import guards, outgoing, prompt, timers, wording
from phonic_fsm._runtime import connection, log, outbox, socket, uplink
from phonic_fsm._wire import codec, server
from phonic_fsm._wire.bounds import Bound as BoundName
from phonic_fsm.durable import _journal, _redis
from phonic_fsm.trace import _destination, _format, _recorder


class Bound(NamedTuple):
    """One line of the table."""

    what: str
    constants: tuple[tuple[ModuleType | TraceLimits, str], ...]
    """Where the bound stands: what has it, each with its name there."""
    said: str
    """The bound in words, with ``{0}`` for the value of the first constant."""
    beyond: str
    """What becomes of more."""
    counted: BoundName | None = None
    """As what the metric ``phonic.bound.hits`` counts it, if it does."""


BOUNDS = {
    "From Phonic": (
        Bound(
            "One message",
            ((connection, "MAX_MESSAGE_BYTES"),),
            "{0:mib}",
            "the connection ends (close code 1009) and is resumed",
            counted="message_size",
        ),
        Bound(
            "Values in one message",
            ((codec, "MOST_VALUES"), (codec, "LONG_NUMBER"), (codec, "EXTREME_NUMBER")),
            "{0:,}; a number of over {1} characters counts as so many, one with an exponent of "
            "three digits as {2}",
            "the message is dropped, with a warning",
            counted="message_values",
        ),
        Bound(
            "Levels in one message",
            ((codec, "DEEPEST"),),
            "{0}",
            "the message is dropped, with a warning",
            counted="message_values",
        ),
        Bound(
            "An id, a tool's name, a code",
            ((server, "LONGEST_NAME"),),
            "{0} characters",
            "the message is dropped, with a warning",
        ),
        Bound(
            "Data that is read ahead, and how long it is handled before others have their turn",
            ((socket, "READ_BYTES"), (socket, "LONGEST_SHARE")),
            "{0:kib}, and {1:g} s",
            "waits",
        ),
        Bound(
            "Pongs that wait for a slow socket",
            (),
            "1",
            "the last ping is answered, which answers those before it",
        ),
        Bound(
            "Audio in one turn of the assistant",
            ((guards, "MAX_TURN_SECONDS"),),
            "{0:minutes}",
            "the turn is cut off, with a warning",
            counted="turn",
        ),
        Bound(
            "Text in one turn of the assistant",
            ((guards, "MAX_TURN_CHARACTERS"),),
            "{0:,} characters",
            "the turn is cut off, with a warning",
            counted="turn",
        ),
        Bound(
            "Pending tool calls",
            ((guards, "MAX_PENDING_CALLS"),),
            "{0:,}",
            "the call is not made, with a warning",
            counted="pending_calls",
        ),
        Bound(
            "What an error or a line of the log repeats of Phonic's words",
            ((wording, "LONGEST_QUOTE"), (wording, "MOST_FIELDS")),
            "{0} characters of a text, {1} fields",
            "is cut",
        ),
        Bound(
            "The name of an unknown type, and what is wrong with a message",
            ((codec, "LONGEST_TYPE"), (codec, "LONGEST_PROBLEM")),
            "{0} and {1} characters",
            "is cut",
        ),
        Bound(
            "Phonic's own timings in one generation's metrics",
            ((metrics, "MOST_TIMINGS"),),
            "{0}",
            "are left out",
        ),
        Bound(
            "Seconds to wait that Phonic asks for (`Retry-After`)",
            ((timers, "LONGEST_RETRY_AFTER"),),
            "{0:g} s",
            "the next attempt is made then",
        ),
        Bound(
            "Refusals with HTTP 429 during a call, and the time over which it asks again",
            ((timers, "MOST_REFUSALS"), (timers, "LONGEST_SPREAD")),
            "{0}, and {1:g} s",
            "counts as a failed attempt",
        ),
    ),
    "To Phonic": (
        Bound(
            "The caller's audio until Phonic is ready",
            ((outgoing, "KEPT_UNTIL_READY_MS"),),
            "the newest {0:seconds}",
            "the oldest is dropped, with one warning",
            counted="kept_audio",
        ),
        Bound(
            "The caller's audio during an outage",
            ((outgoing, "KEPT_UNTIL_RESUMED_MS"),),
            "the newest {0:seconds}",
            "the oldest is dropped, with one warning",
            counted="kept_audio",
        ),
        Bound(
            "The caller's audio while a call moves to another process",
            ((standby, "KEPT"),),
            "the newest {0:g} s",
            "the oldest is dropped",
        ),
        Bound(
            "The caller's audio for a slow socket",
            ((outbox, "MAX_AUDIO_CHUNKS"),),
            "the newest {0:chunks}",
            "the oldest is dropped, with one warning",
            counted="unsent_audio",
        ),
        Bound(
            "A muted caller's audio (push-to-talk)",
            (),
            "the newest `unmute_prebuffer_ms`, 1 s by default",
            "the oldest is dropped",
        ),
        Bound(
            "Silence that is sent at once, after the event loop was held up",
            ((uplink, "MAX_SILENCE_MS"),),
            "{0:seconds}",
            "is not made up for",
        ),
        Bound(
            "Messages other than audio, for a socket that takes nothing",
            ((outbox, "MAX_CONTROL_BYTES"), (connection, "STALLED")),
            "{0:mib} and {1:g} s",
            "the connection is given up, and they go out on the next one",
            counted="unsent_messages",
        ),
        Bound(
            "Messages other than audio, during an outage",
            ((outgoing, "MAX_HELD_MESSAGES"),),
            "{0:,}",
            "the message is dropped, with a warning",
            counted="held_messages",
        ),
        Bound(
            "Tool calls of which Phonic has not said that they are over",
            ((guards, "MAX_CALLS"),),
            "{0:,}",
            "the output of the oldest is not sent again after an outage; a warning says so",
            counted="remembered_calls",
        ),
        Bound(
            "The caller's turns that wait for their transcripts",
            ((guards, "MAX_CALLER_TURNS"),),
            "{0}",
            "a transcript of the oldest stands at the end of the history",
        ),
        Bound(
            "A tool's output in the history of a fresh conversation",
            ((prompt, "LONGEST_OUTPUT"),),
            "{0:,} characters",
            "is cut, and the history says so",
        ),
    ),
    "In your process": (
        Bound(
            "Lines of one kind in the log",
            ((log, "BURST"), (log, "INTERVAL")),
            "{0} at once, then one every {1:g} s",
            "are left out and counted",
        ),
        Bound("A line of the log", ((log, "LONGEST_LINE"),), "{0:,} characters", "is cut"),
        Bound(
            "Steps of a session that wait for its trace to be written",
            ((_recorder, "LONGEST_QUEUE"), (_recorder, "LARGEST_QUEUE")),
            "{0:,}, and {1:mib}",
            "the trace ends, with a warning",
            counted="trace",
        ),
        Bound(
            "What waits for a journal's store that does not work",
            ((_journal, "LONGEST_QUEUE"), (_journal, "LARGEST_WAIT")),
            "{0:,} steps, {1:mib}",
            "the journal ends, with a warning; the call goes on",
            counted="journal",
        ),
        Bound(
            "Claims of journals that a process remembers because Redis has not answered them",
            ((_redis, "MOST_UNANSWERED"),),
            "{0:,}",
            "the oldest is forgotten",
        ),
        Bound(
            "A successor that waits until nobody speaks, before a call moves",
            ((moving, "LONGEST_WAIT"),),
            "{0:g} s",
            "the call moves in any case",
        ),
        Bound(
            "What `remember` keeps",
            ((journal, "LONGEST_STATE"),),
            "{0:kib}",
            "`ValueError`",
        ),
        Bound(
            "A trace",
            ((TraceLimits(), "trace_bytes"),),
            "{0:mb}, or as `trace_limits` says",
            "the trace ends, with a warning",
            counted="trace",
        ),
        Bound(
            "A job's or a room's name in the name of a trace",
            ((_destination, "LONGEST_VALUE"),),
            "{0} bytes",
            "is cut",
        ),
        Bound(
            "Levels and values in one line of a trace",
            ((_format, "DEEPEST"), (_format, "MOST_VALUES")),
            "{0} and {1:,}",
            "the trace is not readable",
        ),
        Bound(
            "A line of a trace",
            ((_format, "LONGEST_LINE"),),
            "{0:mib}",
            "the trace ends, with a warning",
        ),
        Bound(
            "Answers that LiveKit has not begun to read",
            ((listener, "MOST_WAITING"),),
            "{0:,} ids",
            "no warning says that they are not heard",
        ),
        Bound(
            "Spans of tool calls that Phonic has not settled (OpenTelemetry)",
            ((telemetry, "MOST_OPEN_CALLS"),),
            "{0:,}",
            "the spans end as abandoned",
        ),
        Bound(
            "Tool calls that Phonic has not settled (metrics)",
            ((meters, "MOST_OPEN_CALLS"),),
            "{0:,}",
            "they count as abandoned",
        ),
        Bound(
            "Parts of a latency that have series of their own (metrics)",
            ((meters, "MOST_PARTS"),),
            "{0}",
            "they count as `other`",
        ),
        Bound(
            "The goodbye of an outage, and the function that is its way out",
            ((outage, "LONGEST_LINE"), (outage, "LONGEST_WAY_OUT")),
            "{0:g} s",
            "the call ends",
        ),
    ),
}
"""Every bound, by whose doing it is about."""

BOUND_NOTHING = {
    "phonic_fsm._runtime.fence.MOST_THROWN_OUT": "when a conversation is another process's",
    "phonic_fsm.durable._directory.LONGEST_DYING": "how long a killed owner may take to be gone",
    "phonic_fsm._adapter.awaited.LONGEST_HANDOVER": "how long a successor waits for its call",
    "phonic_fsm._adapter.awaited.LONGEST_LULL": "when a successor's agent starts",
    "phonic_fsm.durable._dispatch.LONGEST_ANSWER": "how long LiveKit's server is waited for",
    "phonic_fsm.durable._store.LONGEST_NAME": "how a journal is named",
    "phonic_fsm._adapter.config.MOST_IN_AUTO_MODE": "a rule of Phonic's for an option",
    "phonic_fsm._adapter.replies.LONGEST_FAREWELL": "how long the end of a session waits",
    "phonic_fsm._runtime.connection.LONGEST_HOST": "how much of a redirect an error tells",
    "phonic_fsm._core.states.LONGEST": "after which time a state is named in the log",
    "phonic_fsm._runtime.secrets.LONGEST_LEFT": "how much of a secret a cut may leave",
    "phonic_fsm.durable._journal.LONGEST_WAIT": "how long the end of a session waits",
    "phonic_fsm.trace._audio.LARGEST_GAP": "when silence is put into a file",
    "phonic_fsm.trace._format.LONGEST_AUDIO": "which traces are readable",
    "phonic_fsm.trace._format.LONGEST_CALL": "which traces are readable",
    "phonic_fsm.trace._recorder.LONGEST_LINGER": "how long a closed session's end is observed",
    "phonic_fsm.trace._recorder.LONGEST_WAIT": "how long the end of a session waits",
    "phonic_fsm.trace._runs.MOST_STEPS": "how many steps share a line of a trace",
    "phonic_fsm.trace._writer.LONGEST_FAREWELL": "how long the end of the process waits",
}
"""Constants that are named like a bound of a session, and what they say instead."""


class _Value(float):
    """Knows a few units beside the usual formats."""

    def __format__(self, spec: str) -> str:
        made = {
            "mib": f"{self / 2**20:g} MiB",
            "kib": f"{self / 2**10:g} KiB",
            "mb": f"{self / 1e6:g} MB",
            "minutes": f"{self / 60:g} minutes",
            "seconds": f"{self / 1000:g} s",
            "chunks": f"{self * uplink.CHUNK_MS / 1000:g} s",
        }
        return made.get(spec) or format(int(self) if self.is_integer() else float(self), spec)


def table() -> Iterator[str]:
    """What waits or is held, its bound, and what becomes of more."""
    for subject, bounds in BOUNDS.items():
        yield ""
        yield f"### {subject}"
        yield ""
        yield "| What | Bound | More than that | Counted as |"
        yield "|---|---|---|---|"
        for bound in bounds:
            values = [_Value(getattr(module, name)) for module, name in bound.constants]
            counted = f"`{bound.counted}`" if bound.counted else ""
            said = bound.said.format(*values)
            yield f"| {bound.what} | {said} | {bound.beyond} | {counted} |"
    yield ""
