"""``phonic-fsm watch``: the index of a folder's calls and their pages, while they go on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import anyio
from rich.console import Console

from phonic_fsm._watch.server import HOST, serving
from phonic_fsm._watch.source import Folder

from .failure import CommandFailed
from .findings import chosen_rules
from .interrupt import run_until_interrupted
from .text import printable


def run_watch(folder: Path, port: int, *, thresholds: Sequence[str] = ()) -> int:
    """Serve until a signal comes; returns the exit code.

    Raises:
        CommandFailed: there is no such directory, the port is taken, or a threshold is mistyped.
    """
    if not folder.is_dir():
        why = "Not a directory" if folder.exists() else "No such file or directory"
        raise CommandFailed(f"{printable(str(folder))}: {why}")

    rules = chosen_rules(thresholds)

    async def serve() -> None:
        try:
            async with serving(Folder(folder), port, rules) as address:
                Console(highlight=False, soft_wrap=True, markup=False).print(
                    f"watching {printable(str(folder))} at {address}; Ctrl-C ends it"
                )
                await anyio.sleep_forever()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CommandFailed(f"cannot listen on {HOST}:{port}: {reason}") from error

    run_until_interrupted(serve)
    return 0
