"""Audio formats on the wire, and conversion between them.

``formats`` has Phonic's formats and says how each is encoded, ``mulaw`` encodes and decodes µ-law,
and ``resampler`` changes the sample rate of a stream. Nothing here knows sockets or sessions.
"""
