"""The job that a session runs in: the ``AgentSession`` that LiveKit knows for it, and its output.

A realtime session is not told whose it is. A job's first ``AgentSession`` is known to LiveKit;
outside of a job (a test, a script), and for further ones of the same job, there is nothing to
find, and everything here says ``None``.
"""

from __future__ import annotations

from typing import Any

from livekit.agents import AgentSession, get_job_context
from livekit.agents.voice.io import AudioOutput


def agent_session() -> AgentSession[Any] | None:
    """The job's own ``AgentSession``, from when it is started."""
    job = get_job_context(required=False)
    if job is None:
        return None
    try:
        return job.primary_session
    except RuntimeError:  # none has been started
        return None


def sink() -> AudioOutput | None:
    """Where the assistant's audio ends up: the last output of those that hand it on."""
    session = agent_session()
    output = session.output.audio if session is not None else None
    while output is not None and output.next_in_chain is not None:
        output = output.next_in_chain
    return output
