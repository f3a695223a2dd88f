"""Writes the machine's lines to the log, and limits how many there are of one kind."""

from __future__ import annotations

import logging

from .._core.effects import Log
from .._core.events import Event
from .._wire.codec import MalformedMessage
from .printable import printable
from .secrets import Secrets

logger = logging.getLogger("phonic_fsm")

ALWAYS = 5
"""How many lines about messages that cannot be read are written before some are left out."""


class SessionLog:
    """Writes the lines of one session. A server that sends nonsense cannot flood the log."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._malformed = 0

    def write(self, line: Log, cause: Event) -> None:
        """Write a line. ``cause`` is the event that led to it.

        Of the lines about messages that cannot be read, the first five are written, then the 10th,
        the 100th and so on.
        """
        text = line.text
        if isinstance(cause, MalformedMessage):
            self._malformed += 1
            number = self._malformed
            if number > ALWAYS:
                if str(number).strip("0") != "1":
                    return
                text = f"{text} (the {number}th message that cannot)"
        getattr(logger, line.level)("%s", printable(self._secrets.hide(text)))
