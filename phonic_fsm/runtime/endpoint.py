"""Where Phonic is, and what it wants to see in the handshake. The SDK knows; this asks it."""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from phonic.conversations.websocket_connect import build_sts_websocket_url_and_headers
from phonic.core.client_wrapper import BaseClientWrapper
from phonic.environment import PhonicEnvironment

from ..version import __version__

logger = logging.getLogger("phonic_fsm")


@dataclass(frozen=True)
class Endpoint:
    """A server to connect to, with the key for it. The key shows in no repr."""

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
        """URL and headers of the handshake, optionally to resume a conversation."""
        client = BaseClientWrapper(
            api_key=self.api_key,
            environment=PhonicEnvironment(base="", production=self.base_url.rstrip("/")),
        )
        return build_sts_websocket_url_and_headers(
            client,
            request_options={
                "additional_headers": {"x-phonic-client": f"phonic-fsm/{__version__}"}
            },
            reconnect_conv_id=resume,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
