"""Text from elsewhere, made fit for a terminal or a log."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with every control character written out, so that none reaches the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
