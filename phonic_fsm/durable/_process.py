"""The process that owns a journal: what it is known by, whether it still exists, and its end."""

from __future__ import annotations

import os
import signal
import socket
from functools import cache
from pathlib import Path

import psutil

from ._store import Holder, Taken

_NAMESPACE = Path("/proc/self/ns/pid")

SAME_START = 2.0
"""Times of start (s) that differ by less are the same: a clock that is set moves them."""


@cache
def this_host() -> str:
    """Where this process's id means this process: the host and, on Linux, the PID namespace.

    Containers can share a directory of journals, and count their processes alike.
    """
    host = socket.gethostname()
    return f"{host}/{_NAMESPACE.stat().st_ino}" if _NAMESPACE.exists() else host


def this_process(
    *, room: str = "", job: str = "", agent_name: str = "", identity: str = "", metadata: str = ""
) -> Holder:
    """This process as a journal's owner."""
    pid = os.getpid()
    started = psutil.Process(pid).create_time()
    return Holder(this_host(), pid, started, room, job, agent_name, identity, metadata)


def is_here(holder: Holder) -> bool:
    """Whether the holder is, or was, a process of this host."""
    return holder.host == this_host()


def exists(holder: Holder) -> bool:
    """Whether the holder's process exists. It must be one of this host."""
    try:
        process = psutil.Process(holder.pid)
        same = abs(process.create_time() - holder.started) < SAME_START
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(holder: Holder) -> None:
    """Kill the holder's process, which works where the process is stopped, too.

    Raises:
        Taken: it is not a process of this host, or it is this one, or that is not allowed.
    """
    if not is_here(holder):
        raise Taken(f"its owner is on another host ({holder.host}), and cannot be ended from here")
    if holder.pid == os.getpid():
        raise Taken("its owner is this process")
    if not exists(holder):
        return
    try:
        os.kill(holder.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        raise Taken(f"its owner stands still, and process {holder.pid} may not be killed") from None
