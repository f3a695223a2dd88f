"""Tools for testing a voice agent: phone calls without an API key, and traces as tests.

``PhoneCall`` lets a simulated caller talk to an ``AgentSession`` whose model is connected to the
simulator. ``assert_replays`` checks that the machine still does what a recorded session did.
``_plugin`` is the pytest plugin.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..simulator import Call, PhonicSimulator, Scenario, Turn
    from ..trace._reader import TraceError
    from ..trace._replay import replay
    from ._call import PhoneCall
    from ._caller import Caller
    from ._playback import Playback
    from ._sound import Sound
    from ._traces import assert_replays

__all__ = [
    "Call",
    "Caller",
    "PhoneCall",
    "PhonicSimulator",
    "Playback",
    "Scenario",
    "Sound",
    "TraceError",
    "Turn",
    "assert_replays",
    "replay",
]

_HOMES = {
    "Call": "..simulator",
    "Caller": "._caller",
    "PhoneCall": "._call",
    "PhonicSimulator": "..simulator",
    "Playback": "._playback",
    "Scenario": "..simulator",
    "Sound": "._sound",
    "TraceError": "..trace._reader",
    "Turn": "..simulator",
    "assert_replays": "._traces",
    "replay": "..trace._replay",
}
"""Public name → its module."""


def __getattr__(name: str) -> Any:
    # pytest imports the plugin in every run, and a replay needs only the machine: do not load
    # LiveKit before it is used.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
