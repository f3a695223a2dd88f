"""The kinds that ``--only`` chooses by, and the colour of each."""

from __future__ import annotations

from collections.abc import Iterable

from phonic_fsm.trace._kinds import KINDS

from .failure import CommandFailed
from .text import printable

COLOURS = {
    "state": "bold",
    "speech": "green",
    "audio": "dim",
    "tool": "yellow",
    "reply": "blue",
    "connection": "magenta",
    "settings": "cyan",
    "chat": "cyan",
    "error": "red",
}


def chosen_kinds(words: Iterable[str]) -> frozenset[str]:
    """The kinds that ``--only`` names, each word one or more of them with commas between.

    Raises:
        CommandFailed: there is no such kind.
    """
    names = [name.strip() for word in words for name in word.split(",")]
    for name in names:
        if name not in KINDS:
            raise CommandFailed(f"no kind {printable(name)!r}: there are {', '.join(KINDS)}")
    return frozenset(names)
