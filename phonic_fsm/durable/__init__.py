"""Calls that outlive the process that runs them: a journal, its owner, and a successor.

``store``
    What a store of journals does, and the errors.
``directory`` and ``redis``
    A store for the processes of one host, and one for several hosts.
``place``
    Which store a path or an address names.
``process``
    The process that owns a journal.
``ownership``
    A journal as a session uses it.
``guard``, ``judge`` and ``dispatch``
    Asks LiveKit for a successor where an owner has died, what it decides by, and what a successor
    is told.
``departures`` and ``drain``
    Which calls of a worker that drains move next, and what LiveKit's worker needs to end.
"""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from ._guard import guard
    from ._place import journals
    from ._store import (
        Ended,
        Holder,
        Journal,
        JournalError,
        Journals,
        LinesLost,
        NoJournal,
        OwnershipLost,
        Status,
        StoreFailed,
        Taken,
    )

__all__ = [
    "Ended",
    "Holder",
    "Journal",
    "JournalError",
    "Journals",
    "LinesLost",
    "NoJournal",
    "OwnershipLost",
    "Status",
    "StoreFailed",
    "Taken",
    "guard",
    "journals",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "._guard": "guard",
        "._place": "journals",
        "._store": "Ended Holder Journal JournalError Journals LinesLost NoJournal OwnershipLost "
        "Status StoreFailed Taken",
    },
)
