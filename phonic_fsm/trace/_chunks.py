"""Which steps do nothing but pass the assistant's audio on: 50 a second while it speaks."""

from __future__ import annotations

from ._format import Line


def only_passes_audio(line: Line) -> bool:
    """An audio chunk that leaves the state as it is; it is played, or dropped."""
    return (
        line.event.get("type") == "audio_chunk"
        and line.source == line.target
        and all(effect.get("type") in ("push_text", "push_audio") for effect in line.effects)
    )


def words_of(line: Line) -> str:
    """What the chunk says."""
    return str(line.event.get("text") or "")


def bytes_of(line: Line) -> int:
    """How much audio it holds."""
    audio = line.event.get("audio")
    length = audio.get("bytes") if isinstance(audio, dict) else None
    return length if isinstance(length, int) else 0
