"""A lock on the file that a trace is written to.

It tells a process that was killed from one that is quiet: the system takes the lock away when the
process ends, however it ends. It is advisory: everybody can read the file.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RECENTLY = 60.0
"""Where files cannot be locked, a file counts as being written if it was in so many seconds."""


def hold(file: int) -> None:
    """Lock the open file for as long as it is open. Where that cannot be done, do nothing."""
    if fcntl is not None:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether a process still writes the file.

    Raises:
        OSError: the file cannot be opened.
    """
    if fcntl is None:
        return time.time() - path.stat().st_mtime < RECENTLY
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return time.time() - os.fstat(file).st_mtime < RECENTLY
    finally:
        os.close(file)
    return False
