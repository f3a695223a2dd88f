"""Runs the machine: connections, timers and the caller's audio. Nothing is decided here.

``session``
    The loop: an event goes into the machine, and the effects of the step are carried out.
``connection`` and ``deadline``
    One attempt to connect and, if it succeeds, the connection; how long the attempt may take.
``socket`` and ``outbox``
    The websocket, and the messages that wait until it takes more.
``endpoint``
    The address of Phonic, and the headers of the handshake.
``uplink``
    The caller's audio on its way to Phonic.
``log`` and ``printable``
    The log, and how foreign text is made safe for it.

Nothing here knows LiveKit's sessions and chat contexts.
"""
