"""The package and the plugin, each imported only by a process that measures it."""

from __future__ import annotations

from typing import Any


def model(name: str, url: str) -> Any:
    """A ``RealtimeModel`` of either that talks to this server."""
    if name == "plugin":
        from livekit.plugins.phonic.realtime import RealtimeModel as Plugin  # noqa: PLC0415
        from phonic.environment import PhonicEnvironment  # noqa: PLC0415

        PhonicEnvironment.DEFAULT.production = url
        return Plugin(api_key="any")
    from phonic_fsm import RealtimeModel  # noqa: PLC0415

    return RealtimeModel(api_key="any", base_url=url)
