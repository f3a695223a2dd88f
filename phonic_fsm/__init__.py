"""Phonic speech-to-speech for LiveKit Agents, as an explicit, replayable state machine."""

from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .adapter.model import RealtimeModel

__all__ = ["RealtimeModel", "__version__"]


def __getattr__(name: str) -> Any:
    # Reading a trace needs the machine alone; LiveKit, which takes a second to load, can wait.
    if name == "RealtimeModel":
        from .adapter.model import RealtimeModel  # noqa: PLC0415

        return RealtimeModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
