"""``phonic-fsm guard``: watches journals until Ctrl-C."""

from __future__ import annotations

import logging

from phonic_fsm.durable._guard import access, watch
from phonic_fsm.durable._place import journals

from .failure import CommandFailed
from .interrupt import run_until_interrupted
from .text import printable


def run_guard(place: str) -> int:
    """Watch until a signal comes; returns the exit code.

    Raises:
        CommandFailed: the place cannot be used, or LiveKit's address or key is not set.
    """
    try:
        store, livekit = journals(place), access()
    except ValueError as error:
        raise CommandFailed(printable(str(error))) from None
    logger = logging.getLogger("phonic_fsm")
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)

    run_until_interrupted(lambda: watch(store, livekit))
    return 0
