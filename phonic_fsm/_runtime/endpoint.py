"""The address of Phonic, the key, and the headers of the handshake.

Source: ``phonic.conversations.websocket_connect.build_sts_websocket_url_and_headers``. A test
compares the two. The SDK's function is not called, because it imports an HTTP client and a model of
every message, which takes longer than importing this whole package.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from phonic.environment import PhonicEnvironment

from .._version import __version__

logger = logging.getLogger("phonic_fsm")

PATH = "/v1/sts/ws"

CLIENT = f"phonic-fsm/{__version__}"
"""The name by which this package introduces itself to Phonic."""

_NOT_IN_A_KEY = re.compile(r"[^!-~]|[\"'`\\]")
"""What no header can hold, and what surrounds a key in a file or in code."""


@dataclass(frozen=True)
class Endpoint:
    """A server to connect to, and the key for it. The ``repr`` does not show the key."""

    api_key: str = field(repr=False)
    """White space around it is taken off."""
    base_url: str = PhonicEnvironment.DEFAULT.production
    """Scheme, host and port: ``wss://api.phonic.ai``, or ``ws://127.0.0.1:8765``."""

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            ValueError: one of them cannot work. The message shows nothing of the key.
        """
        object.__setattr__(self, "api_key", _checked_key(self.api_key))
        object.__setattr__(self, "base_url", _checked_url(self.base_url, self.api_key))
        if self.base_url.startswith("ws:") and not self.is_on_this_machine:
            logger.warning(
                "base_url %s is not encrypted, so key and conversation can be read; use wss",
                self.base_url,
            )

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the server is on this machine."""
        return is_on_this_machine(self.base_url)

    def request(self, resume: str | None = None) -> tuple[str, dict[str, str]]:
        """The URL and headers of the handshake. ``resume`` is the id of a conversation."""
        query = f"?{urlencode({'reconnect_conv_id': resume})}" if resume is not None else ""
        return self.base_url.rstrip("/") + PATH + query, {
            "Authorization": f"Bearer {self.api_key}",
            "User-Agent": CLIENT,
            "x-phonic-client": CLIENT,
        }


def is_on_this_machine(url: str) -> bool:
    """Whether the URL's host is a loopback address, or is called ``localhost``."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    # Whoever connects to no address in particular (0.0.0.0) gets to this machine.
    return address.is_loopback or address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is written as, also as ``127.1``; ``None`` if it is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"api_key must be a string, got {type(key).__name__}")
    key = key.strip()
    if not key:
        raise ValueError("a Phonic API key is required: pass api_key or set PHONIC_API_KEY")
    if wrong := _NOT_IN_A_KEY.search(key):
        # The message can be read by others, so it shows nothing that may belong to a key.
        raise ValueError(
            "api_key (or PHONIC_API_KEY) holds something that no key can: character "
            f"{wrong.start() + 1} is {_kind_of(wrong.group())}"
        )
    return key


def _kind_of(character: str) -> str:
    if character in "\"'`\\":
        return "a quote or a backslash"
    if character.isspace():
        return "white space or a line break"
    if character in "\ufeff\u200b\u200c\u200d\u2060\u00ad":
        return f"an invisible one (U+{ord(character):04X})"
    return "a control character" if character < "\x80" else "not in ASCII"


def _checked_url(url: object, key: str) -> str:
    if not isinstance(url, str):
        raise ValueError(f"base_url must be a string, got {type(url).__name__}")
    url = url.strip()
    # What may hold a secret comes first, because later messages show the address.
    if "@" in url:
        raise ValueError("base_url must hold no credentials: the key goes into api_key")
    if "?" in url or "#" in url:
        raise ValueError(
            "base_url must end before the query: it is scheme, host and port, such as "
            f"{PhonicEnvironment.DEFAULT.production}"
        )
    problem = _problem(url)
    if problem is not None:
        raise ValueError(
            f"base_url must be a websocket URL such as {PhonicEnvironment.DEFAULT.production}, "
            f"got {url.replace(key, '***')[:200]!r}: {problem}"
        )
    scheme, colon, rest = url.partition(":")
    return scheme.lower() + colon + rest


def _problem(url: str) -> str | None:
    """What is wrong with an address, if anything is."""
    if not url.isprintable() or " " in url:
        return "it holds white space or a character that cannot be seen"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the host is no name and no address"
    if parts.scheme not in ("ws", "wss"):
        return "it does not begin with ws:// or wss://"
    if not parts.hostname:
        return "it has no host"
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        return "a part of the host's name is empty or too long"
    try:
        port = parts.port
    except ValueError:
        port = 0
    return "the port must be a number from 1 to 65535" if port == 0 else None
