"""Registers this package with LiveKit, as LiveKit's own plugins do.

A worker then logs its version, sets its logger to the worker's level, and preloads it for its jobs.
"""

from __future__ import annotations

import logging
import threading

from livekit.agents import Plugin

from .._version import __version__


class PhonicPlugin(Plugin):
    def __init__(self) -> None:
        super().__init__(
            title="phonic_fsm",
            version=__version__,
            package=f"{__package__}.preload",
            logger=logging.getLogger("phonic_fsm"),
        )


def register() -> None:
    """Do it, where LiveKit allows it: in the main thread."""
    if threading.current_thread() is threading.main_thread():
        Plugin.register_plugin(PhonicPlugin())
