"""Virtual time: a heap of what is to happen, and nothing else that could set an order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Clock:
    """``now`` is in s. What is due at the same time happens in the order in which it was asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, seconds: float, do: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + max(seconds, 0.0), self._count, do, arguments))

    def run(self, until: float) -> None:
        """Let time pass until then, or until nothing is to happen any more."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, do, arguments = heapq.heappop(self._heap)
            do(*arguments)
        self.now = until
