"""``phonic-fsm watch``: the index and the pages of calls, while they go on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import anyio
from rich.console import Console

from phonic_fsm._watch.fleet import Fleet
from phonic_fsm._watch.server import HOST, serving
from phonic_fsm._watch.source import Folder, Source
from phonic_fsm.durable import StoreFailed

from .failure import CommandFailed
from .findings import chosen_rules
from .interrupt import run_until_interrupted
from .text import printable

REDIS = ("redis://", "rediss://")


def run_watch(place: str, port: int, *, thresholds: Sequence[str] = ()) -> int:
    """Serve until a signal comes; returns the exit code.

    Raises:
        CommandFailed: there is no such directory, Redis does not answer, the port is taken, or a
            threshold is mistyped.
    """
    rules = chosen_rules(thresholds)
    source, where = _source(place)

    async def serve() -> None:
        try:
            async with serving(source, port, rules) as address:
                Console(highlight=False, soft_wrap=True, markup=False).print(
                    f"watching {printable(where)} at {address}; Ctrl-C ends it"
                )
                await anyio.sleep_forever()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CommandFailed(f"cannot listen on {HOST}:{port}: {reason}") from error

    run_until_interrupted(serve)
    return 0


def _source(place: str) -> tuple[Source, str]:
    """Where calls are recorded, and how that is told: without a password."""
    if place.startswith(REDIS):
        try:
            from phonic_fsm.durable._redis import RedisJournals  # noqa: PLC0415

            store = RedisJournals(place)
            return Fleet(store), store.place
        except ModuleNotFoundError:
            raise CommandFailed("Redis needs its client: install phonic-fsm[redis]") from None
        except (ValueError, StoreFailed) as error:
            raise CommandFailed(printable(str(error))) from None
    folder = Path(place)
    if not folder.is_dir():
        why = "Not a directory" if folder.exists() else "No such file or directory"
        raise CommandFailed(f"{printable(place)}: {why}")
    return Folder(folder), place
