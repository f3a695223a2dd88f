"""How a command says that it cannot do what it was asked: one line, exit code 2."""

from __future__ import annotations


class CommandFailed(Exception):
    """The line to print."""
