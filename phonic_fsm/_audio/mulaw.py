"""G.711 µ-law, the encoding of telephony in North America and Japan: one byte per sample.

G.711 encodes 14-bit samples, so the two lowest of 16 bits are cut off. Sun's reference and Python's
former ``audioop`` do the same, and every byte agrees with theirs. Both directions are lookups in a
table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BIAS = 33
"""Is added to a 14-bit magnitude, so that each segment begins at a power of two."""
_LARGEST = 0x1FFF - _BIAS
_SEGMENT_ENDS = (0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF)


def _encoded() -> NDArray[np.uint8]:
    """The code of every 16-bit sample, ordered by the sample's bits as an unsigned number."""
    samples = np.arange(65536, dtype=np.uint16).view(np.int16) >> 2
    magnitude = np.minimum(np.abs(samples), _LARGEST) + _BIAS
    segment = np.searchsorted(_SEGMENT_ENDS, magnitude)
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    # On the line all bits are inverted, and the sign bit is set for positive samples.
    inverted: NDArray[np.uint8] = (code ^ np.where(samples < 0, 0x7F, 0xFF)).astype(np.uint8)
    return inverted


def _decoded() -> NDArray[np.int16]:
    """The 16-bit sample of every code."""
    codes = np.arange(256) ^ 0xFF
    segment, step = (codes >> 4) & 0x07, codes & 0x0F
    magnitude = (((2 * step + _BIAS) << segment) - _BIAS) << 2
    return np.where(codes & 0x80, -magnitude, magnitude).astype("<i2")


_ENCODED = _encoded()
_DECODED = _decoded()


def encode(pcm: bytes) -> bytes:
    """Encode PCM16 LE as µ-law. Raises ``ValueError`` if the last sample is not whole."""
    return _ENCODED.take(np.frombuffer(pcm, "<u2")).tobytes()


def decode(mulaw: bytes) -> bytes:
    """Decode µ-law to PCM16 LE."""
    return _DECODED.take(np.frombuffer(mulaw, np.uint8)).tobytes()
