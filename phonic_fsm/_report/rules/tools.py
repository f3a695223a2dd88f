"""Tools: calls that brought nothing, or were made again."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..lanes import Lanes, ToolCall
from ..numbers import duration
from ..severity import Severity
from .rule import Rule, Seconds

NOT_PARSED = "Error parsing arguments"
"""What LiveKit says in place of the output of a tool that it could not call (livekit-agents
1.8.9)."""


class ToolFailed(Rule, frozen=True, kw_only=True):
    """A tool raised an error, was not there, or was too slow for Phonic."""

    name = "tool-failed"
    severities = ("error", "note")
    looks_for = (
        "a tool raises an error, or is called with arguments that do not fit, the agent has no "
        "tool of that name, or Phonic says that the call failed or timed out; if the caller had "
        "interrupted the call, that is a note"
    )

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        for call in lanes.tools:
            if told := _why_failed(call):
                # Nobody waits for a call that was interrupted.
                yield self.found(*told, call, "note" if call.ended == "interrupted" else "error")


def _why_failed(call: ToolCall) -> tuple[str, str] | None:
    """The cause and a sentence, if it failed."""
    if not call.known:
        return (
            f"The agent has no tool {call.name}",
            "The assistant called a tool that the agent has not given."
            + (" It was told so as the tool's output." if _was_sent(call) else ""),
        )
    if call.is_error and str(call.output).startswith(NOT_PARSED):
        return (
            f"{call.name} was called with arguments that do not fit",
            "The tool did not run: what the assistant gave does not fit the tool's parameters."
            + (" Phonic got the error as its output." if _was_sent(call) else ""),
        )
    if call.status == "error" or call.is_error:
        return (
            f"{call.name} raised an error",
            f"The tool raised an error {_after(call, call.returned or call.given)}."
            + (" Phonic got the error as its output." if _was_sent(call) else ""),
        )
    if call.timed_out:
        return (
            f"{call.name} took longer than Phonic waits",
            f"Phonic gave the call up {_after(call, call.acknowledged)}. "
            "configs_for_tools sets how long it waits (tool_call_output_timeout_ms).",
        )
    if call.problem is not None:
        return (f"{call.name} failed", f"Phonic says of the call: {call.problem}.")
    return None


def _was_sent(call: ToolCall) -> bool:
    """Whether its output was."""
    return call.given is not None and (call.sent is not None or call.carried is not None)


class NoOutput(Rule, frozen=True, kw_only=True):
    """A tool's output did not come, or came to nothing."""

    name = "no-output"
    severities = ("error", "warning", "note")
    looks_for = (
        "a tool's output is not there {seconds:g} s after the call when the session ends (earlier "
        "is a note), is never sent, or comes when Phonic no longer awaits it (a warning; after an "
        "interruption, a note); or the answer is cut off before LiveKit makes the call (a note)"
    )

    seconds: Seconds = 5.0
    """From the call until the session ends."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        closed = lanes.over
        for call in lanes.tools:
            if call.ended == "handed over" or _why_failed(call) is not None:
                continue
            severity: Severity = "error"
            noticed = ""
            if call.ended == "not made":
                cause = f"LiveKit did not run {call.name}"
                sentence = (
                    "The answer that the call belonged to was cut off before LiveKit began to play "
                    "it."
                ) + (" Phonic was told so as the tool's output." if _was_declined(call) else "")
                severity = "note"
            elif call.told is not None:
                cause = f"{call.name}'s output came late"
                interrupted = call.ended == "interrupted"
                why = (
                    "the caller had interrupted it"
                    if interrupted
                    else "Phonic no longer awaited it"
                )
                sentence = (
                    f"The output came {_after(call, call.given)}, when {why}; Phonic was told in "
                    "words."
                )
                severity = "note" if interrupted else "warning"
            elif call.given is None and not call.ended:
                took = min(call.end, closed) - call.start
                if lanes.end is None:
                    cause = f"{call.name} has given no output so far"
                    noticed = f"the trace ends {duration(took)} after the call"
                    sentence = "The assistant called the tool, which may still run."
                    severity = "note"
                else:
                    cause = f"{call.name} gave no output"
                    noticed = f"the session ended {duration(took)} after the call"
                    sentence = (
                        "The assistant called the tool and got no output before the session ended."
                    )
                    severity = "error" if took >= self.seconds else "note"
            elif call.given is not None and not _was_sent(call) and lanes.end is not None:
                cause = f"{call.name}'s output was never sent"
                sentence = (
                    f"The output came {_after(call, call.given)}, when there was no connection to "
                    "send it on."
                )
            else:
                continue
            yield self.found(cause, sentence, call, severity, noticed=noticed)


def _was_declined(call: ToolCall) -> bool:
    """Whether Phonic was told, as its output, that the call is not made. After that it gets none;
    what was sent earlier said that the tool still runs."""
    return call.sent is not None and call.sent >= call.end


class CalledAgain(Rule, frozen=True, kw_only=True):
    """A tool was called again with the same arguments."""

    name = "tool-called-again"
    severities = ("warning", "note")
    looks_for = (
        "a tool is called with the same arguments again within {seconds:g} s; if Phonic had the "
        "output and the caller has spoken since, that is a note; a redacted trace does not tell it"
    )

    seconds: Seconds = 60.0
    """From one call to the next."""

    def find(self, lanes: Lanes) -> Iterator[Finding]:
        if lanes.redacted:
            return  # all arguments look alike
        before: dict[str, list[ToolCall]] = {}
        for call in lanes.tools:
            same = [one for one in before.get(call.name, []) if one.arguments == call.arguments]
            before.setdefault(call.name, []).append(call)
            # A call that was interrupted is rightly made again.
            if same and same[-1].ended != "interrupted":
                since = call.start - same[-1].start
                if since < self.seconds:
                    asked = _had_the_output(same[-1], call.start) and any(
                        same[-1].start <= said.start and said.end <= call.start
                        for said in lanes.caller
                    )
                    why = (
                        ", and the caller has spoken since"
                        if asked
                        else _why_again(same[-1], call.start)
                    )
                    yield self.found(
                        f"{call.name} was called again with the same arguments",
                        f"The assistant had called it {duration(since)} before{why}.",
                        call,
                        "note" if asked else "warning",
                    )


def _had_the_output(former: ToolCall, now: float) -> bool:
    """Whether Phonic had taken the output of a call that had not failed."""
    if _why_failed(former) is not None:
        return False
    return all(at is not None and at <= now for at in (former.given, former.acknowledged))


def _why_again(former: ToolCall, now: float) -> str:
    """What had become of the call when the tool was called again."""
    if _had_the_output(former, now):
        return ", and Phonic had its output, which may not say what the assistant needed to know"
    if _why_failed(former) is not None and former.end <= now:
        return ", and that call had failed"
    if former.given is None or former.given > now:
        return ", and the tool had not given its output yet"
    if not _was_sent(former) or (former.sent or former.carried or 0) >= now:
        return ", and its output had not been sent yet"
    return ", and Phonic had not said that it took the output"


def _after(call: ToolCall, at: float | None) -> str:
    return f"{duration((call.end if at is None else at) - call.start)} after the call"
