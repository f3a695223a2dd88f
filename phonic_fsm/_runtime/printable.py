"""Makes text from outside safe for a terminal or a log."""

from __future__ import annotations


def in_unicode(text: str) -> str:
    """The text with an escape in place of what is no Unicode, as a file's name may hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """The text with an escape in place of every control character."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
