"""Finds the ``AgentSession`` that a session belongs to, and its output, in a LiveKit job.

LiveKit does not tell a realtime session which ``AgentSession`` uses it. It knows the first one of a
job. Outside of a job, as in a test or a script, and for further ones in the same job, the functions
here return ``None``.
"""

from __future__ import annotations

from typing import Any

from livekit.agents import AgentSession, get_job_context
from livekit.agents.voice.io import AudioOutput


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


def sink() -> AudioOutput | None:
    """The output that plays the assistant's audio: the last one in LiveKit's chain of outputs."""
    session = agent_session()
    output = session.output.audio if session is not None else None
    while output is not None and output.next_in_chain is not None:
        output = output.next_in_chain
    return output
