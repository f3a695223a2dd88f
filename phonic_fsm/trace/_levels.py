"""How loud chunks of audio are. Only the writer's thread measures it: a reader needs no numpy."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np

_FULL_SCALE_DB = 20 * math.log10(32768)


def levels(pcm: bytes, lengths: list[int]) -> list[float | None]:
    """RMS levels (dBFS, to 0.1 dB) of chunks of PCM16 LE that follow each other.

    ``lengths`` are in samples; nothing and digital silence have no level.
    """
    whole = [length for length in lengths if length]
    samples = np.frombuffer(pcm, dtype="<i2", count=sum(whole)).astype(np.float32)
    if whole and whole.count(whole[0]) == len(whole):
        # For each chunk alone, numpy would need longer to prepare than to calculate.
        chunks = samples.reshape(len(whole), whole[0])
        energies = np.einsum("ij,ij->i", chunks, chunks).tolist()
    else:
        ends = zip(accumulate(whole), whole, strict=True)
        parts = (samples[end - length : end] for end, length in ends)
        energies = [float(part @ part) for part in parts]
    of_whole = iter(energies)
    return [_level(next(of_whole) / length) if length else None for length in lengths]


def _level(energy: float) -> float | None:
    """The level of samples with this mean energy."""
    return round(10 * math.log10(energy) - _FULL_SCALE_DB, 1) if energy else None
