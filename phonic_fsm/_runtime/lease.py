"""Asks whether this process still has its call, where another one may take it over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

Verdict = Literal["ours", "lost", "unknown"]
"""Whether the call is still this process's. ``unknown``: where that is kept, nothing answers."""


class Lease(Protocol):
    """Says who has the call. None of this raises, and a question takes a second or two at most."""

    def beat(self, on_doubt: Callable[[Verdict], object]) -> None:
        """Show that this process works, and ask. It does not wait for the answer: unless that is
        ``ours``, ``on_doubt`` gets it, in the event loop. While one waits, another does nothing."""

    async def check(self) -> Verdict:
        """Ask."""

    @property
    def is_safe(self) -> bool:
        """Whether nobody else can have the call, whoever does not answer: the last heartbeat that
        has arrived is too recent, or a process that loses its call is killed."""


def may_end(verdict: Verdict, *, is_safe: bool) -> bool:
    """Whether this process may end the conversation. A successor could not resume it any more."""
    return verdict == "ours" or (verdict == "unknown" and is_safe)
