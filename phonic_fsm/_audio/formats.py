"""The audio formats of Phonic's protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .._wire.config import SAMPLING
from . import mulaw


@dataclass(frozen=True)
class WireFormat:
    """A format of mono audio on the wire. Inside this package audio is always PCM16 LE."""

    sample_rate: int
    """Hz."""
    sample_bytes: int = 2
    encode: Callable[[bytes], bytes] | None = None
    """Converts from PCM16 LE; ``None`` where the format is PCM16 LE."""
    decode: Callable[[bytes], bytes] | None = None
    """Converts to PCM16 LE; ``None`` where the format is PCM16 LE."""

    @property
    def bytes_per_second(self) -> int:
        return self.sample_rate * self.sample_bytes


_CODECS = {"mulaw_8000": (mulaw.encode, mulaw.decode)}

WIRE_FORMATS = {
    name: WireFormat(*sampling, *_CODECS.get(name, ())) for name, sampling in SAMPLING.items()
}
"""By the names that the config's ``input_format`` and ``output_format`` take."""
