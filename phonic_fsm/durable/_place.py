"""Which store a place names."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from ._store import LIFETIME, Journals


def journals(place: str | os.PathLike[str], *, lifetime: float = LIFETIME) -> Journals:
    """The journals in a directory, or in Redis.

    Args:
        place: A directory, which is made when the first journal is, or Redis's address:
            ``redis://``, or ``rediss://`` for TLS, as ``redis.Redis.from_url`` reads it.
        lifetime: How long (s) a journal that begins here is kept after its call.

    Raises:
        ValueError: the place is none of these, or cannot be used here, or the lifetime is no time;
            the message says why. It does not hold the address, which may have a password in it.
    """
    if isinstance(lifetime, bool) or not isinstance(lifetime, (int, float)) or not lifetime >= 0:
        raise ValueError(f"a journal's lifetime must be a number of seconds, got {lifetime!r}")
    path = os.fspath(place) if isinstance(place, (str, os.PathLike)) else ""
    scheme, separator, _ = path.partition("://")
    scheme = scheme if separator else ""
    if scheme in ("redis", "rediss"):
        return _in_redis(path, lifetime)
    if scheme or not path:
        named = f"an address that begins with {scheme}://" if scheme else repr(place)
        raise ValueError(
            f"journals are kept in a directory, or in redis:// or rediss://, got {named}"
        )
    return _in_a_directory(Path(path), lifetime)


def _in_redis(url: str, lifetime: float) -> Journals:
    try:
        module = import_module("._redis", __package__)
    except ModuleNotFoundError:
        raise ValueError("journals in Redis need its client: install phonic-fsm[redis]") from None
    store: Journals = module.RedisJournals(url, lifetime)
    return store


def _in_a_directory(path: Path, lifetime: float) -> Journals:
    try:
        module = import_module("._directory", __package__)
    except ModuleNotFoundError:
        raise ValueError(
            "a directory of journals needs file locks, which this system lacks"
        ) from None
    store: Journals = module.DirectoryJournals(path, lifetime)
    return store
