"""Tools for testing a voice agent: phone calls without an API key, and traces as tests.

``PhoneCall`` lets a simulated caller talk to an ``AgentSession`` whose model is connected to the
simulator. ``assert_replays`` checks that the machine still does what a recorded session did.
``_plugin`` is the pytest plugin.
"""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from ..simulator import Call, PhonicSimulator, Scenario, Turn
    from ..trace import TraceError, replay
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

__getattr__, __dir__ = lazy(
    __name__,
    {
        "..simulator": "Call PhonicSimulator Scenario Turn",
        "..trace": "TraceError replay",
        "._call": "PhoneCall",
        "._caller": "Caller",
        "._playback": "Playback",
        "._sound": "Sound",
        "._traces": "assert_replays",
    },
)
