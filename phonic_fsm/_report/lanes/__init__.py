"""What happened when, in lanes: the caller, the assistant, tools, the connection, states.

``builder``
    All lanes of a call. Each of the modules below takes the steps and makes its own of them:
``caller``
    When the caller spoke, and what came of the caller's audio.
``answers`` and ``hearing``
    The assistant's answers as they came, and as they were heard.
``tools``, ``requests``
    Calls of tools, and replies that the agent asked for.
``connection``, ``process``, ``observed``, ``trouble``
    The connection, the process, what LiveKit was observed to do, and what else went wrong.

Times are seconds since the recording began; a step is its number. What is bad about a call is not
told here: the rules say it.
"""

from .builder import LaneBuilder, Lanes
from .caller import CallerAudio, CallerSpeech
from .connection import GONE, MOVED, Link
from .hearing import BIN, AssistantSpeech, Heard
from .observed import UNPLAYED
from .span import Span, spanning
from .tools import ToolCall
from .trouble import Trouble

__all__ = [
    "BIN",
    "GONE",
    "MOVED",
    "UNPLAYED",
    "AssistantSpeech",
    "CallerAudio",
    "CallerSpeech",
    "Heard",
    "LaneBuilder",
    "Lanes",
    "Link",
    "Span",
    "ToolCall",
    "Trouble",
    "spanning",
]
