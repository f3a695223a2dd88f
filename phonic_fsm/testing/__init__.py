"""Tools for testing a voice agent: phone calls without an API key, and traces as tests.

``PhoneCall`` lets a simulated caller talk to an ``AgentSession`` whose model is connected to the
simulator. ``RoomCall`` is a caller in a LiveKit room: with ``LiveKitServer`` and ``AgentWorker`` it
tests an agent's whole worker. ``assert_replays`` checks that the machine still does what a recorded
session did. ``_plugin`` is the pytest plugin.
"""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from ..simulator import Call, PhonicSimulator, Scenario, Turn
    from ..trace import TraceError, replay
    from ._call import PhoneCall
    from ._caller import Caller
    from ._livekit import LiveKitMissing, LiveKitServer
    from ._playback import Playback
    from ._room import RoomCall
    from ._sound import Sound
    from ._traces import assert_replays
    from ._transcripts import Transcript
    from ._worker import AgentWorker

__all__ = [
    "AgentWorker",
    "Call",
    "Caller",
    "LiveKitMissing",
    "LiveKitServer",
    "PhoneCall",
    "PhonicSimulator",
    "Playback",
    "RoomCall",
    "Scenario",
    "Sound",
    "TraceError",
    "Transcript",
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
        "._livekit": "LiveKitMissing LiveKitServer",
        "._playback": "Playback",
        "._room": "RoomCall",
        "._sound": "Sound",
        "._traces": "assert_replays",
        "._transcripts": "Transcript",
        "._worker": "AgentWorker",
    },
)
