"""The timers: the events that they deliver, and for how long they run."""

from __future__ import annotations

from . import events
from .context import Context
from .events import name_of

RETRY_DUE = name_of(events.RetryDue)
GRACE_OVER = name_of(events.GraceOver)
ANSWER_OVERDUE = name_of(events.AnswerOverdue)
REPLY_OVERDUE = name_of(events.ReplyOverdue)
ANSWER_UNCLAIMED = name_of(events.AnswerUnclaimed)
CHANGES_DUE = name_of(events.ChangesDue)

CLAIM_ANSWER_WITHIN = 0.5
"""Seconds; LiveKit asks for a reply right after it has committed the caller's turn."""

FIRST_RETRY_AFTER = 0.5
"""Seconds; doubled with each attempt, up to the settings' ``retry_interval``."""

JITTER = 0.25
"""The share of a pause by which chance may lengthen it."""

LONGEST_RETRY_AFTER = 30.0
"""Seconds; a server that asks for a longer pause is asked again sooner."""

GRACE = 30.0
"""Seconds for which Phonic keeps a lost conversation (observed in SDK code)."""

SOON = 2.0
"""Seconds after a resume in which an answer that was due before should begin."""


def pause(
    context: Context, number: int, event: events.ConnectFailed | events.ConnectionClosed
) -> float:
    """Seconds to wait before the attempt of this number, counted from 1."""
    seconds: float = min(FIRST_RETRY_AFTER * 2 ** (number - 1), context.settings.retry_interval)
    seconds += seconds * JITTER * event.chance
    if isinstance(event, events.ConnectFailed) and event.retry_after is not None:
        seconds = max(seconds, min(event.retry_after, LONGEST_RETRY_AFTER))
    return round(seconds, 3)
