"""What to look at where callers met no agent, or none of them was heard: a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from .caller import Heard


def advice(
    calls: Sequence[Heard], livekit: str, agent_name: str | None, uncalled: str | None
) -> str:
    """What these calls lack; empty if nothing is known to be wrong.

    ``livekit`` is the server's address, ``uncalled`` that of the simulated Phonic if no agent has
    called it.
    """
    joined = [call for call in calls if not call.was_refused]
    if not joined:
        return ""
    if not any(call.agent_joined for call in joined):
        asked = (
            "has it no agent_name? One that has a name needs --agent-name"
            if agent_name is None
            else f"is its agent_name {agent_name!r}?"
        )
        return f"no agent joined any room: is a worker connected to {livekit}, and {asked}"
    if uncalled is not None:
        return f"agents joined, and none called Phonic: is the worker's PHONIC_BASE_URL {uncalled}?"
    # A caller who was cut off may only have had to wait a little longer.
    ended = [call for call in joined if not call.goes_on]
    alone = sum(not call.agent_joined for call in ended)
    if alone:
        return (
            f"no agent joined {alone:,} of {len(ended):,} rooms: a worker takes no calls while "
            "its load is above its load_threshold"
        )
    return ""
