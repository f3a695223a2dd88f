"""The address of Phonic, and the headers of the handshake.

Source: ``phonic.conversations.websocket_connect.build_sts_websocket_url_and_headers``. A test
compares the two. The SDK's function is not called, because it imports an HTTP client and a model of
every message, which takes longer than importing this whole package.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from phonic.environment import PhonicEnvironment

from .._version import __version__

logger = logging.getLogger("phonic_fsm")

PATH = "/v1/sts/ws"

CLIENT = f"phonic-fsm/{__version__}"
"""The name by which this package introduces itself to Phonic."""


@dataclass(frozen=True)
class Endpoint:
    """A server to connect to, and the key for it. The ``repr`` does not show the key."""

    api_key: str = field(repr=False)
    base_url: str = PhonicEnvironment.DEFAULT.production
    """Scheme, host and port: ``wss://api.phonic.ai``, or ``ws://127.0.0.1:8765``."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.username or parts.password:
            raise ValueError("base_url must hold no credentials: the key goes into api_key")
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(
                f"base_url must be a websocket URL such as {PhonicEnvironment.DEFAULT.production}, "
                f"got {self.base_url!r}"
            )
        if parts.scheme == "ws" and not _is_loopback(parts.hostname):
            logger.warning(
                "base_url %s is not encrypted, so key and conversation can be read; use wss",
                self.base_url,
            )

    def request(self, resume: str | None = None) -> tuple[str, dict[str, str]]:
        """The URL and headers of the handshake. ``resume`` is the id of a conversation."""
        query = f"?{urlencode({'reconnect_conv_id': resume})}" if resume is not None else ""
        return self.base_url.rstrip("/") + PATH + query, {
            "Authorization": f"Bearer {self.api_key}",
            "User-Agent": CLIENT,
            "x-phonic-client": CLIENT,
        }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
