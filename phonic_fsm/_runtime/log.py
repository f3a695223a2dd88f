"""Lines for the log, and how many of one kind there may be."""

from __future__ import annotations

import logging

from .._core.effects import Log
from .._core.events import Event
from .._wire.codec import MalformedMessage
from .printable import printable

logger = logging.getLogger("phonic_fsm")

ALWAYS = 5
"""Lines about messages that cannot be read, before they are thinned out."""


class SessionLog:
    """Writes a session's lines; a server that keeps sending nonsense does not flood the log."""

    def __init__(self) -> None:
        self._malformed = 0

    def write(self, line: Log, cause: Event) -> None:
        """Write a line that this event caused.

        Of those about messages that cannot be read, the first five are written, then the 10th, the
        100th and so on.
        """
        text = line.text
        if isinstance(cause, MalformedMessage):
            self._malformed += 1
            number = self._malformed
            if number > ALWAYS:
                if str(number).strip("0") != "1":
                    return
                text = f"{text} (the {number}th message that cannot)"
        getattr(logger, line.level)("%s", printable(text))
