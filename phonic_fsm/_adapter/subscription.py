"""Waits until the caller can hear the agent, so that LiveKit need not: its wait can break.

LiveKit's output into a room holds an answer's first frame until the caller has subscribed to the
agent's track. All answers wait for the same future, without shielding it
(``_ParticipantAudioOutput.capture_frame``, livekit-agents 1.8.9). If the caller speaks meanwhile,
LiveKit cancels the answer that waits, and with it the future. From then on the first frame of
every answer raises ``CancelledError``: Phonic speaks on, and the caller hears nothing for the rest
of the call.

So this package hands over an answer's audio only when that future is done. A wait here can be
cancelled without harm to the others. The caller hears the answer no later, since LiveKit would
wait for the same future.

A test in ``tests/session/test_subscription.py`` fails once LiveKit has mended this. Then this
module can go.
"""

from __future__ import annotations

import asyncio

from .job import sink


def subscription() -> asyncio.Future[None] | None:
    """The future that LiveKit waits for: done once the caller has subscribed to the agent's track.

    ``None`` where LiveKit waits for nothing: outside of a job, in the console, and with an output
    that is not a room.
    """
    # Only the output into a room has this attribute. Its class is private to LiveKit.
    subscribed: asyncio.Future[None] | None = getattr(sink(), "subscribed", None)
    return subscribed


async def until_subscribed() -> None:
    """Return once the caller can hear the agent, or at once if that is not known.

    If the wait is cancelled, LiveKit's future is not.
    """
    subscribed = subscription()
    if subscribed is not None and not subscribed.done():
        await asyncio.wait([subscribed])
