"""Phonic speech-to-speech for LiveKit Agents, as an explicit, replayable state machine.

An agent needs ``RealtimeModel`` only. The other names are for annotations, for ``except`` clauses
and for listeners.

Public is what ``phonic_fsm``, ``phonic_fsm.durable``, ``phonic_fsm.simulator``,
``phonic_fsm.testing`` and ``phonic_fsm.trace`` list in ``__all__``. The names of all other modules
begin with an underscore. What is in them can change in any release.
"""

from typing import TYPE_CHECKING

from ._lazy import lazy
from ._version import __version__

if TYPE_CHECKING:
    from ._adapter.errors import (
        CallTakenOver,
        ConfigurationRefused,
        ConnectionFailed,
        ConnectionLost,
        ConversationEnded,
        PhonicError,
        ReplyFailed,
        ReplyTimedOut,
        SessionBroke,
    )
    from ._adapter.metrics import PhonicMetrics
    from ._adapter.model import RealtimeModel
    from ._adapter.options import (
        ConfigurationEndpoint,
        DataRetentionPolicy,
        IntelligenceLevel,
        ObservabilityIntegration,
        OutboundNumberPool,
        PhonicModel,
        PhonicOptions,
        PronunciationEntry,
        RetentionPeriod,
        Task,
    )
    from ._adapter.outage import Outage, SpokenLine
    from ._adapter.past import Past
    from ._adapter.payloads import (
        ConversationKnown,
        Dtmf,
        PhonicTranscript,
        StateChanged,
        ToolCallSettled,
    )
    from ._adapter.session import RealtimeSession, observe
    from ._adapter.tools import PhonicToolConfig, to_phonic_tool_definitions
    from ._core.states import State
    from ._wire.config import AudioFormat
    from .trace._rotation import TraceLimits

__all__ = [
    "AudioFormat",
    "CallTakenOver",
    "ConfigurationEndpoint",
    "ConfigurationRefused",
    "ConnectionFailed",
    "ConnectionLost",
    "ConversationEnded",
    "ConversationKnown",
    "DataRetentionPolicy",
    "Dtmf",
    "IntelligenceLevel",
    "ObservabilityIntegration",
    "Outage",
    "OutboundNumberPool",
    "Past",
    "PhonicError",
    "PhonicMetrics",
    "PhonicModel",
    "PhonicOptions",
    "PhonicToolConfig",
    "PhonicTranscript",
    "PronunciationEntry",
    "RealtimeModel",
    "RealtimeSession",
    "ReplyFailed",
    "ReplyTimedOut",
    "RetentionPeriod",
    "SessionBroke",
    "SpokenLine",
    "State",
    "StateChanged",
    "Task",
    "ToolCallSettled",
    "TraceLimits",
    "__version__",
    "observe",
    "to_phonic_tool_definitions",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "._adapter.errors": "CallTakenOver ConfigurationRefused ConnectionFailed "
        "ConnectionLost ConversationEnded PhonicError ReplyFailed ReplyTimedOut SessionBroke",
        "._adapter.metrics": "PhonicMetrics",
        "._adapter.model": "RealtimeModel",
        "._adapter.options": "ConfigurationEndpoint DataRetentionPolicy IntelligenceLevel "
        "ObservabilityIntegration OutboundNumberPool PhonicModel PhonicOptions PronunciationEntry "
        "RetentionPeriod Task",
        "._adapter.outage": "Outage SpokenLine",
        "._adapter.payloads": (
            "ConversationKnown Dtmf PhonicTranscript StateChanged ToolCallSettled"
        ),
        "._adapter.past": "Past",
        "._adapter.session": "RealtimeSession observe",
        "._adapter.tools": "PhonicToolConfig to_phonic_tool_definitions",
        "._core.states": "State",
        "._wire.config": "AudioFormat",
        ".trace._rotation": "TraceLimits",
    },
)
