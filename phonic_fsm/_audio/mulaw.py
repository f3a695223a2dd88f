"""G.711 µ-law, the companding of telephony in North America and Japan: a byte a sample.

G.711 is about 14-bit samples; of 16 bits the two lowest are cut off, as Sun's reference and
Python's former ``audioop`` do it, with which every byte agrees. Both ways are table lookups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BIAS = 33
"""Added to a 14-bit magnitude so that each segment begins at a power of two."""
_LARGEST = 0x1FFF - _BIAS
_SEGMENT_ENDS = (0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF)


def _encoded() -> NDArray[np.uint8]:
    """The code of every 16-bit sample, in the order of the samples' bits as unsigned numbers."""
    samples = np.arange(65536, dtype=np.uint16).view(np.int16) >> 2
    magnitude = np.minimum(np.abs(samples), _LARGEST) + _BIAS
    segment = np.searchsorted(_SEGMENT_ENDS, magnitude)
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    # On the line all bits are inverted; the sign bit says "positive".
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
    """PCM16 LE as µ-law. Raises ValueError when there is half a sample."""
    return _ENCODED.take(np.frombuffer(pcm, "<u2")).tobytes()


def decode(mulaw: bytes) -> bytes:
    """µ-law as PCM16 LE."""
    return _DECODED.take(np.frombuffer(mulaw, np.uint8)).tobytes()
