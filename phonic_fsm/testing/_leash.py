"""Processes that end with the one that starts them, however that ends."""

from __future__ import annotations

import os
import sys

_LEASH = """
import ctypes, os, signal, sys
starter, *command = sys.argv[1:]
signal.signal(signal.SIGINT, signal.SIG_DFL)
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(starter):
        sys.exit("whoever started this is gone")
os.execvp(command[0], command)
"""
"""Becomes the command, after what only the process itself can ask for."""


def leashed(*command: object) -> list[str]:
    """The command that runs ``command`` and, on Linux, is killed when this process ends.

    A test run that is killed has no time to clear away. Also, the command takes Ctrl-C, which a
    shell has its background jobs, and all that they start, ignore.

    Start it from the main thread: it ends with the thread that started it.
    """
    return [sys.executable, "-E", "-S", "-c", _LEASH, *map(str, (os.getpid(), *command))]
