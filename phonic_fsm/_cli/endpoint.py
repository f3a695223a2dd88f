"""Phonic's address and the key, for commands that talk to Phonic."""

from __future__ import annotations

import os

from phonic_fsm._runtime.endpoint import Endpoint

from .failure import CommandFailed
from .text import printable


def endpoint_or_fail(base_url: str | None) -> Endpoint:
    """Phonic's address and the key, from the environment where they are not given.

    Raises:
        CommandFailed: there is no key, or one of them cannot work.
    """
    key = os.environ.get("PHONIC_API_KEY")
    if not key:
        raise CommandFailed("the environment variable PHONIC_API_KEY is not set: Phonic's key")
    url = base_url or os.environ.get("PHONIC_BASE_URL")
    try:
        return Endpoint(key, url) if url else Endpoint(key)
    except ValueError as error:
        raise CommandFailed(printable(str(error))) from error
