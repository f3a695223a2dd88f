"""A piece of audio: what somebody says, or what was heard."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sound:
    """Interleaved PCM16 LE at ``sample_rate`` Hz."""

    pcm: bytes
    sample_rate: int
    channels: int = 1

    @property
    def seconds(self) -> float:
        """How long the sound lasts (s)."""
        return len(self.pcm) / 2 / self.channels / self.sample_rate
