"""The threads in which a process shows that it works: for all its calls.

A heartbeat waits for a disk or a network. A store that hangs must not keep the hearts of other
calls from beating, so each beat has a thread of its own if it needs one. Threads are kept: usually
one is enough.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

THREADS = 64
"""So many beats can be under way at once, if a store hangs. The others wait for these."""


def in_a_thread(beat: Callable[[], None]) -> None:
    """Call this soon, in one of the threads. It must not raise."""
    _threads().submit(beat)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="phonic-heart")


if hasattr(os, "register_at_fork"):  # Windows has no fork
    # A forked child has none of the threads.
    os.register_at_fork(after_in_child=_threads.cache_clear)
