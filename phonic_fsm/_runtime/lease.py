"""Asks whether this process still has its call, where another one may take it over."""

from __future__ import annotations

from typing import Literal, Protocol

Verdict = Literal["ours", "lost", "unknown"]
"""Whether the call is still this process's. ``unknown``: where that is kept, nothing answers."""


class Lease(Protocol):
    """Says who has the call. Neither method raises, and each takes a second or two at most."""

    async def beat(self) -> Verdict:
        """Show that this process works, and ask."""

    async def check(self) -> Verdict:
        """Ask."""
