"""LiveKit's side: calls become events, effects become LiveKit's events, channels and futures.

``model`` and ``session`` are the two classes that livekit-agents sees; ``options`` says which
keyword argument is which field of Phonic's config; ``generation`` has the channels of one
assistant turn; ``chat`` and ``tools`` translate LiveKit's values into the core's; ``errors``
are what users catch. Nothing is decided here about what the session does next.
"""
