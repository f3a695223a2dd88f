"""The calls of a fleet, whose workers keep journals in Redis."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from phonic_fsm.durable import JournalError, Status, StoreFailed
from phonic_fsm.trace._follow import GrowingTrace
from phonic_fsm.trace._format import LONGEST_LINE
from phonic_fsm.trace._reader import TraceError

from .source import Version

logger = logging.getLogger("phonic_fsm")


class Extent(Protocol):
    """How much of a journal there is."""

    @property
    def size(self) -> int:
        """Bytes of lines."""

    @property
    def age(self) -> float:
        """Seconds since the last line came."""


class Store(Protocol):
    """What a store of journals must offer for that. Each method raises ``JournalError``."""

    def statuses(self, *, ended: bool) -> list[Status]: ...

    def extents(self, names: list[str]) -> Mapping[str, Extent]: ...

    def read_on(self, name: str, after: str) -> Iterator[tuple[str, bytes]]: ...


class Fleet:
    """A source whose calls are journals.

    While the store does not work, the calls stay as they were seen last, and the log says so once.
    """

    def __init__(self, store: Store) -> None:
        """Look at the store for the first time.

        Raises:
            StoreFailed: it does not work.
        """
        self._store = store
        self._statuses: dict[str, Status] = {}
        self._versions: dict[str, Version] = {}
        self._fails = False
        self._look()

    def versions(self) -> Mapping[str, Version]:
        try:
            self._look()
            self._fails = False
        except StoreFailed as error:
            if not self._fails:
                logger.warning("the calls are shown as they were seen last: %s", error)
            self._fails = True
        return self._versions

    def is_recorded(self, name: str) -> bool:
        status = self._statuses.get(name)
        return status is not None and status.held in ("held", "still")

    def worker(self, name: str) -> str:
        status = self._statuses.get(name)
        return "" if status is None else f"{status.holder.host}, process {status.holder.pid}"

    def open(self, name: str) -> GrowingTrace:
        return _JournalTrace(self, self._store, name)

    def _look(self) -> None:
        statuses = {status.name: status for status in self._store.statuses(ended=True)}
        extents, now = self._store.extents(list(statuses)), time.time()
        former = self._versions
        versions = {}
        for name, extent in extents.items():
            # The age is measured anew each time, and is never quite the same.
            known = former.get(name)
            changed = known.changed if known and known.size == extent.size else now - extent.age
            versions[name] = Version(changed, extent.size)
        self._statuses, self._versions = statuses, versions


class _JournalTrace(GrowingTrace):
    """A journal, read as a trace that is still being written."""

    def __init__(self, fleet: Fleet, store: Store, name: str) -> None:
        self._fleet = fleet
        self._store = store
        self._name = name
        self._after = ""
        """The entry that was read last."""
        super().__init__(name)

    @property
    def is_written(self) -> bool:
        return self._fleet.is_recorded(self._name)

    def _new_lines(self) -> Iterator[tuple[int, bytes]]:
        for entry, lines in self._entries(self._after):
            for text in lines:
                self._number += 1
                if self._number > 1:
                    yield self._number, text
            self._after = entry

    def _lines(self) -> Iterator[bytes]:
        for _, lines in self._entries(""):
            yield from lines

    def _entries(self, after: str) -> Iterator[tuple[str, list[bytes]]]:
        try:
            for entry, added in self._store.read_on(self._name, after):
                lines = added.splitlines(keepends=True)
                if len(added) > LONGEST_LINE and max(map(len, lines)) > LONGEST_LINE:
                    raise self.too_long()
                yield entry, lines
        except JournalError as error:
            raise TraceError(f"{self.path}: {error}") from error
