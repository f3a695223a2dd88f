"""Which store a place names."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from ._store import LIFETIME, Journals


def journals(place: str | os.PathLike[str], *, lifetime: float = LIFETIME) -> Journals:
    """The journals in a directory.

    Args:
        place: The directory. It is made when the first journal is.
        lifetime: How long (s) a journal that begins here is kept after its call.

    Raises:
        ValueError: the place is none of these, or a directory of journals cannot be used on this
            system; the message says what to use.
    """
    path = os.fspath(place)
    if not path or "://" in path:
        raise ValueError(f"journals are kept in a directory, got {path!r}")
    try:
        directory = import_module("._directory", __package__)
    except ImportError:
        raise ValueError(
            "a directory of journals needs file locks, which this system lacks"
        ) from None
    store: Journals = directory.DirectoryJournals(Path(path), lifetime)
    return store
