"""Writes a session's lines to the log, and limits how many there are of one kind, and how long."""

from __future__ import annotations

import logging

from .._core.events import Event
from .printable import printable
from .secrets import Secrets

logger = logging.getLogger("phonic_fsm")

BURST = 10
"""So many lines of one kind are written, however fast they come."""

INTERVAL = 10.0
"""Seconds after which one more line of a kind may be written."""

LONGEST_LINE = 2_000
"""Characters of a line. The rest is cut off."""


class _Allowance:
    """How many lines of one kind may be written now."""

    def __init__(self, now: float) -> None:
        self.lines = float(BURST)
        self.since = now
        self.left_out = 0
        """Lines that were not written since the last one that was."""


class SessionLog:
    """Writes the lines of one session. A server that sends nonsense cannot flood the log."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._allowances: dict[type[Event], _Allowance] = {}

    def write(self, level: int, text: str, cause: Event, now: float) -> None:
        """Write a line, or leave it out if there were too many of its kind.

        Lines are of one kind if events of the same type cause them. ``now`` is in seconds, by a
        clock that only goes forward.
        """
        if not logger.isEnabledFor(level):
            return
        allowance = self._allowances.setdefault(type(cause), _Allowance(now))
        allowance.lines = min(BURST, allowance.lines + (now - allowance.since) / INTERVAL)
        allowance.since = now
        if allowance.lines < 1:
            allowance.left_out += 1
            return
        allowance.lines -= 1
        line = printable(self._secrets.hide(text)[:LONGEST_LINE])
        if allowance.left_out:
            line += f" ({allowance.left_out} lines like this were left out before it)"
            allowance.left_out = 0
        elif allowance.lines < 1:
            line += f" (of more lines like this, only one is written every {INTERVAL:g} s)"
        logger.log(level, "%s", line)
