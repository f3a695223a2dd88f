"""Tools: a call that brought nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding, Severity, found
from ..lanes import Lanes, ToolCall
from ..numbers import duration


def tool_without_output(lanes: Lanes) -> Iterator[Finding]:
    for call in lanes.tools:
        if call.status == "error":
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


def _after(call: ToolCall) -> str:
    return f"{duration((call.given or call.end) - call.start)} after the call"
