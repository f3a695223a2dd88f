"""A proxy on loopback, between a real session and a real server, that harms what passes.

A plan is asked about every handshake and every frame, and says which fault befalls it, if any.
The proxy knows websocket frames and the ``type`` of a message, and nothing else of the protocol.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Literal, Protocol
from urllib.parse import urlsplit

import anyio
import msgspec
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader as FrameBuffer

Way = Literal["to_client", "to_server"]

REORDER_WITHIN = 0.05
"""Seconds that a message waits for another one to overtake it."""


@dataclass(frozen=True)
class Passing:
    """What is about to pass: a frame, or the server's answer to a handshake."""

    way: Way
    kind: str
    """A message's type; ``ping``, ``pong``, ``close``; or ``handshake``."""
    nth: int
    """Of its kind on this way, over all connections, from 1."""


class Fault(Protocol):
    """Something that befalls a message, or the connection as it passes."""

    async def befall(self, lane: Lane, data: bytes) -> None:
        """Do with ``data`` what the fault does with it, instead of passing it on."""


Plan = Callable[[Passing], Fault | None]


def at(kind: str, fault: Fault, *, nth: int = 1, way: Way = "to_client") -> Plan:
    """One fault, at one message."""
    return lambda passing: fault if passing == Passing(way, kind, nth) else None


# -- the faults ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Delay:
    """The message, and all behind it, comes late."""

    seconds: float = 0.2

    async def befall(self, lane: Lane, data: bytes) -> None:
        await anyio.sleep(self.seconds)
        await lane.write(data)


@dataclass(frozen=True)
class Stall:
    """No byte passes any more, one way or both; nobody is told. In the end, the cable is cut."""

    seconds: float = float("inf")
    both_ways: bool = True

    async def befall(self, lane: Lane, data: bytes) -> None:
        lane.link.stalled = self.both_ways
        await anyio.sleep(self.seconds)
        lane.link.cut()


@dataclass(frozen=True)
class Cut:
    """The connection is reset without a close frame."""

    async def befall(self, lane: Lane, data: bytes) -> None:
        lane.link.reset()


@dataclass(frozen=True)
class CutMidFrame:
    """The connection ends in the middle of the message."""

    async def befall(self, lane: Lane, data: bytes) -> None:
        await lane.write(data[: len(data) // 2])
        lane.link.cut()


@dataclass(frozen=True)
class SayGoodbye:
    """The client gets a close frame, as if from the server, in place of anything more."""

    code: int
    reason: str = ""

    async def befall(self, lane: Lane, data: bytes) -> None:
        close = Frame(Opcode.CLOSE, Close(self.code, self.reason).serialize())
        await lane.link.to_client.write(close.serialize(mask=False))
        lane.link.to_client.over = True


@dataclass(frozen=True)
class Swallow:
    """The message does not arrive; all behind it does."""

    async def befall(self, lane: Lane, data: bytes) -> None:
        pass


@dataclass(frozen=True)
class Bloat:
    """A frame comes first that is far larger than any message of Phonic's."""

    seed: int = 0

    async def befall(self, lane: Lane, data: bytes) -> None:
        size = 200_000
        hostile = [
            b'{"type":"warning","warning":{"message":"%s"}}' % (b"x" * size),
            b'{"type":"brand_new","data":[%s[]]}' % (b"[]," * (size // 3)),
            b"[" * size,
            b'{"type":"input_cancelled","note":%s%s}' % (b"[" * 5_000, b"]" * 5_000),
            b'{"type":"%s"}' % (b"y" * size),
        ]
        frame = Frame(Opcode.TEXT, hostile[self.seed % len(hostile)])
        await lane.write(frame.serialize(mask=bool(lane.masks)) + data)


@dataclass(frozen=True)
class Duplicate:
    """The message comes twice."""

    async def befall(self, lane: Lane, data: bytes) -> None:
        await lane.write(data * 2)


@dataclass(frozen=True)
class Reorder:
    """The next message overtakes this one."""

    async def befall(self, lane: Lane, data: bytes) -> None:
        lane.overtaken += data
        lane.link.tasks.start_soon(lane.catch_up)


@dataclass(frozen=True)
class Corrupt:
    """What comes is a whole frame, but no message."""

    seed: int = 0

    async def befall(self, lane: Lane, data: bytes) -> None:
        chance = random.Random(self.seed)
        half = data[: len(data) // 2]
        if lane.masks is None:
            await lane.write(half + b"\0\r\n\r\n")
            return
        opcode, payload = chance.choice(
            [
                (Opcode.TEXT, b"?" + half),
                (Opcode.TEXT, b'{"type": "\xff\xfe"}'),
                (Opcode.BINARY, data),
            ]
        )
        await lane.write(Frame(opcode, payload).serialize(mask=lane.masks))


@dataclass(frozen=True)
class Refuse:
    """The handshake is answered with an HTTP status, or, without one, with a reset."""

    status: int | None = None
    retry_after: float | None = None

    async def befall(self, lane: Lane, data: bytes) -> None:
        if self.status is None:
            lane.link.reset()
            return
        retry = "" if self.retry_after is None else f"Retry-After: {self.retry_after:g}\r\n"
        answer = f"HTTP/1.1 {self.status} refused\r\n{retry}Content-Length: 0\r\n\r\n"
        await lane.write(answer.encode())
        lane.link.cut()


@dataclass(frozen=True)
class Afterwards:
    """The message passes; the fault comes right behind it."""

    fault: Fault

    async def befall(self, lane: Lane, data: bytes) -> None:
        await lane.write(data)
        await self.fault.befall(lane, data)


# -- the proxy -----------------------------------------------------------------------------------


class FaultProxy:
    """Listens on a free port and passes on to the server what the plan lets through."""

    server: tuple[str | None, int | None]
    struck: list[tuple[Passing, Fault]]
    """The faults so far, and what they befell."""

    def __init__(self) -> None:
        self._news = anyio.Event()
        self._server: asyncio.Server
        self._links: TaskGroup

    async def __aenter__(self) -> FaultProxy:
        self._links = await anyio.create_task_group().__aenter__()
        self._server = await asyncio.start_server(
            lambda *client: self._links.start_soon(Link(self, *client).run), "127.0.0.1", 0
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        self._server.close()
        self._links.cancel_scope.cancel()
        return await self._links.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def connect(self, url: str, plan: Plan) -> None:
        """From here on this is the server, and this the plan; nothing has passed yet."""
        address = urlsplit(url)
        self.server = (address.hostname, address.port)
        self.struck = []
        self._plan = plan
        self._passed: dict[tuple[Way, str], int] = {}

    async def strikes(self, count: int = 1) -> None:
        """Wait until so many faults have struck."""
        while len(self.struck) < count:
            await self._news.wait()

    def ask(self, way: Way, kind: str) -> Fault | None:
        nth = self._passed[way, kind] = self._passed.get((way, kind), 0) + 1
        passing = Passing(way, kind, nth)
        fault = self._plan(passing)
        if fault is not None:
            self.struck.append((passing, fault))
            self._news.set()
            self._news = anyio.Event()
        return fault


class Link:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(
        self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.proxy = proxy
        self.stalled = False
        self.tasks: TaskGroup
        self.to_client = Lane(self, "to_client", writer)
        self.to_server: Lane
        self._from_client = reader

    async def run(self) -> None:
        try:
            from_server, writer = await asyncio.open_connection(*self.proxy.server)
        except OSError:
            self.to_client.writer.close()
            return
        self.to_server = Lane(self, "to_server", writer)
        try:
            async with anyio.create_task_group() as self.tasks:
                await self._shake_hands(from_server)
                self.tasks.start_soon(self.to_client.run, from_server)
                self.tasks.start_soon(self.to_server.run, self._from_client)
        finally:
            self.to_client.writer.close()
            self.to_server.writer.close()

    async def _shake_hands(self, from_server: asyncio.StreamReader) -> None:
        try:
            request = await self._from_client.readuntil(b"\r\n\r\n")
            fault = self.proxy.ask("to_client", "handshake")
            answer = b""
            if not isinstance(fault, Refuse):
                await self.to_server.write(request)
                answer = await from_server.readuntil(b"\r\n\r\n")
            if isinstance(fault, SayGoodbye):
                fault = Afterwards(fault)
            await self.to_client.pass_on(answer, fault)
            if not answer.startswith(b"HTTP/1.1 101"):
                await self.to_client.write(await from_server.read())
                self.cut()
        except (OSError, EOFError):
            self.cut()

    def cut(self) -> None:
        """Let go of both ends, without a word."""
        self.tasks.cancel_scope.cancel()

    def reset(self) -> None:
        """The same, by a TCP reset."""
        for lane in (self.to_client, self.to_server):
            raw = lane.writer.get_extra_info("socket")
            raw.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            lane.writer.transport.abort()
        self.cut()


class Lane:
    """One way of a link."""

    def __init__(self, link: Link, way: Way, writer: asyncio.StreamWriter) -> None:
        self.link = link
        self.writer = writer
        self.masks: bool | None = None
        """Whether frames are masked on this way; ``None`` during the handshake."""
        self.over = False
        """Nothing more passes, as if there were nothing."""
        self.overtaken = b""
        """What the next message overtakes."""
        self._way = way

    async def run(self, source: asyncio.StreamReader) -> None:
        """Pass frames on until the source ends, and both connections with it."""
        self.masks = self._way == "to_server"
        try:
            async for frame in _frames(source, masked=self.masks):
                if self.link.to_client.over and frame.opcode is Opcode.CLOSE:
                    break  # an answer to what the server has not said
                fault = self.link.proxy.ask(self._way, _kind(frame))
                await self.pass_on(frame.serialize(mask=self.masks), fault)
        except OSError:
            pass  # reset by either end
        self.link.cut()

    async def pass_on(self, data: bytes, fault: Fault | None) -> None:
        if fault is not None:
            await fault.befall(self, data)
            await checkpoint()  # whatever was cut is over here
        else:
            data, self.overtaken = data + self.overtaken, b""
            await self.write(data)

    async def catch_up(self) -> None:
        """Let what waits to be overtaken pass even so."""
        await anyio.sleep(REORDER_WITHIN)
        data, self.overtaken = self.overtaken, b""
        await self.write(data)

    async def write(self, data: bytes) -> None:
        if self.link.stalled:
            await anyio.sleep_forever()
        if self.over:
            return
        self.writer.write(data)
        try:
            await self.writer.drain()
        except OSError:
            self.link.cut()


async def _frames(source: asyncio.StreamReader, *, masked: bool) -> AsyncIterator[Frame]:
    buffer = FrameBuffer()
    while True:
        parser = Frame.parse(buffer.read_exact, mask=masked)
        while True:
            try:
                next(parser)
            except StopIteration as end:
                yield end.value
                break
            data = await source.read(2**16)
            if not data:
                return
            buffer.feed_data(data)


class _Envelope(msgspec.Struct):
    type: str


_envelope = msgspec.json.Decoder(_Envelope)


def _kind(frame: Frame) -> str:
    if frame.opcode is not Opcode.TEXT:
        return frame.opcode.name.lower()
    return _envelope.decode(frame.data).type
