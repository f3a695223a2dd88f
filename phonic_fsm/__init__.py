"""Phonic speech-to-speech for LiveKit Agents, as an explicit, replayable state machine."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from ._adapter.model import RealtimeModel
    from ._adapter.options import (
        ConfigurationEndpoint,
        IntelligenceLevel,
        ObservabilityIntegration,
        PhonicModel,
        PronunciationEntry,
    )
    from ._adapter.session import RealtimeSession
    from ._adapter.tools import PhonicToolConfig, to_phonic_tool_definitions

__all__ = [
    "ConfigurationEndpoint",
    "IntelligenceLevel",
    "ObservabilityIntegration",
    "PhonicModel",
    "PhonicToolConfig",
    "PronunciationEntry",
    "RealtimeModel",
    "RealtimeSession",
    "__version__",
    "to_phonic_tool_definitions",
]

_HOMES = {
    "ConfigurationEndpoint": "options",
    "IntelligenceLevel": "options",
    "ObservabilityIntegration": "options",
    "PhonicModel": "options",
    "PhonicToolConfig": "tools",
    "PronunciationEntry": "options",
    "RealtimeModel": "model",
    "RealtimeSession": "session",
    "to_phonic_tool_definitions": "tools",
}
"""Public name → its module in the adapter."""


def __getattr__(name: str) -> Any:
    # Reading a trace needs the machine alone; LiveKit, which takes a second to load, can wait.
    if name in _HOMES:
        return getattr(import_module(f"._adapter.{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
