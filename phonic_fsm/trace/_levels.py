"""How loud chunks of audio are. Only the writer's thread measures it: a reader needs no numpy."""

from __future__ import annotations

from itertools import accumulate
from math import log10

import numpy as np

_SAMPLE = np.dtype("<i2")

_FULL_SCALE = 200 * log10(32768)
"""In 0.1 dB."""


def levels(pcm: bytes, lengths: list[int]) -> list[float | None]:
    """RMS levels (dBFS, to 0.1 dB) of chunks of PCM16 LE that follow each other.

    ``lengths`` are in samples; nothing and digital silence have no level.
    """
    samples = np.frombuffer(pcm, _SAMPLE, count=sum(lengths)).astype(np.float32)
    longest = max(lengths, default=0)
    if longest and lengths.count(longest) == len(lengths):
        # For each chunk alone, numpy would need longer to prepare than to calculate.
        chunks = samples.reshape(-1, longest)
        energies = np.einsum("ij,ij->i", chunks, chunks).tolist()
    else:
        ends = zip(accumulate(lengths), lengths, strict=True)
        parts = (samples[end - length : end] for end, length in ends)
        energies = [float(part @ part) for part in parts]
    return [
        round(100 * log10(energy / length) - _FULL_SCALE) / 10 if energy else None
        for energy, length in zip(energies, lengths, strict=True)
    ]
