"""Finds the ``AgentSession`` that a session belongs to, and its output, in a LiveKit job.

LiveKit does not tell a realtime session which ``AgentSession`` uses it. It knows the first one of a
job. Outside of a job, as in a test or a script, and for further ones in the same job, the functions
here return ``None``.
"""

from __future__ import annotations

import asyncio
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
    room, told = job.room, asyncio.Event()

    def tell(_: object = None) -> None:
        told.set()

    if room.connection_state == rtc.ConnectionState.CONN_CONNECTED:
        room.on("connection_state_changed", tell)
        try:
            await asyncio.wait_for(told.wait(), ROOM_IS_TOLD)
        except asyncio.TimeoutError:
            return False
        finally:
            room.off("connection_state_changed", tell)
    return room.connection_state == rtc.ConnectionState.CONN_RECONNECTING


def sink() -> AudioOutput | None:
    """The output that plays the assistant's audio: the last one in LiveKit's chain of outputs."""
    session = agent_session()
    output = session.output.audio if session is not None else None
    while output is not None and output.next_in_chain is not None:
        output = output.next_in_chain
    return output
