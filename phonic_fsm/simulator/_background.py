"""What can be heard of the assistant's side while it does not speak: a hiss, or nothing.

Pure. Sending it in real time, and not into a line, is ``speaker``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np

from phonic_fsm._audio.formats import WireFormat

from ._speaker import CHUNK_MS

_LOUDEST = 0.01  # of full scale: -40 dBFS


def background(wire_format: WireFormat, level: float) -> Iterator[bytes]:
    """Noise without end, in chunks of 20 ms as they are sent; ``level`` goes from 0 (silence) to
    1 (peaks of -40 dBFS)."""
    noise = np.random.default_rng(0).uniform(-1, 1, wire_format.sample_rate)
    pcm = (noise * level * _LOUDEST * 32767).round().astype("<i2").tobytes()
    step = 2 * (wire_format.sample_rate * CHUNK_MS // 1000)
    chunks = [pcm[start : start + step] for start in range(0, len(pcm), step)]
    encode = wire_format.encode
    return cycle(chunks if encode is None else [encode(chunk) for chunk in chunks])
