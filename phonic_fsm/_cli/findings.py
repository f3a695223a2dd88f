"""What stands out in a call and how it ended: what is looked for, as options say it, how commands
print it, and the exit code that follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.text import Text

from phonic_fsm._report.end import End
from phonic_fsm._report.findings import Finding
from phonic_fsm._report.rules import Rule
from phonic_fsm._report.rules.thresholds import ThresholdError, rules_with
from phonic_fsm._report.severity import SEVERITIES, Severity

from .failure import CommandFailed
from .text import printable

NOTHING_AS_BAD, FOUND = 0, 1

_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


def chosen_rules(thresholds: Iterable[str]) -> Sequence[Rule]:
    """The rules, with what ``--threshold`` sets.

    Raises:
        CommandFailed: one of the settings sets nothing.
    """
    try:
        return rules_with(thresholds)
    except ThresholdError as error:
        raise CommandFailed(f"--threshold {error}") from error


def exit_code(found: Iterable[Finding], fail_on: Severity | None) -> int:
    """1 if a finding is as bad as ``fail_on``, or worse."""
    if fail_on is None:
        return NOTHING_AS_BAD
    worst = SEVERITIES.index(fail_on)
    bad = any(SEVERITIES.index(finding.severity) <= worst for finding in found)
    return FOUND if bad else NOTHING_AS_BAD


def as_text(found: Iterable[Finding]) -> Iterable[Text]:
    """Two lines for each."""
    for finding in found:
        at = f"{finding.severity} at {finding.start:.3f} s, step {finding.step}: "
        yield Text(at, _STYLES[finding.severity]).append(printable(finding.title), "bold")
        yield Text(f"    {printable(finding.sentence)}", "default")


def end_as_text(end: End | None) -> Iterable[Text]:
    """A line, if the call has ended."""
    if end is not None:
        told = f"{end.title} ({end.by}, {end.reason}). {end.sentence}"
        yield Text(f"end at {end.at:.3f} s, step {end.step}: ").append(printable(told))


def as_json(found: Iterable[Finding]) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = msgspec.to_builtins(list(found))
    return plain
