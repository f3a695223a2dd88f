"""Runs the machine: connections, timers and the caller's audio. Nothing is decided here.

``session``
    The loop: an event goes into the machine, and the effects of the step are carried out.
``connection`` and ``deadline``
    One attempt to connect and, if it succeeds, the connection; how long the attempt may take.
``socket`` and ``outbox``
    The websocket, and the messages that wait until it takes more.
``endpoint``, ``proxy`` and ``tunnel``
    The address of Phonic, the headers of the handshake, and the proxy on the way.
``uplink``
    The caller's audio on its way to Phonic.
``log``, ``printable`` and ``secrets``
    The log, and how foreign text is made safe for it.

Nothing here knows LiveKit's sessions and chat contexts.
"""
