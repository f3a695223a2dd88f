"""A websocket server that speaks Phonic's speech-to-speech protocol, for tests and demos.

``_server`` listens and ``_conversation`` acts on a client's messages, which go over its
``_channel``. ``_caller`` hears the caller with speech detection (``_vad``); ``_assistant`` answers
with a ``_speaker`` and ``_tool_calls``; ``_floor`` knows who speaks. What they do is said by the
``_scenario`` and by the client's config, which ``_refusals`` checks and ``_settings`` interprets.
``_history`` is what the service keeps of it all, and ``_rest`` hands it out as the REST API does.
Where Phonic's behaviour is not known, ``_doubts`` lists what it may be.
``_voice`` makes the sounds. ``_recorded`` makes a scenario of a trace. Of the rest of the package
the simulator uses only the messages' types, the audio formats and, for that, the reader of traces.
"""

from ._channel import ConversationRecord
from ._doubts import DOUBTS, Doubt, DoubtError, Doubts
from ._recorded import scenario_of
from ._scenario import (
    AgentConfig,
    Call,
    Scenario,
    ScenarioError,
    Turn,
    load_scenario,
    scenario_names,
)
from ._server import PhonicSimulator
from ._vad import SpeechDetector, SpeechEdge
from ._voice import ASSISTANT_PITCH_HZ, CALLER_PITCH_HZ, Speech, Word, speak

__all__ = [
    "ASSISTANT_PITCH_HZ",
    "CALLER_PITCH_HZ",
    "DOUBTS",
    "AgentConfig",
    "Call",
    "ConversationRecord",
    "Doubt",
    "DoubtError",
    "Doubts",
    "PhonicSimulator",
    "Scenario",
    "ScenarioError",
    "Speech",
    "SpeechDetector",
    "SpeechEdge",
    "Turn",
    "Word",
    "load_scenario",
    "scenario_names",
    "scenario_of",
    "speak",
]
