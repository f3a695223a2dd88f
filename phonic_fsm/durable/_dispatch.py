"""What a job is told that is to go on with a call: the name of its journal, in its metadata."""

from __future__ import annotations

import msgspec
from livekit import api
from msgspec import Struct

from ._store import Holder

LONGEST_ANSWER = 5.0
"""How long (s) LiveKit's server may take to answer."""


class Errand(Struct, frozen=True):
    """The metadata of such a job, as JSON."""

    phonic_fsm_journal: str
    metadata: str = ""
    """The metadata that the call's first job was dispatched with."""
    moves: bool = False
    """Whether the call is to be waited for: the process that has it hands it over."""


def to_metadata(errand: Errand) -> str:
    return msgspec.json.encode(errand).decode()


def errand_in(metadata: str) -> Errand | None:
    """The errand that a job's metadata holds; ``None`` for a job of a new call."""
    try:
        return msgspec.json.decode(metadata, type=Errand)
    except msgspec.DecodeError:
        return None


async def dispatch(livekit: api.LiveKitAPI, name: str, holder: Holder, *, moves: bool) -> None:
    """Ask LiveKit for a successor to the holder of the journal of this name."""
    await livekit.agent_dispatch.create_dispatch(
        api.CreateAgentDispatchRequest(
            room=holder.room,
            agent_name=holder.agent_name,
            metadata=to_metadata(Errand(name, holder.metadata, moves)),
        )
    )
