"""Tools: a call that brought nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ..findings import Finding, found
from ..lanes import Lanes, ToolCall
from ..numbers import duration
from ..severity import Severity

SOON = 60.0
"""Two calls with the same arguments within so many seconds stand out."""


def tool_without_output(lanes: Lanes) -> Iterator[Finding]:
    for call in lanes.tools:
        if call.status == "error" or call.is_error:
            sentence = (
                f"The tool raised an error {_after(call)}. Phonic got the error as its output."
            )
            yield found(
                "tool without output", f"{call.name} raised an error", sentence, call, "error"
            )
        if call.ended == "handed over":
            continue
        if call.problem is not None:
            title, sentence = f"{call.name} failed", f"Phonic says of the call: {call.problem}."
        elif call.late:
            title = f"{call.name}'s output came late"
            why = (
                "the caller had interrupted it"
                if call.ended == "interrupted"
                else "Phonic no longer awaited it"
            )
            sentence = f"The output came {_after(call)}, when {why}; Phonic was told in words."
        elif call.given is None and not call.ended:
            title = f"{call.name} gave no output"
            sentence = "The assistant called the tool and got no output before the trace ended."
        elif call.given is not None and call.sent is None:
            title = f"{call.name}'s output was never sent"
            sentence = (
                f"The output came {_after(call)}, when there was no connection to send it on."
            )
        else:
            continue
        severity: Severity = "warning" if call.late else "error"
        yield found("tool without output", title, sentence, call, severity)


def called_again(lanes: Lanes) -> Iterator[Finding]:
    for one, other in pairwise(lanes.tools):
        same = (one.name, one.arguments) == (other.name, other.arguments)
        # A call that was interrupted is rightly made again.
        if same and one.ended != "interrupted" and other.start - one.start < SOON:
            yield found(
                "tool called again",
                f"{other.name} was called twice with the same arguments",
                f"The assistant called {other.name} again after "
                f"{duration(other.start - one.start)}, with the same arguments. Its output may "
                "not have said what the assistant needed to know.",
                other,
            )


def _after(call: ToolCall) -> str:
    return f"{duration((call.given or call.end) - call.start)} after the call"
