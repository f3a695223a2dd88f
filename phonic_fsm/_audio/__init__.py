"""Audio formats of the wire, and what converts between them: PCM16, µ-law, sample rates.

``formats`` names the formats and how each is encoded, ``mulaw`` is G.711's companding, and
``resampler`` changes the sample rate of a stream. Nothing here knows a socket or a session.
"""
