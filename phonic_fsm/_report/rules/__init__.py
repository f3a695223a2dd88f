"""The rules that find what stands out in a call, a module a subject.

A new rule is its function, which reads the lanes, and a line in ``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..findings import Finding
from ..lanes import Lanes
from ..severity import SEVERITIES
from . import answers, caller, connection, ending, interruptions, process, silence, tools


class Rule(NamedTuple):
    name: str
    when: str
    """When the rule marks something, in words for the page."""
    find: Callable[[Lanes], Iterator[Finding]]


RULES = (
    Rule(
        "silence",
        f"nobody is heard for {silence.OUGHT_TO_ANSWER:g} s while the caller waits, or for "
        f"{silence.OUGHT_TO_SPEAK:g} s on the caller's turn",
        silence.silence,
    ),
    Rule("outage", "the connection is lost in mid-call", connection.outage),
    Rule(
        "dropped audio",
        f"an outage lasts longer than the {connection.HELD:g} s of the caller's audio that are "
        "kept, or audio of the assistant comes for a turn that was interrupted",
        connection.lost_audio,
    ),
    Rule(
        "slow start",
        f"the conversation opens after more than {connection.SLOW_START:g} s or one attempt, or "
        "never",
        connection.slow_start,
    ),
    Rule(
        "slow network",
        f"a ping to Phonic takes more than {connection.SLOW_TRIP:g} s",
        connection.slow_network,
    ),
    Rule(
        "reply without speech",
        "the assistant's turn has nothing in it, or a reply that was asked for does not come",
        answers.reply_without_speech,
    ),
    Rule(
        "gap in an answer",
        f"no audio of an answer comes for more than {answers.GAP:g} s, in the middle of it",
        answers.gap,
    ),
    Rule(
        "answer not played",
        "audio of an answer came, and LiveKit's output, which was observed, played none of it",
        answers.never_played,
    ),
    Rule(
        "many interruptions",
        f"{interruptions.MANY} answers are cut off within {interruptions.SOON:g} s",
        interruptions.many_interruptions,
    ),
    Rule(
        "cut off at the start",
        f"of {interruptions.AGAIN_AND_AGAIN} answers in a row, less than "
        f"{interruptions.AT_THE_START:g} s is heard",
        interruptions.cut_off_at_the_start,
    ),
    Rule(
        "echo",
        "the caller's words are those that the assistant has just said",
        interruptions.echo,
    ),
    Rule(
        "tool called again",
        f"a tool is called with the same arguments within {tools.SOON:g} s",
        tools.called_again,
    ),
    Rule(
        "tool without output",
        "a tool gives no output, fails, or gives it when Phonic no longer awaits it",
        tools.tool_without_output,
    ),
    Rule(
        "caller not heard",
        f"the caller says nothing in {caller.LONG_ENOUGH:g} s and more of conversation, or for "
        f"{caller.LASTING:g} s nothing but digital silence comes of the caller, or no audio",
        caller.not_heard,
    ),
    Rule(
        "wrong rate",
        "more or less audio of the caller comes than time passes, for "
        f"{caller.LASTING:g} s: the frames name a rate that is not theirs",
        caller.wrong_rate,
    ),
    Rule(
        "caller's audio late",
        f"more than {caller.MUCH_WAITS:g} s of the caller's audio wait while the conversation is "
        f"open, for {caller.LASTING:g} s",
        caller.falls_behind,
    ),
    Rule(
        "deaf at the start",
        "LiveKit hands over digital silence, and nothing else, while the assistant speaks for "
        "the first time",
        caller.deaf_at_the_start,
    ),
    Rule(
        "process held up",
        f"the event loop is late by {process.FELT:g} s: something blocks it",
        process.held_up,
    ),
    Rule(
        "error",
        "the session puts out an error that it does not recover from, or warns",
        ending.error,
    ),
    Rule("not closed", "the trace does not end in closed", ending.not_closed),
)


def findings(lanes: Lanes) -> list[Finding]:
    """Everything that the rules find, in the order of time; of what begins together, the worst
    first."""
    found = [finding for rule in RULES for finding in rule.find(lanes)]
    return sorted(found, key=lambda finding: (finding.start, SEVERITIES.index(finding.severity)))
