"""Lets a session act only as long as the call is this process's own.

Another process may take the call over while this one stands still, and when it wakes up, it does
not know. So a session with a ``Lease`` asks before each connect and before each closing handshake,
which would end the conversation for the other. It asks every second, too, and before it sends
anything after it has stood still.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from .._wire.client import ClientMessage
from .connection import Connection
from .lease import Lease, Verdict, may_end

Task = Callable[[], Coroutine[Any, Any, None]]

BEAT = 1.0
"""Seconds between two heartbeats. The event loop causes them, so one that stands still shows."""

LOOK = 0.2
"""Seconds between two looks whether the event loop has stood still."""

STOOD_STILL = 1.0
"""If the event loop has done nothing for so many seconds, the call may be another's."""

CLOSING = 0.4
"""How long (s) a session that ends waits for an answer."""

AT_ONCE = 1.0
"""If a resumed connection is dropped within so many seconds, Phonic may have thrown it out."""

MOST_THROWN_OUT = 2
"""After so many of these in a row, if nobody can say whose the call is, it is another's."""


class Fence:
    """Asks, for one session. When the call is another's, it says so once."""

    def __init__(
        self,
        lease: Lease,
        start: Callable[[Task], None],
        on_lost: Callable[[], None],
        on_look: Callable[[], None] | None,
    ):
        """``start`` starts a task of the session's. ``on_look`` is called at each look."""
        self._lease = lease
        self._on_lost = on_lost
        self._on_look = on_look
        self.start = start
        self._looked = time.monotonic()
        """When the event loop was last seen to work (s)."""
        self._looks_at = self._looked + LOOK
        self._beats_at = self._looked + BEAT
        self.thrown_out = 0
        """How many resumed connections in a row were dropped at once."""
        self.connection: FencedConnection | None = None
        """The present one."""

    def keep(self) -> None:
        """Show every second that this process works. Called many times a second by the event
        loop, as long as the session lasts."""
        now = time.monotonic()
        if now < self._looks_at:
            return
        self._looks_at = now + LOOK
        self.look()
        if now >= self._beats_at:
            self._beats_at = now + BEAT
            self._lease.beat(self._judge)
        if self._on_look is not None:
            self._on_look()

    async def is_ours(self) -> bool:
        """Whether the call is still this process's, as far as it is known."""
        return self._judge(await self._lease.check())

    async def may_close(self) -> bool:
        """Whether the conversation may be ended. If nobody answers in time, it may as long as
        nobody else can have the call."""
        verdict: Verdict = "unknown"
        with anyio.move_on_after(CLOSING):
            verdict = await self._lease.check()
        return may_end(verdict, is_safe=self._lease.is_safe)

    def look(self) -> None:
        """If the event loop has stood still, hold what is to be sent until it is known whether it
        may be. Called before anything is sent, too."""
        now = time.monotonic()
        stood_still, self._looked = now - self._looked > STOOD_STILL, now
        if stood_still and self.connection is not None:
            self.connection.hold()

    def _judge(self, verdict: Verdict) -> bool:
        if verdict == "lost" or (verdict == "unknown" and self.thrown_out >= MOST_THROWN_OUT):
            self._on_lost()
            return False
        return True


class FencedConnection(Connection):
    """A connection that asks first."""

    def __init__(self, fence: Fence, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fence = fence
        fence.connection = self

    def hold(self) -> None:
        """Write nothing until it is known that the call is this process's."""
        if not self._is_held:
            self._is_held = True
            self._fence.start(self._let_go)

    def send(self, message: ClientMessage) -> None:
        self._fence.look()
        super().send(message)

    @property
    def is_flowing(self) -> bool:
        self._fence.look()
        return super().is_flowing

    def _flush(self) -> None:
        self._fence.look()
        super()._flush()

    async def run(self) -> None:
        if not await self._fence.is_ours():
            return
        await super().run()
        if self.lasted is not None:
            thrown_out = self._resume is not None and self.lasted < AT_ONCE
            self._fence.thrown_out = self._fence.thrown_out + 1 if thrown_out else 0

    def end(self) -> None:
        self.fall_silent()
        self._fence.start(self._end)

    async def _let_go(self) -> None:
        if await self._fence.is_ours():
            self._is_held = False
            self._flush()

    async def _end(self) -> None:
        if await self._fence.may_close():
            self._is_held = False
            super().end()
        else:
            self.abandon()
