"""Reads keys from the terminal, one by one, as they are pressed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def pressed_keys() -> Iterator[Iterator[str]]:
    """The keys of the terminal on stdin, for as long as the context lasts.

    The terminal hands over single keys until the context ends. ``typer.getchar`` would change that
    back after each key, and lose what is typed meanwhile.
    """
    if sys.platform == "win32":
        yield iter(typer.getchar, "")
        return
    import termios  # noqa: PLC0415 - there is none on Windows
    import tty  # noqa: PLC0415

    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin, termios.TCSADRAIN)
    try:
        yield _keys(stdin)
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


def _keys(stdin: int) -> Iterator[str]:
    while typed := os.read(stdin, 1024).decode(errors="replace"):
        # Several keys may come at once, and one key as several characters.
        yield from re.findall(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|.", typed, re.DOTALL)
