"""Journals in a directory: for the processes of one host.

Each journal is a directory of its own, with these files:

``journal.jsonl``
    The lines.
``lease``
    Who has the journal, as JSON. It is replaced as a whole, and by the owner only.
``ended``
    What the lease will be once the call is over. It is written when the journal gets its owner, so
    that a call can also end on a full disk. Without that, it would get a successor.
``lock``
    Locked (``flock``) by the owner for as long as its process lives, so a death shows at once. The
    heartbeat is its time of change.
``dispatched``
    To which owner a successor was last sent, and when.
``move`` and ``handover``
    Which owner was asked for it: its number. Their times of change say when.

On a full disk, a call gets its successor, too: ``dispatched`` is written in place, and for what
takes the place of ``lease`` and ``ended``, room is reserved in ``lease.new`` and ``ended.new``.

Only the owner of the lock writes, and a process that holds it is killed before another takes the
journal over: a stopped process that wakes up could write between a check and the write. So lines
are added without a look at the lease. Heartbeats look: somebody may have removed the journal.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from weakref import WeakSet

import msgspec
from msgspec import Struct

from ._process import exists, is_here, kill
from ._store import (
    FORGOTTEN,
    HEAD_START,
    LIFETIME,
    READY_SECONDS,
    STILL_SECONDS,
    Ended,
    Held,
    Holder,
    NoJournal,
    OwnershipLost,
    Status,
    StoreFailed,
    Taken,
    Wish,
    checked_name,
    crashes_so_far,
)

JOURNAL = "journal.jsonl"
LEASE = "lease"
END = "ended"
LOCK = "lock"
DISPATCHED = "dispatched"
PARTING = "parting"

UNFINISHED = ".new-"
"""The name of a journal that is being made begins like this, so nobody sees it yet."""

LONGEST_DYING = 2.0
"""How long (s) a killed process may take to let go of its lock."""

_BLOCK = 64 * 2**10

_SPARE = 2**10
"""By so many bytes the next lease may be longer than the present one, on a full disk."""

_MARK = b"%10d %20.6f"
"""What ``dispatched`` holds. It takes as much room whatever it says."""


class Lease(Struct, frozen=True):
    """What the file ``lease`` holds. Times are in s since 1970."""

    number: int
    holder: Holder
    since: float
    """When this owner began."""
    crashes: int
    """How many owners before this one have died early, in a row."""
    lifetime: float
    """How long (s) the journal is kept after the call."""
    state: Literal["held", "released", "ended"] = "held"

    def crashes_with_this(self, died: float) -> int:
        """How many have died early, in a row, when this owner has died at that time."""
        if self.state == "released":
            return self.crashes
        return crashes_so_far(self.crashes, max(0.0, died - self.since))


class DirectoryJournal:
    """A journal that this process owns."""

    def __init__(self, folder: Path, lease: Lease, lock: int) -> None:
        """``lock`` is the descriptor of the locked file, which belongs to this object from now."""
        self.name = folder.name
        self.number = lease.number
        self._folder = folder
        self._lease = lease
        self._lock = lock
        self._file = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._file).st_size
        self._lease_path, self._lock_path = str(folder / LEASE), str(folder / LOCK)
        self._seen: tuple[int, int] | None = None
        """Which file the lease was in when it was last looked at, and when it had been written;
        ``None`` if it was not this owner's."""
        self._use = threading.Lock()
        """Held while the descriptors are used: once closed, their numbers mean other files."""
        self._is_open = True
        _owned.add(self)

    def append(self, lines: bytes) -> None:
        with self._use, _FailingClearly(self.name):
            if not self._is_open or self._seen is None:
                self._check()
            try:
                self._write(lines)
            except OSError:
                # All or none: what has been written of them goes.
                os.ftruncate(self._file, self._size)
                raise
            self._size += len(lines)

    def beat(self) -> Wish | None:
        with _FailingClearly(self.name):
            self._check()
            os.utime(self._lock_path)
            return _wish(self._folder, self.number)

    def check(self) -> None:
        with _FailingClearly(self.name):
            self._check()

    def end(self) -> None:
        with self._finishing():
            (self._folder / END).replace(self._folder / LEASE)

    def release(self, parting: bytes = b"") -> None:
        with self._finishing():
            with suppress(OSError):
                (self._folder / PARTING).unlink(missing_ok=True)
                if parting:
                    _write(self._folder / PARTING, parting)
            released = msgspec.structs.replace(self._lease, state="released")
            _write_and_reserve(self._folder / LEASE, released)

    def take_parting(self) -> bytes:
        path = self._folder / PARTING
        try:
            parting = path.read_bytes()
            path.unlink()
        except FileNotFoundError:
            return b""
        return parting

    def leave_to_the_parent(self) -> None:
        """Close the files in a forked child, which shares the lock with its parent."""
        self._use = threading.Lock()
        self._close()

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _check(self) -> None:
        former, self._seen = self._seen, None
        status = os.stat(self._lease_path)
        seen = status.st_ino, status.st_mtime_ns
        # It is read again only if it was replaced.
        is_ours = seen == former or _read_lease(self._folder).number == self.number
        if not (self._is_open and is_ours):
            raise OwnershipLost(f"this process no longer has the journal {self.name}")
        self._seen = seen

    @contextmanager
    def _finishing(self) -> Iterator[None]:
        with self._use, _FailingClearly(self.name):
            self._check()
            os.utime(self._lock_path)
            yield
            self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._file)
            os.close(self._lock)


class DirectoryJournals:
    """A directory of journals. It and all in it can be read by this user only."""

    look_every = 0.05
    outlives_a_beat = math.inf

    def __init__(self, place: Path, lifetime: float = LIFETIME) -> None:
        self._place = place
        self._lifetime = lifetime
        self._leases: dict[str, tuple[tuple[int, int], Lease]] = {}
        """What ``statuses`` read last of each journal, and of which file (its inode and its time of
        change). Most have not changed since."""
        self._ended: set[str] = set()
        """The journals of ended calls: nothing changes in them any more."""

    @property
    def place(self) -> str:
        return str(self._place)

    def begin(self, name: str, holder: Holder) -> DirectoryJournal:
        folder = self._folder(name)
        self._ended.discard(name)
        with _FailingClearly(name):
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.remove_expired()
            unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self._place))
            lock = _make(unfinished / LOCK)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                os.close(_make(unfinished / JOURNAL))
                _write(unfinished / DISPATCHED, _MARK % (0, 0.0))
                lease = Lease(1, holder, time.time(), 0, self._lifetime)
                _write_lease(unfinished, lease)
                try:
                    unfinished.rename(folder)
                except OSError:
                    if folder.exists():
                        raise Taken(f"there is a journal {name} already") from None
                    raise
                return DirectoryJournal(folder, lease, lock)
            except BaseException:
                os.close(lock)
                shutil.rmtree(unfinished, ignore_errors=True)
                raise

    def take_over(self, name: str, holder: Holder) -> DirectoryJournal:
        folder = self._folder(name)
        with _FailingClearly(name):
            lease = _read_lease(folder)
            if lease.state == "ended":
                raise Ended(f"the call of the journal {name} is over")
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                _wrest(folder, lease, lock)
                # Nobody else writes the lease from here.
                lease = _read_lease(folder)
                if lease.state == "ended":
                    raise Ended(f"the call of the journal {name} is over")
                now = time.time()
                crashes = lease.crashes_with_this(now - _beat_age(folder))
                claimed = Lease(lease.number + 1, holder, now, crashes, lease.lifetime)
                _cut_off_what_is_incomplete(folder / JOURNAL)
                # The age of a heartbeat in the future is 0.
                os.utime(lock, (now, now + HEAD_START))
                _write_lease(folder, claimed)
                return DirectoryJournal(folder, claimed, lock)
            except BaseException:
                os.close(lock)
                raise

    def ask(self, name: str, number: int, wish: Wish) -> None:
        folder = self._folder(name)
        with _FailingClearly(name):
            lease = _read_lease(folder)
            if lease.state == "ended":
                raise Ended(f"the call of the journal {name} is over")
            if lease.number != number:
                raise OwnershipLost(f"another process has the journal {name}")
            new = folder / f"{wish}.{os.getpid()}"
            with open(new, "w", opener=_private) as file:
                file.write(str(number))
            new.replace(folder / wish)

    def read(self, name: str) -> Iterator[bytes]:
        for _, line in self.read_on(name):
            yield line

    def read_on(self, name: str, after: str = "") -> Iterator[tuple[str, bytes]]:
        at = int(after or 0)
        with _FailingClearly(name), (self._folder(name) / JOURNAL).open("rb") as file:
            file.seek(at)
            for line in file:
                if line.endswith(b"\n"):
                    at += len(line)
                    yield str(at), line

    def statuses(self, *, ended: bool = False) -> list[Status]:
        found = []
        for folder in self._folders(but=frozenset() if ended else self._ended):
            with suppress(FileNotFoundError, NoJournal):  # it is being removed
                found.append(_status(folder, self._known_lease(folder)))
        over = {status.name for status in found if status.held == "ended"}
        self._ended = over if ended else self._ended | over
        self._leases = {status.name: self._leases[status.name] for status in found}
        return found if ended else [status for status in found if status.held != "ended"]

    def status(self, name: str) -> Status:
        folder = self._folder(name)
        with _FailingClearly(name):
            return _status(folder, self._known_lease(folder))

    def _known_lease(self, folder: Path) -> Lease:
        found = os.stat(folder / LEASE)
        file = found.st_ino, found.st_mtime_ns
        known = self._leases.get(folder.name)
        if known is None or known[0] != file:
            known = self._leases[folder.name] = file, _read_lease(folder)
        return known[1]

    def may_dispatch(self, name: str, number: int, seconds: float) -> bool:
        folder = self._folder(name)
        with _FailingClearly(name):
            if _read_lease(folder).number != number:
                return False
            mark = os.open(folder / DISPATCHED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(mark, fcntl.LOCK_EX)
                last = os.pread(mark, 100, 0).split()
                now = time.time()
                if last and int(last[0]) == number and 0 <= now - float(last[1]) < seconds:
                    return False
                os.pwrite(mark, _MARK % (number, now), 0)
                return True
            finally:
                os.close(mark)

    def remove_expired(self) -> None:
        with _FailingClearly(str(self._place)):
            for folder in self._folders(UNFINISHED):
                with suppress(FileNotFoundError):
                    _remove_if_left_behind(folder)
            for folder in self._folders():
                with suppress(FileNotFoundError, NoJournal):
                    lease, age = _read_lease(folder), _beat_age(folder)
                    if age > (lease.lifetime if lease.state == "ended" else FORGOTTEN):
                        _remove_if_left_behind(folder)
                        self._ended.discard(folder.name)

    def _folder(self, name: str) -> Path:
        return self._place / checked_name(name)

    def _folders(self, beginning: str = "", but: Set[str] = frozenset()) -> list[Path]:
        with _FailingClearly(str(self._place)):
            try:
                found = sorted(self._place.iterdir())
            except FileNotFoundError:
                return []
        return [
            folder
            for folder in found
            if (folder.name.startswith(beginning) if beginning else folder.name[:1] != ".")
            and folder.name not in but
            and (folder / LOCK).exists()
        ]


def _wrest(folder: Path, lease: Lease, lock: int) -> None:
    """Lock the journal, whose owner is killed first if its heart has stopped.

    Raises:
        Taken: its owner works, or cannot be killed, or another process is faster.
    """
    until = time.monotonic() + LONGEST_DYING
    while not _lock_at_once(lock):
        if _read_lease(folder).number != lease.number:
            raise Taken(f"another process was faster to take over the journal {folder.name}")
        if not (is_here(lease.holder) and not exists(lease.holder)):
            if _beat_age(folder) < STILL_SECONDS:
                raise Taken(f"the journal {folder.name} has an owner that works")
            kill(lease.holder)
        # A guard that looks, or another process that takes the journal over, has it for a moment.
        if time.monotonic() > until:
            raise Taken(f"the owner of the journal {folder.name} does not let go of it")
        time.sleep(0.002)
    if os.fstat(lock).st_nlink == 0:
        raise NoJournal(f"the journal {folder.name} has been removed")


def _lock_at_once(lock: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(folder: Path) -> bool:
    probe = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _lock_at_once(probe, fcntl.LOCK_SH)
    finally:
        os.close(probe)


def _status(folder: Path, lease: Lease) -> Status:
    age = _beat_age(folder)
    held: Held
    if lease.state == "ended":
        held = "ended"
    elif not _is_locked(folder):
        held = "dead"
    else:
        held = "still" if age >= STILL_SECONDS else "held"
    crashes = lease.crashes
    if held in ("still", "dead"):
        crashes = lease.crashes_with_this(time.time() - age)
    handed_over = (
        held == "dead" and lease.state == "released" and _is_asked(folder, lease.number, "handover")
    )
    silent = held == "still"
    return Status(folder.name, lease.number, lease.holder, held, crashes, age, handed_over, silent)


def _wish(folder: Path, number: int) -> Wish | None:
    """What the owner with this number is asked."""
    wishes: tuple[Wish, ...] = ("leave", "handover", "move")
    return next((wish for wish in wishes if _is_asked(folder, number, wish)), None)


def _is_asked(folder: Path, number: int, wish: Wish) -> bool:
    path = os.path.join(folder, wish)
    try:
        asked = os.stat(path).st_mtime
        is_over = wish == "handover" and time.time() - asked > READY_SECONDS
        return not is_over and Path(path).read_text() == str(number)
    except FileNotFoundError:
        return False


def _remove_if_left_behind(folder: Path) -> None:
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    try:
        if _lock_at_once(lock):
            shutil.rmtree(folder)
    finally:
        os.close(lock)


def _beat_age(folder: Path) -> float:
    return max(0.0, time.time() - (folder / LOCK).stat().st_mtime)


def _read_lease(folder: Path) -> Lease:
    try:
        return msgspec.json.decode((folder / LEASE).read_bytes(), type=Lease)
    except (FileNotFoundError, NotADirectoryError):
        raise NoJournal(f"there is no journal {folder.name}") from None
    except msgspec.DecodeError as error:
        raise StoreFailed(f"the lease of the journal {folder.name} is damaged: {error}") from None


def _write_lease(folder: Path, lease: Lease) -> None:
    """Write it, and what it will be once the call is over."""
    _write_and_reserve(folder / END, msgspec.structs.replace(lease, state="ended"))
    _write_and_reserve(folder / LEASE, lease)


def _write_and_reserve(path: Path, lease: Lease) -> None:
    """Write it, in the room that is reserved for it, and reserve as much for the next one."""
    data = msgspec.json.encode(lease)
    _write(path, data)
    with suppress(OSError), open(_next(path), "xb", opener=_private) as reserved:
        reserved.write(bytes(len(data) + _SPARE))


def _write(path: Path, data: bytes) -> None:
    """Replace the file. What is reserved for it is not given back before."""
    file = os.open(_next(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(file, "wb") as new:
        new.write(data)
        new.truncate()
    _next(path).replace(path)


def _next(path: Path) -> Path:
    return path.with_suffix(".new")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _cut_off_what_is_incomplete(path: Path) -> None:
    """Remove a last line without a line break: its writer was killed."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            last = file.read(end - start).rfind(b"\n")
            if last >= 0:
                file.truncate(start + last + 1)
                return
            end = start
        file.truncate(0)


class _FailingClearly:
    """Turns what the file system says of a journal into ``StoreFailed``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise NoJournal(f"there is no journal {self._name}: {error.strerror}") from None
        if isinstance(error, OSError):
            raise StoreFailed(
                f"the journal {self._name} cannot be used: {error.strerror}"
            ) from None


_owned: WeakSet[DirectoryJournal] = WeakSet()


def _leave_to_the_parent() -> None:
    for journal in tuple(_owned):
        journal.leave_to_the_parent()


os.register_at_fork(after_in_child=_leave_to_the_parent)
