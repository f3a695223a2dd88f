"""Durations and counts as one says them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    return f"{max(seconds, 0) * 1000:.0f} ms" if seconds < 0.95 else f"{seconds:.1f} s"


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
