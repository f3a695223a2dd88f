"""The way through an HTTP proxy, as websockets makes it, without what that leaves in the log.

If a proxy goes away before it has answered, the attempt to connect fails and says so. Up to 17.4,
websockets then also raises an ``EOFError`` into the event loop, as its reader is told twice that
nothing more comes. If the attempt was given up meanwhile, nobody asks for the reason, or the answer
has nowhere to go. Each time, the event loop logs a traceback.
"""

from __future__ import annotations

from websockets.asyncio import client


class Tunnel(client.HTTPProxyConnection):
    """The connection to a proxy, until it leads to the server."""

    def run_parser(self) -> None:
        if not self.response.done():
            super().run_parser()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.reader.eof and not self.response.done():
            super().connection_lost(exc)
        if self.response.done() and not self.response.cancelled():
            self.response.exception()  # If nobody else asks for it, it is no loss.


def mend() -> None:
    """Have websockets use it: it takes no class of ours."""
    client.HTTPProxyConnection = Tunnel  # type: ignore[misc]
