"""The timers: which event each of them delivers, and how long it runs.

The times that a model can set are in ``context.Settings``: how long Phonic may take to be ready,
and how long a reply may take to begin.
"""

from __future__ import annotations

from . import events
from .context import Context
from .events import name_of

RETRY_DUE = name_of(events.RetryDue)
GRACE_OVER = name_of(events.GraceOver)
ANSWER_OVERDUE = name_of(events.AnswerOverdue)
REPLY_OVERDUE = name_of(events.ReplyOverdue)
OPENING_OVERDUE = name_of(events.OpeningOverdue)
ECHO_OVER = name_of(events.EchoOver)
TURN_OVERDUE = name_of(events.TurnOverdue)
LAST_WORDS_OVER = name_of(events.LastWordsOver)
ANSWER_UNCLAIMED = name_of(events.AnswerUnclaimed)
CHANGES_DUE = name_of(events.ChangesDue)

CLAIM_ANSWER_WITHIN = 0.5
"""Seconds that an answer to the caller waits for LiveKit to ask for it (push-to-talk).

LiveKit asks for a reply right after it has committed the caller's turn.
"""

FIRST_RETRY_AFTER = 0.5
"""Seconds before the second attempt; doubled for each one after it, up to ``retry_interval``."""

JITTER = 0.9
"""A pause is made longer at random, by up to this share of it."""

LONGEST_RETRY_AFTER = 30.0
"""Seconds that are waited at most, even if the server asks for more."""

FIRST_SPREAD = 4.0
"""Seconds over which calls that a busy Phonic has turned away come back at random; doubled for each
refusal after the first, up to ``LONGEST_SPREAD``. They are many, or it would not be busy."""

LONGEST_SPREAD = 8.0

LEAST_PAUSE = 0.1
"""The least share of such a time that passes before the next attempt."""

MOST_REFUSALS = 40
"""Refusals that a call under way does not count as failed attempts. That is a minute and a half, or
three where no answer is owed."""

PROVED_AFTER = 10.0
"""Seconds after which a connection has proved itself, even if nobody says anything."""

GRACE = 30.0
"""Seconds for which Phonic keeps a conversation without a connection. Source: the SDK's code."""

ON_THE_WAY = 3.0
"""Seconds for which chunks of a turn may still arrive that a reset has cut off."""

YIELDED = 1.0
"""Seconds without a word after which the assistant has yielded to the caller who speaks over it.

Phonic does not say that a turn is over if the caller has interrupted it. Audio comes at its pace
here, so an assistant that speaks on is heard at once.
"""

REST_OF_TURN = 1.0
"""Seconds in which more of a turn that is still open may come once the conversation is over."""

SOON = 2.0
"""Seconds within which the assistant should begin what it does without being asked: a welcome, or
an answer that was due when a connection was lost or when a turn that was cut off here ended."""


def pause(
    context: Context, number: int, event: events.ConnectFailed | events.ConnectionClosed
) -> float:
    """Seconds to wait before the attempt of this number, counted from 1."""
    seconds: float = min(FIRST_RETRY_AFTER * 2 ** (number - 1), context.settings.retry_interval)
    seconds += seconds * JITTER * event.chance
    if isinstance(event, events.ConnectFailed) and event.retry_after is not None:
        seconds = max(seconds, min(event.retry_after, LONGEST_RETRY_AFTER))
    return round(seconds, 3)


def pause_for_room(context: Context, retry_after: float | None = None) -> float:
    """Seconds to wait when Phonic, being busy, has turned the call away.

    Who owes the caller an answer comes back twice as soon.
    """
    spread: float = min(FIRST_SPREAD * 2 ** (context.refusals - 1), LONGEST_SPREAD)
    if context.reply is not None:
        spread /= 2
    seconds = spread * (LEAST_PAUSE + (1 - LEAST_PAUSE) * context.chance)
    return round(seconds + min(retry_after or 0.0, LONGEST_RETRY_AFTER), 3)
