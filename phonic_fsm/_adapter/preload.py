"""Imports all that a session needs, and nothing else imports this.

Some of it would be imported in a job's first call, while its event loop, and so its caller, waits.
LiveKit imports a plugin's package in the process that the jobs' processes are forked from, so this
module is what ``plugin`` names as its package.
"""

from __future__ import annotations

from contextlib import suppress

import anyio._backends._asyncio  # noqa: F401  # anyio imports it with its first task group
import jsonschema  # noqa: F401

from . import model  # noqa: F401

# Which of them is used, the journals' place says. One needs file locks, the other an extra.
with suppress(ModuleNotFoundError):
    from ..durable import _directory  # noqa: F401
with suppress(ModuleNotFoundError):
    from ..durable import _redis  # noqa: F401
