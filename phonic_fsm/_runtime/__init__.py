"""What carries the machine: socket, outbox, timers and the caller's audio. It decides nothing.

``session`` is the loop: an event goes into the machine, the effects of the step are carried out.
``connection`` is one attempt to connect and what comes of it; ``socket`` the websocket that hands
messages over as they are read and says when it takes more; ``outbox`` what waits for that;
``endpoint`` knows where Phonic is and what it wants to see in the handshake. ``uplink`` is the
caller's audio on its way out; ``printable`` makes
fit for a log what others say. LiveKit's sessions and chat contexts are not known here.
"""
