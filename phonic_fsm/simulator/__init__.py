"""A websocket server that speaks Phonic's speech-to-speech protocol, for tests and demos.

``server`` listens, ``conversation`` reacts to a client; in it ``caller`` is heard and
``assistant`` answers, speaking on a ``stage`` and calling with ``tool_use``, while ``floor`` knows
who speaks and ``no_input`` minds that nobody does. ``scenario`` is what all follow. ``voice``
(text to speech-like audio) and ``vad`` (audio to speech edges) are pure and of use on their own.
The simulator knows the wire's types and audio formats, and nothing else of the package.
"""

from ._record import ConversationRecord
from ._scenario import Call, Scenario, ScenarioError, Turn, load_scenario, scenario_names
from ._server import PhonicSimulator
from ._vad import SpeechDetector, SpeechEdge
from ._voice import ASSISTANT_PITCH_HZ, CALLER_PITCH_HZ, Speech, Word, speak

__all__ = [
    "ASSISTANT_PITCH_HZ",
    "CALLER_PITCH_HZ",
    "Call",
    "ConversationRecord",
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
    "speak",
]
