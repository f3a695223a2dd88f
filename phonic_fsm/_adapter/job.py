"""Finds the ``AgentSession`` that a session belongs to, and its output, in a LiveKit job.

LiveKit does not tell a realtime session which ``AgentSession`` uses it. It knows the first one of a
job. Outside of a job, as in a test or a script, and for further ones in the same job, the functions
here return ``None``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, get_job_context
from livekit.agents.voice.io import AudioOutput

ROOM_IS_TOLD = 0.2
"""Seconds in which a room hears from LiveKit's server what its worker has heard."""


def agent_session() -> AgentSession[Any] | None:
    """The job's first ``AgentSession``, once it has been started."""
    job = get_job_context(required=False)
    if job is None:
        return None
    try:
        return job.primary_session
    except RuntimeError:  # none has been started
        return None


def audio_is_wanted() -> bool:
    """Whether the ``AgentSession`` plays the assistant's audio, as far as it is known."""
    session = agent_session()
    if session is None:
        return True
    return session.output.audio is not None and session.output.audio_enabled


async def room_is_going() -> bool:
    """Whether the job's room connection is being made anew.

    LiveKit's server takes this for the agent's leave, and has the worker end the job. It tells the
    room and the worker at the same time, so the room gets ``ROOM_IS_TOLD`` to hear of it.
    """
    job = get_job_context(required=False)
    if job is None:
        return False
    room = job.room
    if room.connection_state == rtc.ConnectionState.CONN_CONNECTED:
        await _told(room, "connection_state_changed")
    if room.connection_state == rtc.ConnectionState.CONN_DISCONNECTED:
        # The reason comes right behind the state. The call may be left to another process by it.
        await _told(room, "disconnected")
    return room.connection_state == rtc.ConnectionState.CONN_RECONNECTING


async def _told(room: rtc.Room, what: rtc.room.EventTypes) -> None:
    """Wait until the room tells this, or for ``ROOM_IS_TOLD``."""
    told = asyncio.Event()

    def tell(_: object = None) -> None:
        told.set()

    room.on(what, tell)
    try:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(told.wait(), ROOM_IS_TOLD)
    finally:
        room.off(what, tell)


def sink() -> AudioOutput | None:
    """The output that plays the assistant's audio: the last one in LiveKit's chain of outputs."""
    session = agent_session()
    output = session.output.audio if session is not None else None
    while output is not None and output.next_in_chain is not None:
        output = output.next_in_chain
    return output
