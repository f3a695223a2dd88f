"""The proxy between this machine and a server, as the environment or the system names it.

The order is that of websockets: of the variables ``wss_proxy`` (or ``ws_proxy``), ``socks_proxy``
and ``https_proxy``, the first counts, and ``no_proxy`` excludes hosts. For ``ws``, ``http_proxy``
comes next. ``all_proxy``, which websockets does not read, comes last. The address is looked up and
checked here, because what websockets says about a wrong one quotes it, with the password in it, and
does not say where it comes from.
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from websockets.version import version

TAKES_ESCAPES = tuple(map(int, version.split(".")[:2])) >= (17, 2)
"""Whether websockets takes ``%2F`` and the like in a user or a password for what they stand for."""

SCHEMES = ("http", "https", "socks5h", "socks5", "socks4a", "socks4")


class UnusableProxy(Exception):
    """The proxy cannot work. The text says why, and what to change, and shows no password."""


class Proxy(NamedTuple):
    address: str
    """It may hold a user and a password."""
    variable: str
    """The environment variable that names it, or would if the system's settings did not."""

    def __str__(self) -> str:
        parts = urlsplit(self.address)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = f":{parts.port}" if parts.port else ""
        return f"the proxy {host}{port} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """The proxy that leads to this websocket URL; ``None`` if the way is direct.

    Raises:
        UnusableProxy: there is one, and its address is wrong, or a package for it is missing.
    """
    server = urlsplit(url)
    port = server.port or (443 if server.scheme == "wss" else 80)
    if proxy_bypass(f"{server.hostname}:{port}"):
        return None
    http = [] if server.scheme == "wss" else ["http"]
    kinds = [server.scheme, "socks", "https", *http, "all"]
    proxies = {kind: address.strip() for kind, address in getproxies().items()}
    kind = next((kind for kind in kinds if proxies.get(kind)), None)
    if kind is None:
        return None
    address = proxies[kind]
    if kind == "socks" and address.startswith("http://"):
        # That is how the system's settings name a SOCKS proxy.
        address = address.replace("http", "socks5h", 1)
    proxy = Proxy(address, f"{kind}_proxy")
    problem = _problem(address)
    if problem is not None:
        raise UnusableProxy(f"the proxy in {proxy.variable} cannot be used: {problem}")
    return proxy


def _problem(address: str) -> str | None:
    """What is wrong with a proxy's address, if anything is."""
    if address.split("://", 1)[0].lower() not in SCHEMES or "://" not in address:
        return f"its address must begin with {', '.join(f'{name}://' for name in SCHEMES)}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
        unquote(f"{parts.username}{parts.password}", errors="strict")
    except ValueError:
        return (
            "its host or its port is wrong; in a password, : / ? # @ are written as %3A and so on, "
            "and other characters in UTF-8"
        )
    if not host or port == 0:
        return "its address must have a host, and a port from 1 to 65535"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return (
            "its address must end with the port; in a password, / ? # are written as %2F and so on"
        )
    if parts.username is not None and parts.password is None:
        return "behind the user, a colon and the password are missing"
    if parts.scheme.startswith("socks"):
        try:
            import_module("python_socks.async_.asyncio")
        except ImportError:
            return 'a SOCKS proxy needs a package: pip install "python-socks[asyncio]"'
    if "%" in f"{parts.username}{parts.password}" and not TAKES_ESCAPES:
        return 'escapes such as %2F need a newer package: pip install "websockets>=17.2"'
    return None
