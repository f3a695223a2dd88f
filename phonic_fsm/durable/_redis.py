"""Journals in Redis: for processes on several hosts.

Each journal has these keys, which begin with ``{phonic-fsm}:`` and its name:

``…``
    A hash: who has the journal. The field ``held`` is there until it is handed over, ``open`` until
    the call is over. The fields ``move`` and ``handover`` say which owner was asked for it, and
    until when; ``dispatched`` to which owner's successor was sent, and until when no other is;
    ``parting`` is what the last owner has left for the next one.
``…:lines``
    A stream with the lines, as many in an entry as were written at once.

The names of the journals are in two sets: those whose calls go on, and those of ended calls, which
a guard does not read. What is in braces decides where a Redis Cluster keeps a key: all are on one
node, as the scripts need it. Any node leads to it.

The heartbeat is the hash's time to live, which begins anew with each beat. So a beat needs no
memory, and a live owner keeps its journal where Redis is full. Nor does the end of a call need any:
it removes a field.

A Redis that is full refuses a script whose first write needs memory, and takes all writes of one
whose first write needs none. So a call also gets its successor where Redis is full.

Scripts check the owner and write, in one step. They use Redis's clock, whatever those of the hosts
say.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from redis import ConnectionPool, Redis, exceptions
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import AskError, MovedError, ReadOnlyError, RedisError, TryAgainError
from redis.retry import Retry

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
    LinesLost,
    NoJournal,
    OwnershipLost,
    Status,
    StoreFailed,
    Taken,
    Wish,
    checked_name,
    crashes_so_far,
)

PREFIX = "{phonic-fsm}:"

INDEX = PREFIX
"""The set of the names whose calls go on. No journal has this key, since none is without a name."""

ENDED = f"{PREFIX}:ended"
"""The set of the names whose calls have ended."""

FOR_EVER = 1e9
"""Seconds: Redis takes no time without an end."""

TIMEOUT = 1.0
"""How long (s) Redis may take to answer."""

ATTEMPTS = 3
"""How often a journal is claimed at once if Redis does not answer: a claim that got through, and
whose answer was lost, leaves a journal whose owner does not know of it."""

MOST_UNANSWERED = 10_000
"""How many claims are remembered that Redis has not answered. Of more, the oldest is forgotten."""

PAGE = 100
"""How many entries of a stream are read at once."""

_COMMON = """
local lease, lines = KEYS[1], KEYS[2]

local function now()
    local time = redis.call('TIME')
    return time[1] + time[2] / 1e6
end

local function keep(head_start)
    local kept = redis.call('HGET', lease, 'kept') + (head_start or 0)
    redis.call('PEXPIRE', lease, kept)
    redis.call('PEXPIRE', lines, kept)
end

local function beat_age()
    return math.max(0, redis.call('HGET', lease, 'kept') - redis.call('PTTL', lease)) / 1000
end

-- Nil if the process that had this number is the owner; or else why it is not. If another server
-- has taken Redis's place, and has not heard of the takeover, the owner writes it down again.
local function disowned(number, holder)
    local found = tonumber(redis.call('HGET', lease, 'number') or 0)
    number = tonumber(number)
    if found == 0 then return 'gone' end
    if found > number then return 'lost' end
    if found < number then
        redis.call('HSET', lease, 'number', number, 'holder', holder, 'held', 1)
        keep()
    end
end
"""

_BEGIN = """
local index, name, holder, claim, kept, lifetime = KEYS[3], unpack(ARGV)
if redis.call('HGET', lease, 'claim') == claim then return 'done' end
if redis.call('EXISTS', lease) == 1 then return 'taken' end
redis.call('HSET', lease, 'number', 1, 'holder', holder, 'claim', claim, 'since', now(),
    'crashes', 0, 'kept', kept, 'lifetime', lifetime, 'size', 0, 'held', 1, 'open', 1)
redis.call('SADD', index, name)
keep()
return 'done'
"""

_TAKE_OVER = """
local expected, holder, claim, is_free, still, crashes, head_start = unpack(ARGV)
local size = redis.call('HGET', lease, 'size')
if not size then return 'gone' end
if redis.call('HGET', lease, 'claim') == claim then return size end
if redis.call('HEXISTS', lease, 'open') == 0 then return 'ended' end
if redis.call('HGET', lease, 'number') ~= expected then return 'faster' end
local is_held = redis.call('HEXISTS', lease, 'held') == 1
if is_held and is_free == '0' and beat_age() < tonumber(still) then return 'works' end
redis.call('HDEL', lease, 'held')
redis.call('HSET', lease, 'number', expected + 1, 'holder', holder, 'claim', claim,
    'since', now(), 'crashes', crashes, 'held', 1)
-- The age of a heartbeat in the future is 0.
keep(head_start * 1000)
return size
"""

_CHECK = """
return disowned(ARGV[1], ARGV[2]) or 'done'
"""

_BEAT = """
local why = disowned(ARGV[1], ARGV[2])
if why then return why end
keep()
for _, wish in ipairs({'leave', 'handover', 'move'}) do
    local asked = redis.call('HGET', lease, wish)
    local owner, till = string.match(asked or '', '(%d+) (.+)')
    if owner == ARGV[1] and now() < tonumber(till) then return wish end
end
return 'done'
"""

_ASK = """
local number, wish, seconds = unpack(ARGV)
local found = redis.call('HGET', lease, 'number')
if not found then return 'gone' end
if redis.call('HEXISTS', lease, 'open') == 0 then return 'ended' end
if found ~= number then return 'lost' end
redis.call('HDEL', lease, wish)
redis.call('HSET', lease, wish, string.format('%d %.3f', number, now() + seconds))
return 'done'
"""

_MARK = """
local number, seconds = unpack(ARGV)
local found = redis.call('HGET', lease, 'number')
if not found then return 'gone' end
local last, till = string.match(redis.call('HGET', lease, 'dispatched') or '', '(%d+) (.+)')
if found ~= number or (last == number and now() < tonumber(till)) then return 'no' end
redis.call('HDEL', lease, 'dispatched')
redis.call('HSET', lease, 'dispatched', string.format('%d %.3f', number, now() + seconds))
return 'marked'
"""

_APPEND = """
local why = disowned(ARGV[1], ARGV[2])
if why then return why end
local at, more = tonumber(ARGV[3]), ARGV[4]
local size = tonumber(redis.call('HGET', lease, 'size'))
if size < at or size > at + #more then return tostring(size) end
-- If an answer was lost, the beginning of these lines is here already.
more = string.sub(more, size - at + 1)
if #more > 0 then
    redis.call('XADD', lines, '*', 'lines', more)
    redis.call('HINCRBY', lease, 'size', #more)
    redis.call('PEXPIRE', lines, redis.call('HGET', lease, 'kept'))
end
return 'done'
"""

_RELEASE = """
local why = disowned(ARGV[1], ARGV[2])
if why then return why end
redis.call('HDEL', lease, 'held', 'parting')
if ARGV[3] ~= '' then redis.pcall('HSET', lease, 'parting', ARGV[3]) end
keep()
return 'done'
"""

_END = """
local why = disowned(ARGV[1], ARGV[2])
if why then return why end
local lifetime = redis.call('HGET', lease, 'lifetime')
redis.call('HDEL', lease, 'open')
redis.call('SMOVE', KEYS[3], KEYS[4], ARGV[3])
redis.call('PEXPIRE', lease, lifetime)
redis.call('PEXPIRE', lines, lifetime)
return 'done'
"""

T = TypeVar("T")

Argument = str | bytes | float


class Extent(NamedTuple):
    """How much of a journal there is."""

    size: int
    """Bytes of lines."""
    age: float
    """Seconds since the last line came, by Redis's clock."""


class _Store:
    """Redis at one address. What goes wrong with it is raised as ``StoreFailed``.

    If that is a node of a cluster, it says which one has the journals, and that one is asked from
    then on.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            self.address = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
            self._client = self._first = Redis.from_url(
                url,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                # Whoever calls this tries again. A retry would take as long once more.
                retry=Retry(NoBackoff(), 0),
            )
            # An option in the query that a connection does not have is noticed only here.
            pool = self._first.connection_pool
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError, RedisError):
            # Their texts may have the address, with its password.
            raise ValueError("the address of Redis cannot be read") from None
        scripts = (_BEGIN, _TAKE_OVER, _CHECK, _BEAT, _ASK, _MARK, _APPEND, _RELEASE, _END)
        self._scripts = {code: self._first.register_script(_COMMON + code) for code in scripts}

    def ask(self, question: Callable[[Redis], T]) -> T:
        try:
            try:
                return question(self._client)
            except MovedError as moved:
                self._client = self._at(moved.host, moved.port)
                return question(self._client)
        except ReadOnlyError:
            # It has become a replica. A new connection leads to the server that took its place.
            self._client.connection_pool.disconnect()
            raise StoreFailed(f"Redis at {self.address} is a replica, and takes nothing") from None
        except (AskError, TryAgainError):
            raise StoreFailed(
                f"Redis at {self.address} is a cluster that is moving the journals to another node"
            ) from None
        except RedisError as error:
            if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError)):
                # If that node is gone, the others know which one has taken its place.
                self._client = self._first
            why = " ".join(str(error).split()) or type(error).__name__
            raise StoreFailed(f"Redis at {self.address}: {why}") from None

    def ask_at_once(self, add: Callable[[Pipeline], object]) -> list[Any]:
        """The answers to all that ``add`` puts into a pipeline."""

        def question(client: Redis) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            add(pipeline)
            return pipeline.execute()

        return self.ask(question)

    def _at(self, host: str, port: int) -> Redis:
        """The same Redis at another address; without a ``host``, on the same one."""
        pool = self._client.connection_pool
        options = {**pool.connection_kwargs, "port": port}
        if host:
            options["host"] = host
        return Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **options))

    def run(self, script: str, name: str, *arguments: Argument) -> str:
        """What the script answers.

        Raises:
            NoJournal: there is no such journal.
            OwnershipLost: it has another owner.
        """
        keys = [key(name), key(name, "lines"), INDEX, ENDED]
        answer: bytes = self.ask(
            lambda client: self._scripts[script](keys, list(arguments), client)
        )
        if answer == b"gone":
            raise NoJournal(f"Redis at {self.address} has no journal {name}")
        if answer == b"lost":
            raise OwnershipLost(f"another process has the journal {name}")
        return answer.decode()

    def claim(self, script: str, name: str, *arguments: Argument) -> str:
        """The same, but several times if Redis does not answer."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self.run(script, name, *arguments)
            except NoJournal:
                raise
            except StoreFailed:
                continue
        return self.run(script, name, *arguments)


class RedisJournal:
    """A journal that this process owns."""

    def __init__(self, store: _Store, name: str, number: int, holder: Holder, size: int) -> None:
        self.name = name
        self.number = number
        self._store = store
        self._holder = msgspec.json.encode(holder)
        self._size = size
        """How many bytes of lines are there."""
        self._is_over = False

    def append(self, lines: bytes) -> None:
        answer = self._run(_APPEND, self._size, lines)
        if answer != "done":
            lost, self._size = self._size - int(answer), int(answer)
            raise LinesLost(f"Redis has lost {lost:,} bytes of the journal {self.name}")
        self._size += len(lines)

    def beat(self) -> Wish | None:
        answer = self._run(_BEAT)
        return answer if answer in ("leave", "handover", "move") else None  # type: ignore[return-value]

    def check(self) -> None:
        self._run(_CHECK)

    def end(self) -> None:
        self._run(_END, self.name)
        self._is_over = True

    def release(self, parting: bytes = b"") -> None:
        self._run(_RELEASE, parting)
        self._is_over = True

    def take_parting(self) -> bytes:
        def add(pipeline: Pipeline) -> None:
            pipeline.hget(key(self.name), "parting")
            pipeline.hdel(key(self.name), "parting")

        parting, _ = self._store.ask_at_once(add)
        return parting or b""

    def _run(self, script: str, *arguments: Argument) -> str:
        if self._is_over:
            raise OwnershipLost(f"this process no longer has the journal {self.name}")
        return self._store.run(script, self.name, self.number, self._holder, *arguments)


class RedisJournals:
    """The journals at one address of Redis."""

    look_every = 0.25
    outlives_a_beat = STILL_SECONDS

    def __init__(self, url: str, lifetime: float = LIFETIME) -> None:
        """``url`` begins with ``redis://``, or ``rediss://`` for TLS.

        Raises:
            ValueError: the address cannot be read.
        """
        self._store = _Store(url)
        self._lifetime = int(min(lifetime, FOR_EVER) * 1000)
        self._unanswered: dict[tuple[str, str, bytes], tuple[Argument, ...]] = {}
        """Claims that Redis has not answered, by script, journal and new owner. They may have got
        through, also later. So the next one is the same, or this owner would be its own rival."""

    @property
    def place(self) -> str:
        return f"Redis at {self._store.address}"

    def begin(self, name: str, holder: Holder) -> RedisJournal:
        encoded = msgspec.json.encode(holder)
        said, _ = self._claim(
            _BEGIN,
            name,
            encoded,
            lambda: (name, encoded, uuid.uuid4().hex, int(FORGOTTEN * 1000), self._lifetime),
        )
        if said == "taken":
            raise Taken(f"there is a journal {name} already")
        return RedisJournal(self._store, name, 1, holder, 0)

    def take_over(self, name: str, holder: Holder) -> RedisJournal:
        encoded = msgspec.json.encode(holder)
        said, (number, *_) = self._claim(
            _TAKE_OVER, name, encoded, lambda: self._claim_of_what_is_free(name, encoded)
        )
        if said == "ended":
            raise Ended(f"the call of the journal {name} is over")
        if said == "faster":
            raise Taken(f"another process was faster to take over the journal {name}")
        if said == "works":
            raise Taken(f"the journal {name} has an owner that works")
        return RedisJournal(self._store, name, int(number) + 1, holder, int(said))

    def _claim(
        self, script: str, name: str, holder: bytes, new: Callable[[], tuple[Argument, ...]]
    ) -> tuple[str, tuple[Argument, ...]]:
        """What the script answers to a claim, and the claim: the one that was not answered, or a
        new one."""
        about = script, name, holder
        claim = self._unanswered.pop(about, None) or new()
        try:
            return self._store.claim(script, name, *claim), claim
        except NoJournal:
            raise
        except StoreFailed:
            self._unanswered[about] = claim
            if len(self._unanswered) > MOST_UNANSWERED:
                # It may be one that nobody makes again.
                del self._unanswered[next(iter(self._unanswered))]
            raise

    def _claim_of_what_is_free(self, name: str, holder: bytes) -> tuple[Argument, ...]:
        [status] = self._statuses([name])
        if status is None:
            raise NoJournal(f"there is no journal {name}")
        if status.held == "held":
            raise Taken(f"the journal {name} has an owner that works")
        if status.held == "still":
            kill(status.holder)
        # Whether the owner of another host is dead is for Redis to say: it may beat just now.
        is_free = int(is_here(status.holder))
        times = STILL_SECONDS, status.crashes, HEAD_START
        return status.number, holder, uuid.uuid4().hex, is_free, *times

    def ask(self, name: str, number: int, wish: Wish) -> None:
        seconds = READY_SECONDS if wish == "handover" else FORGOTTEN
        if self._store.run(_ASK, name, number, wish, seconds) == "ended":
            raise Ended(f"the call of the journal {name} is over")

    def read(self, name: str) -> Iterator[bytes]:
        for _, lines in self.read_on(name):
            yield from lines.splitlines(keepends=True)

    def read_on(self, name: str, after: str = "") -> Iterator[tuple[str, bytes]]:
        self._must_exist(name)
        while page := self._page(name, f"({after}" if after else "-"):
            for entry, fields in page:
                after = entry.decode()
                yield after, fields[b"lines"]

    def extents(self, names: list[str]) -> dict[str, Extent]:
        """How much there is of each of these journals, those left out that are gone."""

        def add(pipeline: Pipeline) -> None:
            for name in names:
                pipeline.hget(key(name), "size")
                pipeline.xrevrange(key(name, "lines"), count=1)
            pipeline.time()

        *found, (seconds, micros) = self._store.ask_at_once(add)
        now = seconds + micros / 1e6
        return {
            name: Extent(int(size), max(0.0, now - _written_at(last)))
            for name, size, last in zip(names, found[::2], found[1::2], strict=True)
            if size is not None and last
        }

    def statuses(self, *, ended: bool = False) -> list[Status]:
        names = self._names(INDEX, ENDED) if ended else self._names(INDEX)
        found = self._statuses(names)
        return [one for one in found if one is not None and (ended or one.held != "ended")]

    def status(self, name: str) -> Status:
        [found] = self._statuses([name])
        if found is None:
            raise NoJournal(f"there is no journal {name}")
        return found

    def may_dispatch(self, name: str, number: int, seconds: float) -> bool:
        return self._store.run(_MARK, name, number, seconds) == "marked"

    def remove_expired(self) -> None:
        # Redis removes the journals by itself, but not their names from the sets.
        for index in (INDEX, ENDED):
            self._remove_gone(index)

    def _remove_gone(self, index: str) -> None:
        names = self._names(index)

        def add(pipeline: Pipeline) -> None:
            for name in names:
                pipeline.exists(key(name))

        there = self._store.ask_at_once(add)
        gone = [name for name, is_there in zip(names, there, strict=True) if not is_there]
        if gone:
            self._store.ask(lambda client: client.srem(index, *gone))

    def _names(self, *indices: str) -> list[str]:
        found: Any = self._store.ask(lambda client: client.sunion(list(indices)))
        return sorted(name.decode() for name in found)

    def _must_exist(self, name: str) -> None:
        if not self._store.ask(lambda client: client.exists(key(name))):
            raise NoJournal(f"there is no journal {name}")

    def _page(self, name: str, after: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        found: Any = self._store.ask(
            lambda client: client.xrange(key(name, "lines"), min=after, count=PAGE)
        )
        return list(found)

    def _statuses(self, names: list[str]) -> list[Status | None]:
        def add(pipeline: Pipeline) -> None:
            for name in names:
                pipeline.hgetall(key(name))
                pipeline.pttl(key(name))
            pipeline.time()

        *found, (seconds, micros) = self._store.ask_at_once(add)
        now = seconds + micros / 1e6
        return [
            _status(name, fields, left, now) if fields else None
            for name, fields, left in zip(names, found[::2], found[1::2], strict=True)
        ]


def key(name: str, part: str = "") -> str:
    """Where the journal's lease is, or a part of it."""
    return f"{PREFIX}{checked_name(name)}:{part}" if part else PREFIX + checked_name(name)


def _written_at(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> float:
    """When the first of these entries was added (s since 1970): its id tells."""
    [(entry, _), *_] = entries
    return int(entry.partition(b"-")[0]) / 1000


def _status(name: str, fields: dict[bytes, bytes], left_ms: int, now: float) -> Status:
    try:
        holder = msgspec.json.decode(fields[b"holder"], type=Holder)
    except msgspec.DecodeError as error:
        raise StoreFailed(f"the lease of the journal {name} is damaged: {error}") from None
    kept = fields[b"kept" if b"open" in fields else b"lifetime"]
    age = max(0, int(kept) - left_ms) / 1000
    held: Held
    is_silent = False
    if b"open" not in fields:
        held = "ended"
    elif b"held" not in fields or (is_here(holder) and not exists(holder)):
        held = "dead"
    elif age < STILL_SECONDS:
        held = "held"
    else:
        held, is_silent = "still" if is_here(holder) else "dead", True
    crashes = int(fields[b"crashes"])
    if held in ("still", "dead") and b"held" in fields:
        crashes = crashes_so_far(crashes, max(0.0, now - age - float(fields[b"since"])))
    number, asked = int(fields[b"number"]), fields.get(b"handover", b"0 0").split()
    handed_over = held == "dead" and b"held" not in fields
    handed_over = handed_over and int(asked[0]) == number and now < float(asked[1])
    return Status(name, number, holder, held, crashes, age, handed_over, is_silent)
