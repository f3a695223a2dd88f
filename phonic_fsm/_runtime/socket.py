"""A websocket that reads and writes without waking up a task, because audio is many messages.

A message is handed over in the same turn of the event loop in which it was read. A message that is
written goes to the network at once; the writer asks first whether the network takes more.
Everything else, from the handshake to closing, is done by websockets.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import DATA_OPCODES, CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State

READ_BYTES = 16 * 2**10
"""How much is read from one socket before others get their turn: 12 chunks at 24 kHz. More data
waits in the kernel, whose flow control slows the server down."""

SHARE_BYTES = 3 * 2**9
"""How much of it is handled before the time is looked at: at most 768 empty frames. A
chunk at 24 kHz is shorter, so that it is handled in one piece."""

LONGEST_SHARE = 0.005
"""Seconds after which others get their turn, and the rest of what was read waits."""

WRITE_LIMIT = (1, 0)
"""Writing is paused when more bytes than the first wait for the network, and resumed when no more
than the second do. (Over TLS, 0 in the first place would pause writing when nothing waits.)"""


class _ReadBuffer(threading.local):
    """One buffer for all sockets of an event loop: its content is used before more is read."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


_read_buffer = _ReadBuffer()

_PONG = bytes([0x80 | Opcode.PONG])
"""The first byte of a pong."""


class Socket(ClientConnection, asyncio.BufferedProtocol):
    """A client's websocket that calls two functions instead of waking up tasks; see ``start``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fragments = bytearray()
        self._early: list[bytes | bytearray] = []
        """Messages that came together with the answer to the handshake."""
        self._hand_over: Callable[[bytes | bytearray], None] = self._early.append
        self._flows: Callable[[], None] | None = None
        self._pong = b""
        """The answer to the last ping, while the network takes nothing."""
        self._rest = b""
        """What was read and waits. Nothing more is read meanwhile."""
        self._afterwards: Callable[[], None]
        """What follows the rest: more is read, or the connection is over."""

    def start(
        self, hand_over: Callable[[bytes | bytearray], None], flows: Callable[[], None]
    ) -> None:
        """Call ``hand_over`` with every message, and ``flows`` whenever the network takes more.

        The event loop calls both, so they must not raise. ``flows`` is called at once, and then
        ``hand_over`` with the messages that have come already.
        """
        self._hand_over, self._flows = hand_over, flows
        flows()
        for message in self._early:
            hand_over(message)
        self._early.clear()

    # -- asyncio.BufferedProtocol ----------------------------------------------------------------

    def get_buffer(self, _: int) -> memoryview:
        return _read_buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        data = _read_buffer.view[:nbytes]
        if self._rest:
            self._rest += data  # Python 3.10 goes on reading what TLS has unpacked already
        elif nbytes <= SHARE_BYTES:
            self.data_received(data)  # type: ignore[arg-type]  # copied there
        else:
            self._take(data)

    def _take(self, data: memoryview | bytes) -> None:
        """Handle what was read, for a while; then others get their turn before the rest."""
        until = time.monotonic() + LONGEST_SHARE
        for begin in range(0, len(data), SHARE_BYTES):
            end = begin + SHARE_BYTES
            self.data_received(data[begin:end])  # type: ignore[arg-type]  # copied there
            if end < len(data) and time.monotonic() > until:
                if not self._rest:
                    self.transport.pause_reading()
                    self._afterwards = self.transport.resume_reading
                self._rest = bytes(data[end:])
                self.loop.call_soon(self._take_rest)
                return
        self._rest = b""

    def _take_rest(self) -> None:
        self._take(self._rest)
        if not self._rest:
            self._afterwards()

    def eof_received(self) -> None:
        while self._rest:  # see buffer_updated
            self._take(self._rest)
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._afterwards = partial(super().connection_lost, exc)
        else:
            super().connection_lost(exc)

    # -- websockets ------------------------------------------------------------------------------

    def process_event(self, event: Frame | Response) -> None:  # type: ignore[override]
        """Handle what was read: a message, part of one, or a frame that websockets handles."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
        elif event.fin and not self._fragments:
            self._hand_over(event.data)  # type: ignore[arg-type]  # what is read is no memoryview
        else:
            self._fragments += event.data
            if event.fin:
                message, self._fragments = self._fragments, bytearray()
                self._hand_over(message)

    def send_data(self) -> None:
        """Write what websockets has to write. Of several pongs, that is the last one.

        It answers all pings before it (RFC 6455, 5.5.3), so a flood of pings fills no memory here.
        """
        if pongs := [frame for frame in self.protocol.writes if frame[:1] == _PONG]:
            self._pong = pongs[-1]
            self.protocol.writes = [frame for frame in self.protocol.writes if frame[:1] != _PONG]
        if self._pong and not self.paused:
            if self.protocol.state is State.OPEN:
                self.protocol.writes.insert(0, self._pong)
            self._pong = b""
        super().send_data()

    # -- writing ---------------------------------------------------------------------------------

    @property
    def is_flowing(self) -> bool:
        """Whether the network has taken everything that was written, and takes more."""
        try:
            # A transport that is closing would drop what is written.
            return (
                self.protocol.state is State.OPEN
                and not self.paused
                and not self.transport.is_closing()
            )
        except AttributeError:  # CPython 3.10 raises it for a closed TLS transport
            return False

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pong:
            self.send_data()
        if self._flows is not None:
            self._flows()

    def write(self, text: bytes) -> None:
        """Write a message of UTF-8 text, without waiting. ``is_flowing`` must be true."""
        # send() does the same, but as a coroutine.
        self.protocol.send_text(text)
        super().send_data()

    def say_goodbye(self) -> None:
        """Begin the closing handshake, without waiting for its end. ``is_flowing`` must be true."""
        self.protocol.send_close(CloseCode.NORMAL_CLOSURE)
        self.send_data()
