"""What the session says of itself: errors, warnings, and how it ends."""

from __future__ import annotations

import math
from collections.abc import Iterator

from phonic_fsm._core.states import State
from phonic_fsm.trace._format import EndReason

from ..findings import Finding
from ..lanes import Lanes, Span, Trouble
from ..numbers import duration
from ..severity import Severity
from .rule import Rule, Seconds

LONGEST_TITLE = 90
"""Characters of an error's text that stand in a title. The sentence has all of it."""

ON_PURPOSE = "conversation_ended"
"""The kind of error by which a session says that the other side has ended the conversation."""

CALLER_LEFT = "participant_disconnected"
"""LiveKit's reason for closing an ``AgentSession`` whose caller has left the room."""

AT_ITS_END = 0.05
"""Seconds by which the end of what is heard may miss that of the session."""


class EndedByError(Rule, frozen=True, kw_only=True):
    """An error ended the session."""

    name = "ended-by-error"
    severities = ("error",)
    looks_for = (
        "an error ends the session: it cannot connect, Phonic refuses its config or reports an "
        "error, or the session itself breaks"
    )

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for trouble in lanes.troubles:
            if trouble.ended and trouble.kind != ON_PURPOSE:
                yield self.found(_title(trouble), _ended(trouble), _moment(trouble))


class EndedByPhonic(Rule, frozen=True, kw_only=True):
    """Phonic or the assistant ended the conversation on purpose."""

    name = "ended-by-phonic"
    severities = ("error", "warning", "note")
    looks_for = (
        "Phonic closes the connection on purpose; if the assistant ended the conversation, that "
        "is a note, or a warning if it had said nothing since the caller spoke, unless that may "
        "have been a goodbye: at most {short:g} s of speech, within {soon:g} s of the assistant's "
        "words"
    )

    short: Seconds = 1.0
    """A goodbye takes the caller no longer than this."""
    soon: Seconds = 3.0
    """So soon after the assistant's words the caller says goodbye in return."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for trouble in lanes.troubles:
            if trouble.ended and trouble.kind == ON_PURPOSE:
                severity: Severity = "error" if lanes.goodbye is None else "note"
                noticed = ""
                if lanes.goodbye is not None and self._spoke_last(lanes, lanes.goodbye):
                    severity, noticed = "warning", "the caller's last words had no answer"
                yield self.found(
                    _title(trouble), _ended(trouble), _moment(trouble), severity, noticed=noticed
                )

    def _spoke_last(self, lanes: Lanes, goodbye: float) -> bool:
        """Whether the caller did, as far as Phonic noticed, and said more than goodbye."""
        heard = max(
            (speech.end for speech in lanes.assistant if speech.end > speech.start),
            default=-math.inf,
        )
        for turn in lanes.caller:
            if turn.end <= heard:
                continue
            if turn.text:
                is_short = turn.took <= self.short
                if not (is_short and turn.start - heard <= self.soon):
                    return True
            elif turn.end >= goodbye and goodbye - heard > self.soon:
                # The goodbye cuts a turn off before there is a transcript of it. So soon after the
                # assistant's words it may as well be a noise.
                return True
        return False


class Warned(Rule, frozen=True, kw_only=True):
    """The session warned of something, or Phonic reported an error, and the call went on."""

    name = "warning"
    severities = ("warning", "note")
    looks_for = "the session warns, or Phonic reports an error that ends nothing"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        ends = [trouble.text for trouble in lanes.troubles if trouble.ended]
        for trouble in lanes.troubles:
            # An error that Phonic closes the connection after is told by its end.
            if not trouble.ended and not any(end.startswith(trouble.text) for end in ends):
                yield self.found(
                    _title(trouble), f"{_text(trouble)}.", _moment(trouble), trouble.severity
                )


class CutOffByClose(Rule, frozen=True, kw_only=True):
    """The session was closed while the assistant spoke."""

    name = "cut-off-by-close"
    severities = ("error", "note")
    looks_for = (
        "the session is closed while {seconds:g} s of the assistant are still to be played; it is "
        "a note unless these were its goodbye, and if the caller left"
    )

    seconds: Seconds = 0.5
    """So much was not heard."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        closed = lanes.closed
        if closed is None or not lanes.assistant:
            return
        last = lanes.assistant[-1]
        unheard = (last.unheard or last.end) - last.end
        if abs(last.end - closed.start) > AT_ITS_END or unheard < self.seconds:
            return
        goodbye = lanes.goodbye is not None and not (lanes.end and lanes.end.reason == CALLER_LEFT)
        yield self.found(
            f"The session was closed while the assistant {'said goodbye' if goodbye else 'spoke'}",
            f"{duration(unheard)} of audio had come and had yet to be played. "
            "If your code closes the session, let it wait for the speech to be played first.",
            Span(step=closed.step, start=last.end, end=last.end),
            "error" if goodbye else "note",
            noticed=f"{duration(unheard)} not heard",
        )


class NotClosed(Rule, frozen=True, kw_only=True):
    """The trace does not end in ``closed``."""

    name = "not-closed"
    severities = ("warning",)
    looks_for = "the trace does not end in closed"

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        if lanes.states and lanes.states[-1].state != State.closed.value:
            last = lanes.states[-1]
            end = Span(step=last.step, start=lanes.seconds, end=lanes.seconds)
            left = f"The last step leaves the session in {last.state}."
            if lanes.cut is not None:
                title, why = _CUT[lanes.cut]
                yield self.found(title, f"{left} {why}", end)
                return
            yield self.found(
                "The trace just ends",
                f"{left} The process ended before the session was closed, or the call was still "
                "going on.",
                end,
            )


_CUT: dict[EndReason, tuple[str, str]] = {
    "size_limit": (
        "The trace reached its largest size",
        "The call went on, and nothing more of it was recorded.",
    ),
    "overrun": (
        "The disk could not keep up with the trace",
        "The call went on, and nothing more of it was recorded.",
    ),
    "cut_off": (
        "The trace is cut off",
        "The file that was redacted ended in the middle of a line, as after a crash.",
    ),
}


def _moment(trouble: Trouble) -> Span:
    return Span(step=trouble.step, start=trouble.at, end=trouble.at)


def _ended(trouble: Trouble) -> str:
    return f"{_text(trouble)}. The session ended with this."


_WHOSE = {
    "configuration_refused": "Phonic refuses the config: ",
    "server_error": "Phonic reports an error: ",
    "internal_error": "The session broke: ",
}
"""What stands before the text of an error of this kind, which says only what is wrong."""


def _text(trouble: Trouble) -> str:
    text = _WHOSE.get(trouble.kind, "") + trouble.text
    return (text[:1].upper() + text[1:]).rstrip(".")


def _title(trouble: Trouble) -> str:
    text = _text(trouble)
    if len(text) <= LONGEST_TITLE:
        return text
    first, semicolon, _ = text.partition(";")
    return first if semicolon and len(first) <= LONGEST_TITLE else f"{text[:LONGEST_TITLE]}…"
