"""The wait until the caller can hear the agent, which LiveKit's own wait for it does not survive.

LiveKit's output into a room keeps an answer's first frame back until the caller has subscribed to
the agent's track. All answers wait for one and the same future, and each awaits it bare
(``_ParticipantAudioOutput.capture_frame``, livekit-agents 1.8.9): when an answer is cancelled
while it waits, because the caller speaks, the future is cancelled with it, and the first frame of
every later answer raises ``CancelledError``. Phonic speaks on, and the caller hears nothing for
the rest of the call.

So the assistant's audio is not handed over before that future is done. Whoever waits here may be
cancelled without the others noticing. The caller hears the answer no later: LiveKit would have
waited for the same future, with the frame in its hands.

A test of ``tests/session/test_subscription.py`` fails once LiveKit has mended it: then this module
can go.
"""

from __future__ import annotations

import asyncio

from .job import sink


def subscription() -> asyncio.Future[None] | None:
    """What LiveKit will wait for: done once the caller has subscribed to the agent's track.

    ``None`` where it waits for nothing: outside of a job, in the console, with an output of
    one's own.
    """
    # Only the output into a room has it, by whose class one could tell it, too; that is private.
    subscribed: asyncio.Future[None] | None = getattr(sink(), "subscribed", None)
    return subscribed


async def until_subscribed() -> None:
    """Return once the caller can hear the agent, or nobody knows; cancels nothing of LiveKit's."""
    subscribed = subscription()
    if subscribed is not None and not subscribed.done():
        await asyncio.wait([subscribed])
