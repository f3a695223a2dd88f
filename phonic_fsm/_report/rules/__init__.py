"""The rules that find what stands out in a call, a module a subject.

A new rule is its class, which reads the lanes, and its place in ``RULES``. ``thresholds`` makes
rules with other thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from msgspec import structs

from ..findings import Finding
from ..lanes import Lanes
from ..severity import SEVERITIES
from .answers import (
    EmptyAnswer,
    GapInAnswer,
    NoReply,
    NotPlayed,
    Repeated,
    SlowAnswers,
    StalledAnswer,
)
from .caller import (
    CallerBehind,
    DeafAtStart,
    LateEnd,
    MicrophoneGone,
    NotHeard,
    Overdriven,
    Unnoticed,
    WrongRate,
)
from .connection import LostAudio, Outage, SlowNetwork, SlowStart
from .ending import CutOffByClose, EndedByError, EndedByPhonic, NotClosed, Warned
from .interruptions import CutIn, CutOffAtStart, DroppedAnswer, Echo, ManyInterruptions
from .process import HeldUp, Moved, TakenOver
from .rule import Rule as Rule
from .silence import Silence
from .tools import CalledAgain, NoOutput, ToolFailed

RULES: tuple[Rule, ...] = (
    Silence(),
    EmptyAnswer(),
    NoReply(),
    StalledAnswer(),
    GapInAnswer(),
    NotPlayed(),
    SlowAnswers(),
    Repeated(),
    ManyInterruptions(),
    CutOffAtStart(),
    DroppedAnswer(),
    CutIn(),
    Echo(),
    ToolFailed(),
    NoOutput(),
    CalledAgain(),
    NotHeard(),
    Unnoticed(),
    LateEnd(),
    Overdriven(),
    MicrophoneGone(),
    WrongRate(),
    CallerBehind(),
    DeafAtStart(),
    TakenOver(),
    Moved(),
    HeldUp(),
    SlowStart(),
    Outage(),
    LostAudio(),
    SlowNetwork(),
    EndedByError(),
    EndedByPhonic(),
    Warned(),
    CutOffByClose(),
    NotClosed(),
)
"""All rules, each with the thresholds that hold unless others are set."""

CONSEQUENCES: tuple[tuple[type[Rule], tuple[type[Rule], ...]], ...] = (
    (NotHeard, (WrongRate, LateEnd)),
    (EndedByPhonic, (NotHeard,)),
    (
        Silence,
        (
            ToolFailed,
            NoOutput,
            EmptyAnswer,
            NoReply,
            StalledAnswer,
            NotPlayed,
            NotHeard,
            LateEnd,
            WrongRate,
            EndedByError,
            EndedByPhonic,
            HeldUp,
        ),
    ),
)
"""What the first finds may be the consequence of what the others find at the time. It is then told
with its cause."""


def findings(lanes: Lanes, rules: Iterable[Rule] = RULES) -> list[Finding]:
    """Everything that the rules find, in the order of time; of what begins together, the worst
    first. One cause is one error."""
    found = [finding for rule in rules for finding in rule.find(lanes)]
    for consequence, causes in CONSEQUENCES:
        found = _told_with_their_causes(found, consequence.name, {cause.name for cause in causes})
    return sorted(found, key=lambda finding: (finding.start, SEVERITIES.index(finding.severity)))


def _told_with_their_causes(
    found: Sequence[Finding], consequence: str, causes: Set[str]
) -> list[Finding]:
    """The findings, without those consequences whose cause is an error of its own."""
    kept = list(found)
    for one in found:
        if one.rule != consequence or one.severity != "error":
            continue
        for place, cause in enumerate(kept):
            if (
                cause.severity == "error"
                and cause.rule in causes
                and max(cause.start, one.start) <= min(cause.end, one.end)
                and (cause.rule != HeldUp.name or _is_half_of(cause, one))
            ):
                kept[place] = _with_consequence(cause, one)
                kept.remove(one)
                break
    return kept


def _is_half_of(cause: Finding, one: Finding) -> bool:
    """Whether a stop of the process takes up half of what it is to explain: it may come behind
    another cause."""
    return min(cause.end, one.end) - max(cause.start, one.start) >= (one.end - one.start) / 2


def _with_consequence(cause: Finding, consequence: Finding) -> Finding:
    if cause.silence and consequence.silence:
        return cause  # it is told already
    noticed = consequence.noticed or consequence.title
    return structs.replace(
        cause,
        title=f"{cause.title}{'; ' if cause.noticed else ': '}{noticed}",
        noticed="; ".join(filter(None, (cause.noticed, noticed))),
        sentence=f"{cause.sentence} {consequence.sentence}",
        silence=max(cause.silence, consequence.silence),
        end=max(cause.end, consequence.end),
    )
