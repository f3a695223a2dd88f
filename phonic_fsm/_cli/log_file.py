"""The log that ``--log`` names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from phonic_fsm._report.log import Log

from .failure import CommandFailed
from .text import printable


@cache
def read_log(path: Path | None) -> Log | None:
    """The log; each process reads it once.

    Raises:
        CommandFailed: it cannot be read, or has no timestamps.
    """
    try:
        return None if path is None else Log(path)
    except OSError as error:
        raise CommandFailed(printable(f"{path}: {error.strerror or error}")) from error
    except ValueError as error:
        raise CommandFailed(printable(str(error))) from error
