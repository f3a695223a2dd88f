"""What a job is told that is to go on with a call: the name of its journal, in its metadata."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Errand(Struct, frozen=True):
    """The metadata of such a job, as JSON."""

    phonic_fsm_journal: str
    metadata: str = ""
    """The metadata that the call's first job was dispatched with."""


def to_metadata(errand: Errand) -> str:
    return msgspec.json.encode(errand).decode()


def errand_in(metadata: str) -> Errand | None:
    """The errand that a job's metadata holds; ``None`` for a job of a new call."""
    try:
        return msgspec.json.decode(metadata, type=Errand)
    except msgspec.DecodeError:
        return None
